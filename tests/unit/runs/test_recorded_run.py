"""A run directory is read as tables, which agree with LoadGen and with themselves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from harness.errors import LogError, UsageError
from harness.report import load_run
from harness.runs.samples import stages_at
from harness.stages import STAGES
from tests.support.made_runs import made_run, made_samples


def test_the_stages_of_every_sample_add_up_to_its_latency(tmp_path: Path) -> None:
    run = load_run(made_run(tmp_path / "r", {"single_stream": made_samples(200)}))
    samples = run.test("single_stream").samples
    assert len(samples) == 200
    together = samples[[f"{stage}_ms" for stage in STAGES]].sum(axis=1)
    assert np.allclose(together, samples["latency_ms"], rtol=1e-12)
    assert samples["session_name"].unique().tolist() == ["simulated#0"]
    assert samples["completed_ns"].is_monotonic_increasing


def test_a_query_of_multi_stream_is_its_last_sample(tmp_path: Path) -> None:
    rows = made_samples(80, sessions=4, per_query=8)
    test = load_run(made_run(tmp_path / "r", {"multi_stream": rows})).test("multi_stream")
    assert len(test.samples) == 80
    assert len(test.queries) == 10
    assert test.queries["latency_ms"].max() == pytest.approx(test.samples["latency_ms"].max())
    assert test.figures.latency_ms["p50"] in test.queries["latency_ms"].round(6).tolist()


def test_the_stages_at_a_percentile_add_up_to_loadgens_figure(tmp_path: Path) -> None:
    test = load_run(made_run(tmp_path / "r", {"single_stream": made_samples(5000)})).test("single_stream")
    latency = test.figures.latency_ms
    at = stages_at(test.queries, latency)
    assert list(at) == ["p50", "p90", "p99"]
    for name, row in at.items():
        assert sum(row.values()) == pytest.approx(latency[name], abs=1e-9)
        assert abs(row["LoadGen"]) < 0.02 * latency[name]


def test_figures_are_those_of_the_summary(tmp_path: Path) -> None:
    run = load_run(made_run(tmp_path / "r", {"offline": made_samples(100, sessions=2, offline=True)}))
    figures = run.figures.set_index(["scenario", "figure"])["value"]
    assert figures["offline", "samples_per_second"] == run.summary.scenarios["offline"].samples_per_second
    assert run.images is None
    assert run.detections is None
    assert run.evaluation is None


def test_repetitions_are_tests_of_their_own_and_in_the_summary(tmp_path: Path) -> None:
    others = [made_samples(100, seed=seed) for seed in (1, 2)]
    run = load_run(made_run(tmp_path / "r", {"single_stream": made_samples(100)}, repeats={"single_stream": others}))
    assert [test.number for test in run.performance["single_stream"]] == [1, 2, 3]
    runs = run.summary.scenarios["single_stream"].runs
    assert [repetition.latency_ms["p50"] for repetition in runs] == [
        test.figures.latency_ms["p50"] for test in run.performance["single_stream"]
    ]
    assert run.summary.scenarios["single_stream"].latency_ms == runs[0].latency_ms
    assert not any("single_stream" in reason and "repet" in reason for reason in run.summary.not_submittable_because)


def test_an_invalid_repetition_makes_the_run_invalid(tmp_path: Path) -> None:
    others = [made_samples(100, seed=1)]
    folder = made_run(tmp_path / "r", {"single_stream": made_samples(100)}, repeats={"single_stream": others})
    log = folder / "single_stream/performance/run_2/mlperf_log_detail.txt"
    log.write_text(log.read_text().replace('"VALID"', '"INVALID"'))
    assert load_run(folder).summary.valid is False


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    run = load_run(made_run(tmp_path / "r", {"single_stream": made_samples(100)}))
    with pytest.raises(UsageError, match="there is no offline performance test 1"):
        run.test("offline")
    with pytest.raises(LogError, match="is not a run directory"):
        load_run(tmp_path)
    (tmp_path / "early").mkdir()
    (tmp_path / "early/manifest.json").write_text(json.dumps({"status": "failed", "reason": "no such model"}))
    with pytest.raises(LogError, match="failed before its first test: no such model"):
        load_run(tmp_path / "early")
    (run.folder / "single_stream/performance/run_1/samples.csv.gz").write_bytes(b"no gzip")
    opened = load_run(run.folder)  # reads no table before it is asked for
    with pytest.raises(LogError, match=r"samples\.csv\.gz"):
        _ = opened.summary
