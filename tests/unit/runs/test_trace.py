"""A test's samples and LoadGen's own trace become one trace that nests and is on one clock."""

from __future__ import annotations

import csv
import gzip
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from harness.errors import LogError
from harness.runs import trace as module
from harness.runs.trace import write_trace
from tests.support.chrome_trace import read_trace

HEADER = (
    "session",
    "sample_id",
    "sample_index",
    "issued_ns",
    "started_ns",
    "inferred_ns",
    "decoded_ns",
    "completed_ns",
)
Row = tuple[int, ...]


def samples(folder: Path, rows: list[Row]) -> None:
    """Rows of (session, sample, issued, started, inferred, decoded, completed)."""
    with gzip.open(folder / "samples.csv.gz", "wt", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        writer.writerows((row[0], 1_000_000 + k, *row[1:]) for k, row in enumerate(rows))


def loadgen(folder: Path, lines: list[str]) -> None:
    """As LoadGen writes it, with its last events and its closing lines."""
    text = ",\n".join([*lines, '{"name":"LastTrace"}'])
    end = '\n],\n"displayTimeUnit":"ns",\n"otherData":{\n"version":"MLPerf LoadGen v1.0"\n}\n}\n'
    (folder / "mlperf_log_trace.json").write_text('{"traceEvents":[\n' + text + end)


def sample_lines(seq: int, begin_us: float, end_us: float) -> list[str]:
    what = f'{{"name":"Sample","cat":"default","pid":9,"id":{seq}'
    begin = f'{what},"ph":"b","ts":{begin_us:.3f},"args":{{"sample_seq":{seq}}}}}'
    return [begin, f'{what},"ph":"e","ts":{end_us:.3f}}}']


TWO: list[Row] = [
    (0, 7, 0, 1_500, 12_001_503, 12_060_000, 12_070_001),
    (0, 8, 100, 12_080_000, 24_000_000, 24_050_000, 24_060_000),
]


def test_a_session_is_a_track_with_the_stages_of_its_samples_to_the_nanosecond(tmp_path: Path) -> None:
    samples(tmp_path, [*TWO, (1, 9, 200, 3_000, 9_000_000, 9_000_100, 9_000_500)])
    trace = read_trace(write_trace(tmp_path, ["npu:0#0", "npu:1#1"], "Server performance"))
    assert trace.threads["Sessions", "npu:0#0"] == [
        ("inference", 1_500, 12_000_003, {"sample": 7, "queue_us": Decimal("1.500")}),
        ("postprocess", 12_001_503, 58_497, {"sample": 7, "queue_us": Decimal("1.500")}),
        ("complete", 12_060_000, 10_001, {"sample": 7, "queue_us": Decimal("1.500")}),
        ("inference", 12_080_000, 11_920_000, {"sample": 8, "queue_us": Decimal("12079.900")}),
        ("postprocess", 24_000_000, 50_000, {"sample": 8, "queue_us": Decimal("12079.900")}),
        ("complete", 24_050_000, 10_000, {"sample": 8, "queue_us": Decimal("12079.900")}),
    ]
    assert [span[0] for span in trace.threads["Sessions", "npu:1#1"]] == ["inference", "postprocess", "complete"]
    assert trace.about["test"] == "Server performance"
    assert trace.about["samples"] == 3
    assert trace.about["inference spans"] == "of every sample"
    assert trace.about["LoadGen's events"] == "none: there is no mlperf_log_trace.json"


def test_waits_overlap_and_are_spans_of_their_own(tmp_path: Path) -> None:
    samples(tmp_path, TWO)
    trace = read_trace(write_trace(tmp_path, ["a"], "t"))
    waits = trace.spans["Queue", "queue", "queue"]
    assert [(begin, duration, args["sample"]) for _, begin, duration, args in waits] == [
        (0, 1_500, 7),
        (100, 12_079_900, 8),
    ]


def test_counters_say_how_many_wait_and_how_many_sessions_work(tmp_path: Path) -> None:
    samples(tmp_path, TWO)
    trace = read_trace(write_trace(tmp_path, ["a"], "t"))
    waiting = [(0, 1), (100, 2), (1_500, 1), (12_080_000, 0)]
    assert trace.counters["Queue", "queue depth.waiting"] == waiting
    at_work = [(1_500, 1), (12_001_503, 0), (12_080_000, 1), (24_000_000, 0)]  # decoding is beside the session
    assert trace.counters["Queue", "sessions at work.at work"] == at_work


def test_an_answer_that_was_held_while_the_next_sample_ran_is_not_on_the_sessions_track(tmp_path: Path) -> None:
    samples(tmp_path, [(0, k, 0, 100 * k, 100 * k + 50, 100 * k + 90, 1_000) for k in range(5)])
    trace = read_trace(write_trace(tmp_path, ["a"], "t"))
    assert [span[0] for span in trace.threads["Sessions", "a"]].count("inference") == 5
    assert [span[0] for span in trace.threads["Sessions", "a"]].count("complete") == 1
    held = trace.spans["Sessions", "answers", "held answer"]
    assert [(begin, begin + duration) for _, begin, duration, _ in held] == [(100 * k + 90, 1_000) for k in range(4)]


def test_a_long_test_leaves_out_samples_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_SAMPLES", 40)
    monkeypatch.setattr(module, "MOST_WAITING_DRAWN", 8)
    monkeypatch.setattr(module, "MOST_POINTS", 50)
    rows: list[Row] = [(0, k, 0, 1_000 * k, 1_000 * k + 900, 1_000 * k + 950, 1_000 * k + 990) for k in range(100)]
    samples(tmp_path, rows)
    trace = read_trace(write_trace(tmp_path, ["a"], "t"))
    assert [span[0] for span in trace.threads["Sessions", "a"]].count("inference") == 34
    assert trace.about["inference spans"] == "of one sample in 3"
    assert trace.about["queue spans"] == "of one sample in 15"
    assert len(trace.spans["Queue", "queue", "queue"]) == 7
    depth = trace.counters["Queue", "queue depth.waiting"]
    assert len(depth) <= 51
    assert depth[-1] == (99_000, 0)


def test_loadgens_events_are_moved_to_the_samples_clock_and_still_nest(tmp_path: Path) -> None:
    """LoadGen's clock begins 5 s earlier and drifts by 20 µs a second; we see a completion 3 to 40 µs after LoadGen."""
    rng = np.random.default_rng(1)
    rows: list[Row] = []
    lines = []

    def theirs_us(ns: float) -> float:
        return ns / 1e3 * (1 + 20e-6) + 5_000_000

    lines.append(
        f'{{"name":"SampleLoop","ph":"X","pid":9,"tid":4,"ts":{theirs_us(-50):.3f},"dur":{6e6:.3f},"args":{{}}}}'
    )
    for k in range(600):
        issued = 10_000_000 * k
        completed = issued + 8_000_000
        rows.append((0, k % 64, issued, issued + 5_000, completed - 100_000, completed - 50_000, completed))
        ended = theirs_us(completed) - 3 - float(rng.exponential(10))
        begin = theirs_us(issued)
        lines.append(f'{{"name":"IssueQuery","ph":"X","pid":9,"tid":4,"ts":{begin:.3f},"dur":9.000,"args":{{}}}}')
        lines += sample_lines(k, begin, ended)
    lines.append(
        '{"name":"LogDetail","ph":"X","pid":9,"tid":5,"ts":1.000,"dur":1.000,"args":{"key":""loadgen_version""}}'
    )
    lines.append('{"name":"cut off","ph":"X","pi')
    samples(tmp_path, rows)
    loadgen(tmp_path, lines)
    trace = read_trace(write_trace(tmp_path, ["a"], "t"))
    first = int(trace.about["first sample issued, microseconds"] * 1000)
    assert first == pytest.approx(5_000_000_000, abs=30_000)  # after LoadGen's first event, at 1 µs of its clock
    ours = [row[2] + first for row in rows]
    issues = [span[1] for span in trace.threads["LoadGen", "4"] if span[0] == "IssueQuery"]
    assert len(issues) == 600
    assert np.abs(np.array(issues) - ours).max() < 10_000  # 5 s apart, now within 10 µs all along
    assert len(trace.spans["LoadGen", "LoadGen", "Sample"]) == 600
    assert trace.threads["LoadGen", "5"][0][3] == {"key": "loadgen_version"}
    assert trace.about["LoadGen's lines that could not be read"] == 1


def test_loadgens_samples_that_are_all_at_once_are_thinned(tmp_path: Path) -> None:
    samples(tmp_path, [(0, k, 0, 1_000 * k, 1_000 * k + 900, 1_000 * k + 950, 1_000 * k + 990) for k in range(1000)])
    loadgen(tmp_path, [line for k in range(1000) for line in sample_lines(k, 0, k + 0.98)])
    trace = read_trace(write_trace(tmp_path, ["a"], "t"))
    assert 32 <= len(trace.spans["LoadGen", "LoadGen", "Sample"]) <= 64


def test_a_loadgen_trace_of_other_samples_is_left_out(tmp_path: Path) -> None:
    samples(tmp_path, TWO)
    loadgen(tmp_path, sample_lines(0, 0, 5))
    trace = read_trace(write_trace(tmp_path, ["a"], "t"))
    assert trace.about["LoadGen's events"] == "none: it saw 1 samples complete, and we 2"
    assert not any(process == "LoadGen" for process, _ in trace.threads)


def test_names_are_escaped(tmp_path: Path) -> None:
    samples(tmp_path, TWO)
    assert ("Sessions", 'a"\\\n#0') in read_trace(write_trace(tmp_path, ['a"\\\n#0'], "t")).threads


def test_without_samples_there_is_no_trace(tmp_path: Path) -> None:
    with pytest.raises(LogError, match=r"samples\.csv\.gz"):
        write_trace(tmp_path, ["a"], "t")
    assert not list(tmp_path.iterdir())
