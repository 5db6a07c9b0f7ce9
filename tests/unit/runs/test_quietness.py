"""A disturbed measurement says so, with the figure that decided."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from harness import cli
from harness.report import load_run
from harness.runs.quietness import disturbances, longest_gap_ms
from harness.runs.records import MachineRecord
from harness.runs.samples import read_samples
from tests.support.made_runs import made_run, made_samples

SAMPLES = made_samples(400)


def run_with(folder: Path, machine: dict[str, float] | None, stopped_s: float = 0.0) -> Path:
    """A SingleStream run; its child stands still for so long in the middle."""
    rows = SAMPLES.copy()
    rows[200:, 3:] += int(stopped_s * 1e9)
    rows[200, 3] -= int(stopped_s * 1e9)
    made_run(folder, {"single_stream": rows})
    manifest = json.loads((folder / "manifest.json").read_text())
    if machine is not None:
        manifest["tests"][0]["machine"] = machine
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


QUIET = {"cores": 2, "others_cores": 0.02, "steal_percent": 0.1, "throttled_s": 0.0}


@pytest.mark.parametrize(
    ("machine", "reason"),
    [
        (QUIET, None),
        (None, None),
        (QUIET | {"others_cores": 1.3}, "other programs used 1.30 of 2 cores"),
        (QUIET | {"steal_percent": 4.0}, "the host gave 4.0 % of the time to others (steal)"),
        (QUIET | {"throttled_s": 2.0, "cpu_quota": 1.5}, "the container's quota of 1.5 cores stopped it for 2.0 s"),
    ],
)
def test_what_disturbed_is_named(tmp_path: Path, machine: dict[str, float] | None, reason: str | None) -> None:
    figures = load_run(run_with(tmp_path / "run", machine)).summary.scenarios["single_stream"]
    assert figures.disturbed_by == (() if reason is None else (reason,))
    assert figures.quiet == (reason is None)


def test_a_child_that_stood_still_is_seen_everywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_with(tmp_path / "run", QUIET, stopped_s=3.0)
    figures = load_run(run).summary.scenarios["single_stream"]
    assert figures.valid
    assert figures.longest_gap_ms == pytest.approx(3005, rel=0.01)
    [reason] = figures.disturbed_by
    assert reason.startswith("no answer came for 3.0")
    assert cli.main(["report", str(run)]) == 0
    assert f"SingleStream was DISTURBED: {reason}" in capsys.readouterr().out
    assert reason in (run / "report.html").read_text()
    assert cli.main(["report", str(run), "--compare", str(run)]) == 0
    assert "was disturbed" in " ".join(capsys.readouterr().out.split())


def test_a_slow_device_is_not_a_disturbed_one(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run", {"offline": made_samples(20, latency_ms=2000, offline=True)})
    slow = read_samples(run / "offline/performance/run_1/samples.csv.gz")
    assert longest_gap_ms(slow) > 1900
    assert disturbances(MachineRecord.model_validate(QUIET), slow) == []
    assert np.isfinite(longest_gap_ms(slow))
