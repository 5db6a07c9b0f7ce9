"""A long Offline run on nodes of a real cluster, and what its results have to be."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from time import monotonic
from typing import Any

import pandas as pd

from harness.loadgen.log import DETAIL_LOG, read_detail
from tests.faults.command import Done, Harness
from tests.support.ray_nodes import RayCluster, wait_for

TEST = Path("r/offline/performance/run_1")


class ClusterRun:
    """Some seconds of Offline on every node that has the resource ``npu``, brought to its measured part."""

    def __init__(self, harness: Harness, cluster: RayCluster, *more: str) -> None:
        self._harness = harness
        self.process = start(harness, cluster, "--devices", "{npu}(simulated*2)", "--duration", "6", *more)
        wait_for(lambda: self._is_answering() or self.process.poll() is not None, "the measured part")
        assert self.process.poll() is None, harness.written("err")

    def end(self) -> tuple[Done, float]:
        """How it ended, and how many seconds from now."""
        began = monotonic()
        self.process.wait(120)
        seconds = monotonic() - began
        return self._harness.wait(self.process), seconds

    def _is_answering(self) -> bool:
        """Whether samples are being answered, by what ``--json-progress`` wrote."""
        for line in self._harness.written("err").splitlines():
            event: Any = json.loads(line) if line.startswith("{") and line.endswith("}") else {}
            if event.get("phase") == "running" and event.get("done", 0) > 0:
                return True
        return False


def start(harness: Harness, cluster: RayCluster, *more: str) -> subprocess.Popen[str]:
    """Starts an Offline performance run on the cluster."""
    harness.environment.update(cluster.environment)
    argv = harness.argv("run", "c.yaml", "--output", "r", "--scenario", "offline", "--mode", "performance")
    return harness.start([*cluster.inside, *argv, "--cluster", cluster.address, "--json-progress", *more])


def offline_of(harness: Harness) -> dict[str, Any]:
    """The scenario in the summary."""
    summary = json.loads((harness.folder / "r" / "summary.json").read_text())
    offline: dict[str, Any] = summary["scenarios"]["offline"]
    return offline


def samples_of(harness: Harness) -> pd.DataFrame:
    """A row of each sample, from its records.

    Raises:
        AssertionError: a sample that LoadGen issued has no record, or has two.
    """
    samples = pd.read_csv(harness.folder / TEST / "samples.csv.gz")
    issued = read_detail(harness.folder / TEST / DETAIL_LOG).values["generated_samples_per_query"]
    assert len(samples) == issued == offline_of(harness)["samples"]
    assert samples["sample_id"].is_unique
    return samples
