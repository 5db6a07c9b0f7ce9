"""LoadGen's logs of anybody's are read without a run directory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness import cli
from harness.errors import LogError
from harness.runs.loadgen_logs import is_log_folder, read_logged_test

VALUES: dict[str, Any] = {
    "loadgen_version": "1.1 @ a9fbb605f2",
    "sut_name": "SUT\0",
    "effective_scenario": "SingleStream",
    "effective_test_mode": "PerformanceOnly",
    "result_validity": "VALID",
    "result_mean_latency_ns": 42922480,
    "result_90.00_percentile_latency_ns": 43528250,
    "power_begin": "09-01-2021 10:00:00.000",
    "power_end": "09-01-2021 10:10:00.044",
}


def logs(folder: Path, **changes: Any) -> Path:
    marks = {"is_error": False, "is_warning": False}
    entries = [
        {"key": key, "value": value, "time_ms": 1.0, "metadata": marks} for key, value in {**VALUES, **changes}.items()
    ]
    text = "".join(f":::MLLOG {json.dumps(entry)}\n" for entry in entries)
    (folder / "mlperf_log_detail.txt").write_text(text)
    (folder / "mlperf_log_summary.txt").write_text("No warnings encountered during test.\n")
    return folder


def test_the_figures_of_a_log(tmp_path: Path) -> None:
    test = read_logged_test(logs(tmp_path))
    assert (test.scenario, test.mode, test.sut, test.valid) == ("single_stream", "PerformanceOnly", "SUT", True)
    assert test.figures == {"latency mean, ms": 42.92248, "latency p90, ms": 43.52825, "duration, s": 600.044}


def test_an_invalid_log_is_explained_with_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = {"result_validity": "INVALID", "result_min_queries_met": False, "requested_min_query_count": 1024}
    assert cli.main(["report", str(logs(tmp_path, **few))]) == 1
    shown = capsys.readouterr().out
    assert "SingleStream PerformanceOnly, LoadGen 1.1" in shown
    assert "INVALID: fewer queries than the 1024 asked for were answered; a lower" in shown


def test_json_has_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", str(logs(tmp_path)), "--format", "json"]) == 0
    [data] = json.loads(capsys.readouterr().out)
    assert (data["valid"], data["figures"]["duration, s"]) == (True, 600.044)


def test_a_log_of_0_7_is_refused_and_not_read_as_empty(tmp_path: Path) -> None:
    (tmp_path / "mlperf_log_detail.txt").write_text("0000000000000ns :  pid : 1\n")
    (tmp_path / "mlperf_log_summary.txt").write_text("\n")
    assert is_log_folder(tmp_path)
    with pytest.raises(LogError, match=r"LoadGen 0\.7 or before"):
        read_logged_test(tmp_path)


def test_logs_are_not_compared_with_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", str(logs(tmp_path)), "--compare", str(tmp_path)]) == 2
    assert "not beside runs" in capsys.readouterr().err
