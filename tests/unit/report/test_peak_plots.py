"""The tries of a search for the peak as a curve."""

from __future__ import annotations

from harness.report.peak_plots import load_latency_plot
from harness.runs.records import Peak, PeakTry


def tried(qps: float, p99_ms: float | None, **more: object) -> PeakTry:
    parts = {"qps": qps, "p99_ms": p99_ms, "samples_per_second": qps, "folder": "x"}
    return PeakTry.model_validate(parts | {"valid": p99_ms is not None and p99_ms < 100} | more)


def test_the_curve_goes_from_the_lowest_rate_to_the_highest() -> None:
    tries = [tried(100, 20.0, p50_ms=5.0), tried(300, 400.0, p50_ms=90.0), tried(200, 60.0, p50_ms=9.0)]
    bounded = [one.model_copy(update={"latency_bound_ms": 100.0}) for one in tries]
    plot = load_latency_plot("server", Peak(valid=True, qps=200.0, tries=tuple(bounded)))
    assert plot is not None
    assert [trace["name"] for trace in plot.traces] == ["p50", "p99"]
    assert plot.traces[1]["x"] == [100, 200, 300]
    assert plot.traces[1]["y"] == [20.0, 60.0, 400.0]
    assert plot.traces[1]["marker"]["symbol"] == ["circle", "circle", "circle-open"]
    assert plot.layout["annotations"][0]["y"] == 2.0  # the exponent of 100
    assert "200 queries/s" in plot.alt


def test_tries_of_before_have_no_p50() -> None:
    tries = tuple(tried(qps, 20.0) for qps in (100, 200, 300))
    plot = load_latency_plot("server", Peak(valid=True, qps=300.0, tries=tries))
    assert plot is not None
    assert [trace["name"] for trace in plot.traces] == ["p99"]


def test_two_tries_and_offline_are_no_curve() -> None:
    assert load_latency_plot("server", Peak(valid=True, tries=(tried(1, 2.0), tried(2, 3.0)))) is None
    assert load_latency_plot("offline", Peak(valid=True, tries=tuple(tried(k, None) for k in range(4)))) is None
