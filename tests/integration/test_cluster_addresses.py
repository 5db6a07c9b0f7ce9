"""Runs on a cluster that ``ray start`` made, by each kind of address; and their compliance tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.support.ray_nodes import RayCluster, wait_for

pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed (pip install -e '.[cluster]')"),
    pytest.mark.raylets,
]

TESTS = ("offline/performance/run_1", "server/performance/run_1", "offline/accuracy")
ADDRESSES: dict[str, Callable[[RayCluster], str]] = {
    "auto": lambda cluster: "auto",
    "HOST:PORT": lambda cluster: cluster.address,
    "ray": lambda cluster: cluster.client_address,
}


class Bench:
    """A cluster of nodes a and b, a folder, and commands there."""

    def __init__(self, cluster: RayCluster, folder: Path) -> None:
        self.cluster, self.folder = cluster, folder

    def harness(self, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
        own = {"SSD_HARNESS_CACHE": str(self.folder / "cache")}
        return subprocess.run(
            [sys.executable, "-m", "harness", *args],
            env=os.environ | self.cluster.environment | own | environment,
            capture_output=True,
            text=True,
            timeout=400,
        )

    def run(self, name: str, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
        short = ("--scenario", "offline,server", "--queries", "100", "--duration", "0.2")
        server = ("--set", "tests.server.target_qps=25")
        return self.harness("run", "smoke", *short, *server, "--output", str(self.folder / name), *args, **environment)

    def read(self, name: str, file: str) -> Any:
        return json.loads((self.folder / name / file).read_text())

    def answers(self, name: str) -> list[tuple[int, str]]:
        """The records of the accuracy log, by sample."""
        log = self.read(name, "offline/accuracy/mlperf_log_accuracy.json")
        return sorted((entry["qsl_idx"], entry["data"]) for entry in log)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    cluster = RayCluster()
    try:
        cluster.start("b")
        yield Bench(cluster, tmp_path_factory.mktemp("addresses"))
    finally:
        cluster.close()


@pytest.mark.parametrize("kind", ADDRESSES)
def test_a_run_comes_to_its_end_with_the_accuracy_log_of_one_machine(bench: Bench, kind: str) -> None:
    if not (bench.folder / "one").is_dir():
        alone = bench.run("one", "--devices", "simulated*4")
        assert alone.returncode in (0, 1), alone.stderr  # 1: a busy machine misses Server's bound
    name = kind.replace(":", "-")
    on_cluster = ("--cluster", ADDRESSES[kind](bench.cluster), "--devices", "simulated*2")
    done = bench.run(name, *on_cluster)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    summary = bench.read(name, "summary.json")
    assert summary["status"] == "complete"
    assert summary["scenarios"]["offline"]["valid"]
    for test in TESTS:
        record = bench.read(name, f"{test}/test.json")
        sessions = ["a/simulated#0", "a/simulated#1", "b/simulated#2", "b/simulated#3"]
        assert [session["name"] for session in record["sessions"]] == sessions
        assert [node["lost"] for node in record["nodes"]] == [False, False]
        assert sum(node["samples"] for node in record["nodes"]) == sum(record["samples_per_session"].values())
    assert all(node["samples"] for node in summary["scenarios"]["server"]["nodes"].values())
    assert len(bench.answers("one")) == 8
    assert bench.answers(name) == bench.answers("one")
    again = bench.run(name, *on_cluster, "--resume")
    assert again.stderr.count("already done, kept") == len(TESTS), again.stderr


def test_who_has_not_the_token_is_told_so_in_one_line(bench: Bench) -> None:
    done = bench.run("no-token", "--cluster", bench.cluster.address, RAY_AUTH_TOKEN="8" * 64)
    assert done.returncode == 3
    [error] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert f"Ray cannot join {bench.cluster.address}" in error
    assert "RAY_AUTH_TOKEN" in done.stderr
    assert "Traceback" not in done.stderr


def test_compliance_joins_the_cluster_of_its_run_and_wants_the_same_nodes(bench: Bench) -> None:
    done = bench.run("compliant", "--cluster", "auto", "--devices", "simulated*2", "--scenario", "offline")
    assert done.returncode == 0, done.stderr
    folder = str(bench.folder / "compliant")
    done = bench.harness("compliance", folder, "--test", "TEST05")
    assert done.returncode in (0, 1), done.stderr  # 1: a busy machine was slower or faster than before
    assert "Offline TEST05" in done.stdout
    [record] = (bench.folder / "compliant").rglob("TEST05/**/test.json")
    assert [node["name"] for node in json.loads(record.read_text())["nodes"]] == ["a", "b"]
    bench.cluster.stop("b")
    try:
        wait_for(bench.cluster.is_known, "the end of node b")
        done = bench.harness("compliance", folder, "--test", "TEST05", "--again")
        assert done.returncode == 2, done.stderr
        assert "error: cluster: the cluster's nodes are a, the run had a, b" in done.stderr
    finally:
        bench.cluster.start("b")
