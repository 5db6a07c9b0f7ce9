"""``ssd-harness run --trace``: the trace says what the summary says, to Perfetto's trace processor too."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness import cli
from tests.support.chrome_trace import query, read_trace, trace_processor

DEVICES, SAMPLES = 64, 20_000


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A traced run of SingleStream and, on 64 simulated devices, Offline."""
    folder = tmp_path_factory.mktemp("trace") / "out"
    given = f"""run smoke --trace --mode performance --scenario single_stream,offline --output {folder}
        --set model.name=tests.support.tiny_model:MODEL --devices simulated*{DEVICES} --set model.decoder=none
        --duration 0.2 --set tests.offline.min_queries={SAMPLES} --set tests.offline.expected_qps=100
        --set tests.single_stream.min_queries=300 --set tests.single_stream.expected_latency_ms=1"""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSD_HARNESS_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        assert cli.main([*given.split(), "--set", "backend.options={latency_ms: 5}"]) == 0
    return folder


def summary(run: Path) -> dict[str, Any]:
    return json.loads((run / "summary.json").read_text())


def test_a_traced_run_says_so_and_cannot_be_submitted(run: Path) -> None:
    assert summary(run)["traced"] is True
    assert "the performance tests were traced" in summary(run)["not_submittable_because"]


def test_the_trace_has_the_inferences_and_the_busy_time_of_the_summary(run: Path) -> None:
    figures = summary(run)["scenarios"]["offline"]
    trace = read_trace(run / "offline/performance/run_1/trace.json.gz")
    assert len(figures["sessions"]) == DEVICES
    counted = 0
    for name, session in figures["sessions"].items():
        inferences = [span for span in trace.threads["Sessions", name] if span[0] == "inference"]
        counted += len(inferences)
        assert len(inferences) == session["samples"]
        busy_s = sum(duration for _, _, duration, _ in inferences) / 1e9
        assert busy_s / figures["duration_s"] == pytest.approx(session["busy"], rel=1e-3)  # duration_s is in whole ms
    assert counted == figures["samples"] == SAMPLES
    depth = trace.counters["Queue", "queue depth.waiting"]
    assert depth[-1][1] == 0
    assert SAMPLES - DEVICES <= max(value for _, value in depth) <= SAMPLES
    assert max(value for _, value in trace.counters["Queue", "sessions at work.at work"]) <= DEVICES


def test_loadgens_events_are_on_the_clock_of_the_sessions(run: Path) -> None:
    """LoadGen notes an issue just before we do, and an answer just before the call that hands it over returns."""
    folder = run / "single_stream/performance/run_1"
    trace = read_trace(folder / "trace.json.gz")
    samples = pd.read_csv(folder / "samples.csv.gz").sort_values("issued_ns")
    assert trace.about["inference spans"] == trace.about["queue spans"] == "of every sample"
    loadgen = sorted(trace.spans["LoadGen", "LoadGen", "Sample"], key=lambda span: span[1])
    assert len(loadgen) == len(samples) == 300
    shift = int(trace.about["first sample issued, microseconds"] * 1000)
    begin, end = (np.array([span[1] + also * span[2] - shift for span in loadgen]) for also in (0, 1))
    before_ns, after_ns = samples["issued_ns"].to_numpy() - begin, samples["completed_ns"].to_numpy() - end
    assert abs(np.median(before_ns)) < 1_000_000  # a device takes 5 ms; on an idle machine it is under 2 µs
    assert 0 <= np.median(after_ns) < 2_000_000
    assert (end >= samples["decoded_ns"].to_numpy() - 50_000).all()


def test_records_take_less_than_100_bytes_a_sample(run: Path) -> None:
    file = run / "offline/performance/run_1/samples.csv.gz"
    assert file.stat().st_size <= 100 * SAMPLES
    with gzip.open(file, "rt") as lines:
        assert sum(1 for _ in lines) == SAMPLES + 1


def test_the_stage_times_of_a_sample_add_up_to_its_latency_which_loadgens_holds(run: Path) -> None:
    figures = summary(run)["scenarios"]["single_stream"]
    stages_ms = {name: stage["mean"] for name, stage in figures["stages_ms"].items()}
    samples = pd.read_csv(run / "single_stream/performance/run_1/samples.csv.gz")
    own_ms = (samples["completed_ns"] - samples["issued_ns"]).mean() / 1e6
    assert sum(stages_ms.values()) == pytest.approx(own_ms, rel=1e-3)
    # a device of 5 ms; LoadGen notes the issue before we do, and the answer after it was decoded
    assert 5 <= sum(stages_ms.values()) - stages_ms["complete"] <= figures["latency_ms"]["mean"]


def test_perfettos_trace_processor_agrees(run: Path, tmp_path: Path) -> None:
    trace_processor()
    figures = summary(run)["scenarios"]["offline"]
    path = run / "offline/performance/run_1/trace.json.gz"
    sql = """
        SELECT thread.name AS session, COUNT(*) AS inferences, SUM(slice.dur) AS busy_ns, MAX(slice.depth) AS depth
        FROM slice JOIN thread_track ON slice.track_id = thread_track.id JOIN thread USING (utid)
        WHERE slice.name = 'inference' GROUP BY thread.name;
    """
    rows = {row["session"]: row for row in query(path, sql, tmp_path)}
    assert set(rows) == set(figures["sessions"])
    for name, session in figures["sessions"].items():
        assert int(rows[name]["inferences"]) == session["samples"]
        assert int(rows[name]["depth"]) == 0
        busy = int(rows[name]["busy_ns"]) / 1e9 / figures["duration_s"]
        assert busy == pytest.approx(session["busy"], rel=1e-3)
    errors = query(path, "SELECT name, value FROM stats WHERE severity = 'error' AND value > 0;", tmp_path)
    assert errors == []


@pytest.mark.parametrize("mode", ["accuracy", "find-peak"])
def test_only_performance_tests_are_traced(mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "smoke", "--trace", "--mode", mode]) == 2
    assert f"trace is of performance tests, and mode is {mode}" in capsys.readouterr().err
