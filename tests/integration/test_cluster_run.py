"""Runs on nodes that Ray starts on this machine: the same results, and nothing left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed (pip install -e '.[cluster]')"),
]


def run(cache: Path, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", "run", *args, "--quiet"],
        env=os.environ | {"SSD_HARNESS_CACHE": str(cache)} | environment,
        capture_output=True,
        text=True,
        timeout=280,
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """For temporary files of a run of our own: others may have clusters on this machine at the same time."""
    with tempfile.TemporaryDirectory(prefix="run-", dir="/tmp") as folder:
        yield Path(folder)


def left_behind(temporary: Path) -> list[str]:
    """Folders and processes of a run's cluster, which has its files there."""
    folders = [str(path) for path in temporary.glob("ssd-ray-*")]
    return folders + [
        " ".join(process.info["cmdline"] or [])
        for process in psutil.process_iter(["cmdline"])
        if any(f"{temporary}/ssd-ray-" in part for part in process.info["cmdline"] or [])
    ]


def test_the_accuracy_log_is_the_same_record_for_record(cache: Path, tmp_path: Path, int8_model: Path) -> None:
    common = ["demo", "--model", str(int8_model), "--scenario", "offline", "--mode", "accuracy", "--count", "6"]
    common += ["--devices", "cpu", "--set", "dataset.synthetic.images=6"]
    for name, more in {"one": [], "two": ["--cluster", "local:2"]}.items():
        done = run(cache, *common, *more, "--output", str(tmp_path / name))
        assert done.returncode == 0, done.stdout + done.stderr
    logs = [tmp_path / name / "offline" / "accuracy" / "mlperf_log_accuracy.json" for name in ("one", "two")]
    one, two = (sorted((entry["qsl_idx"], entry["data"]) for entry in json.loads(log.read_text())) for log in logs)
    assert len(one) == 6
    assert one == two
    record: Any = json.loads((tmp_path / "two" / "offline" / "accuracy" / "test.json").read_text())
    assert [session["name"] for session in record["sessions"]] == ["node-1/cpu#0", "node-2/cpu#1"]
    assert sum(record["samples_per_session"].values()) == 6


def test_the_accuracy_log_is_the_same_through_channels_and_calls(cache: Path, tmp_path: Path) -> None:
    common = ["smoke", "--scenario", "server", "--mode", "accuracy", "--devices", "simulated*2"]
    on_nodes = ["--cluster", "local:2"]
    ways = {"one": [], "channels": on_nodes, "calls": [*on_nodes, "--set", "cluster.channels=false"]}
    logs = {}
    for name, more in ways.items():
        done = run(cache, *common, *more, "--output", str(tmp_path / name))
        assert done.returncode == 0, done.stdout + done.stderr
        folder = tmp_path / name / "server" / "accuracy"
        log = json.loads((folder / "mlperf_log_accuracy.json").read_text())
        logs[name] = sorted((entry["qsl_idx"], entry["data"]) for entry in log)
        record = json.loads((folder / "test.json").read_text())
        assert [node["channel"] for node in record["nodes"]] == ([] if name == "one" else [name == "channels"] * 2)
    assert logs["one"]
    assert logs["one"] == logs["channels"] == logs["calls"]


def test_performance_of_every_scenario_and_nothing_is_left(cache: Path, tmp_path: Path, short_folder: Path) -> None:
    folder = tmp_path / "run"
    done = run(
        cache,
        "smoke",
        *("--cluster", "local:2", "--devices", "2*(simulated*2)", "--mode", "performance"),
        *("--scenario", "single_stream,offline,server,multi_stream", "--queries", "40", "--duration", "0.2"),
        *("--output", str(folder)),
        TMPDIR=str(short_folder),
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr  # 1: a busy machine misses Server's bound
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["status"] == "complete"
    records = {test["scenario"]: test for test in json.loads((folder / "manifest.json").read_text())["tests"]}
    assert [session["name"] for session in records["single_stream"]["sessions"]] == ["simulated#0"]
    for scenario in ("offline", "server", "multi_stream"):
        answered = records[scenario]["samples_per_session"]
        assert list(answered) == [f"node-{1 + k // 2}/simulated#{k}" for k in range(4)]
        assert sum(answered.values()) >= 40
        assert [node["channel"] for node in records[scenario]["nodes"]] == [scenario != "offline"] * 2
        # nor does it answer in time what calibration promised
        assert not [warning for warning in records[scenario]["warnings"] if "queries/s are answered" not in warning]
    assert left_behind(short_folder) == []


def test_a_cluster_that_is_not_there_is_one_line(cache: Path, tmp_path: Path) -> None:
    done = run(cache, "smoke", "--cluster", "ray://127.0.0.1:1", "--output", str(tmp_path / "run"))
    assert done.returncode == 3
    assert "Ray cannot join ray://127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr
