"""``from harness import benchmark``: a run from Python, profiled, and what it gives."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness import BenchmarkResult, benchmark
from harness.errors import UsageError


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> BenchmarkResult:
    """A profiled and traced Offline test of two simulated devices."""
    return benchmark(
        "smoke",
        output=tmp_path_factory.mktemp("python") / "run",
        mode="performance",
        scenarios=["offline"],
        backend={"devices": "simulated*2", "options": {"transfer_ms": 1}},
        profile=True,
        trace=True,
    )


def test_the_result_has_the_runs_figures(result: BenchmarkResult) -> None:
    figures = result.scenarios["offline"]
    assert result.summary.backend.options == {"latency_ms": 5, "transfer_ms": 1}
    assert figures.score == figures.samples_per_second
    assert (figures.peak_memory_bytes or 0) > 10_000_000
    assert result.accuracy is None
    assert len(result.run.test("offline").samples) == figures.samples
    assert str(result.folder) in repr(result)
    assert "SIMULATED" in repr(result)


def test_a_notebook_shows_tables(result: BenchmarkResult) -> None:
    html = result._repr_html_()
    assert html.count("<table>") == len(result.tables)
    assert "samples/s" in html


def test_what_the_backend_says_of_its_inferences_is_in_report_and_trace(result: BenchmarkResult) -> None:
    test = result.run.test("offline")
    assert test.profile is not None
    assert set(test.profile.sessions) == {"simulated#0", "simulated#1"}
    page = (result.folder / "report.html").read_text(encoding="utf-8")
    assert "Parts of an inference" in page
    assert "counted by a SIMULATED device" in page
    assert "Profiled: the times include the counting." in page
    events = json.loads(gzip.decompress(test.files.trace.read_bytes()))["traceEvents"]
    drawn = [event for event in events if event.get("cat") == "layer"]
    assert [event["name"] for event in drawn[:3]] == ["transfer in", "compute", "transfer out"]
    assert [event["dur"] for event in drawn[:3]] == [500.0, 5000.0, 500.0]
    assert "the performance tests were profiled" in result.summary.not_submittable_because


def test_a_wrong_setting_is_the_commands_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="scenarioz"):
        benchmark("smoke", output=tmp_path / "run", scenarioz=["offline"])


def test_the_import_is_light() -> None:
    code = "import sys; from harness import benchmark; print(sorted({'pandas', 'onnxruntime'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
