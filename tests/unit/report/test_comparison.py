"""A comparison finds what changed, and nothing else. The runs are made up: 5 ms with 2 % noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.report.comparison import FEW_RUNS, FEW_SAMPLES, UNCHANGED, compare
from harness.report.significance import interval, noise_of_latencies, noise_of_rate, noise_of_runs
from harness.runs.recorded_run import Run, load_run
from tests.support.made_runs import made_run, made_samples


def both(folder: Path, seed: int, *, latency_ms: float = 5.0, count: int = 300) -> Run:
    scenarios = {
        "single_stream": made_samples(count, latency_ms=latency_ms, seed=seed),
        "offline": made_samples(2 * count, latency_ms=latency_ms, sessions=2, offline=True, seed=seed + 1000),
    }
    return load_run(made_run(folder / f"{seed}-{latency_ms}", scenarios))


def test_the_same_thing_does_not_change_and_three_percent_are_found(tmp_path: Path) -> None:
    unchanged, found, count = 0, 0, 100
    for seed in range(10):
        baseline = both(tmp_path, seed, count=count)
        unchanged += compare(baseline, both(tmp_path, seed + 100, count=count)).verdict == UNCHANGED
        slower = compare(baseline, both(tmp_path, seed + 200, latency_ms=5.15, count=count))
        found += slower.worse and "is slower (+" in slower.verdict
    assert unchanged >= 9
    assert found >= 9


def test_a_run_has_not_changed_against_itself(tmp_path: Path) -> None:
    run = both(tmp_path, 0)
    compared = compare(run, run)
    assert {figure.verdict for figure in compared.figures} == {UNCHANGED}
    assert compared.differences == ()
    assert compared.verdict == UNCHANGED
    assert not compared.worse


def test_a_faster_run_is_faster_in_latency_and_in_throughput(tmp_path: Path) -> None:
    compared = compare(both(tmp_path, 0, latency_ms=5.5), both(tmp_path, 1))
    verdicts = {(figure.scenario, figure.name): figure.verdict for figure in compared.figures}
    assert verdicts["single_stream", "p50"] == verdicts["offline", "samples_per_second"] == "faster"
    offline = next(figure for figure in compared.figures if figure.scenario == "offline")
    assert offline.change == pytest.approx(5.66 / 5.16 - 1, rel=0.05)  # with the 0.162 ms of the made postprocessing
    assert offline.low is not None
    assert offline.high is not None
    assert offline.low < offline.change < offline.high


def test_slow_drift_is_noise_and_not_a_change() -> None:
    """Neighbours alike (autocorrelation 0.9): a test for independent samples would call most of these significant."""
    wrong = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        runs = []
        for _ in range(2):
            noise = rng.normal(size=1000)
            for k in range(1, 1000):
                noise[k] = 0.9 * noise[k - 1] + np.sqrt(1 - 0.81) * noise[k]
            runs.append(5 * (1 + 0.02 * noise))
        one, other = (noise_of_latencies(run, {"p50": 0.5})["mean"] for run in runs)
        wrong += interval(runs[1].mean() / runs[0].mean(), one, other, 1).beyond(0)
    assert wrong <= 4


def test_a_certain_change_below_the_threshold_does_not_count(tmp_path: Path) -> None:
    baseline, run = both(tmp_path, 0, count=3000), both(tmp_path, 1, latency_ms=5.025, count=3000)
    assert compare(baseline, run, 0.01).verdict == UNCHANGED
    assert compare(baseline, run, 0.0).worse


def test_too_little_to_tell_is_said(tmp_path: Path) -> None:
    few, other = both(tmp_path, 0, count=40), both(tmp_path, 1, count=40)
    verdicts = {(figure.scenario, figure.name): figure.verdict for figure in compare(few, other).figures}
    assert verdicts["single_stream", "p99"] == FEW_SAMPLES
    assert verdicts["offline", "samples_per_second"] == FEW_RUNS
    assert noise_of_latencies(np.ones(31), {"p50": 0.5}) == {}
    assert noise_of_rate(np.arange(100.0), 2) is None
    assert noise_of_runs([1.0, 2.0]) is None


def test_repeated_runs_are_judged_by_their_own_spread(tmp_path: Path) -> None:
    def repeated(name: str, seed: int, latency_ms: float) -> Run:
        first, *others = (
            made_samples(80, latency_ms=latency_ms, sessions=2, offline=True, seed=seed + k) for k in range(5)
        )
        return load_run(made_run(tmp_path / name, {"offline": first}, repeats={"offline": others}))

    baseline = repeated("a", 0, 5.0)
    [same] = compare(baseline, repeated("b", 10, 5.0)).figures
    [slower] = compare(baseline, repeated("c", 20, 5.15)).figures
    assert same.verdict == UNCHANGED
    assert slower.verdict == "slower"
    assert slower.basis == "5 runs and 5 runs"


def test_what_differs_comes_first_and_only_that(tmp_path: Path) -> None:
    samples = {"single_stream": made_samples(100)}
    one = load_run(made_run(tmp_path / "one", samples))
    versions = {"ssd-harness": "0.1.0", "numpy": "2.1.0"}
    settings = {"name": "other", "model": {"decoder": "numpy"}, "backend": {"warmup": 1}}
    other = load_run(made_run(tmp_path / "other", samples, versions=versions, settings=settings))
    compared = compare(one, other)
    assert compared.differences == (
        ("configuration", "model.decoder", "native", "numpy"),
        ("versions", "versions.numpy", "2.0.0", "2.1.0"),
    )
    assert [table.title for table in compared.tables()] == ["What differs: other against one", "Figures"]


def test_scenarios_of_one_run_only_are_not_compared(tmp_path: Path) -> None:
    one = load_run(made_run(tmp_path / "one", {"single_stream": made_samples(100)}))
    other = load_run(made_run(tmp_path / "other", {"offline": made_samples(100, offline=True)}))
    compared = compare(one, other)
    assert compared.figures == ()
    assert compared.verdict == "the two runs have no figure in common"
    assert compared.not_compared == ("SingleStream (in one run only)", "Offline (in one run only)")
