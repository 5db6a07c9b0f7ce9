"""A comparison as one HTML file: what differs, the figures, and the distributions of both runs in one plot."""

from __future__ import annotations

import dataclasses
from typing import Any

from harness.report.comparison import Comparison
from harness.report.page import PageSection, render
from harness.report.plot import BLUE, ORANGE, Plot, axes, text_of
from harness.report.series import TAIL, distribution, rates
from harness.runs.recorded_run import Test
from harness.scenarios import TITLES, Scenario

LOOKS = ({"color": ORANGE, "width": 2, "dash": "dash"}, {"color": BLUE, "width": 2})
"""How the lines of the baseline and of the run are drawn."""


def comparison_html(comparison: Comparison) -> str:
    """The page."""
    differing, figures = comparison.tables()
    sections = [
        PageSection("differences", "What differs", tables=(dataclasses.replace(differing, title=""),)),
        PageSection("figures", "Figures", tables=(dataclasses.replace(figures, title=""),)),
    ]
    plots = []
    for scenario, tests in comparison.run.performance.items():
        if scenario in comparison.baseline.performance:
            both = {
                f"{comparison.baseline.name} (baseline)": comparison.baseline.performance[scenario][0],
                comparison.run.name: tests[0],
            }
            plots.append(_throughput(both) if scenario == "offline" else _latency(scenario, both))
    if plots:
        sections.append(PageSection("plots", "Both runs", plots=tuple(plots)))
    title = f"{comparison.run.name} against {comparison.baseline.name}"
    return render("comparison.html.j2", title=title, comparison=comparison, sections=sections)


def _latency(scenario: Scenario, tests: dict[str, Test]) -> Plot:
    traces, tails = [], []
    for (name, test), line in zip(tests.items(), LOOKS, strict=True):
        latencies = test.queries["latency_ms"]
        values, shares = distribution(latencies.to_numpy())
        tails.append(float(latencies.quantile(TAIL)))
        traces.append(_line(name, values.tolist(), (100 * shares).tolist(), line, "%{y:.2f} % within %{x:.4f} ms"))
    least = min(min(trace["x"]) for trace in traces)
    room = (max(tails) - least) * 0.05 or 1e-3
    figures = {name: test.figures.latency_ms for name, test in tests.items()}
    layout = axes("latency, ms", "queries, %", xaxis={"range": [least - room, max(tails) + room]})
    return Plot(
        key=f"{scenario}-distributions",
        title=f"{TITLES[scenario]}: share of queries within a latency",
        alt="; ".join(f"{name}: p50 {of['p50']:.3f} ms, p99 {of['p99']:.3f} ms" for name, of in figures.items()) + ".",
        traces=traces,
        layout=layout,
        columns=("figure", *(f"{name}, ms" for name in tests)),
        rows=[
            (figure, *(f"{of[figure]:.6f}" if figure in of else None for of in figures.values()))
            for figure in next(iter(figures.values()))
        ],
        note=f"Drawn up to the {100 * TAIL:g}th percentile. The table has LoadGen's figures.",
    )


def _throughput(tests: dict[str, Test]) -> Plot:
    traces, rows = [], []
    for (name, test), line in zip(tests.items(), LOOKS, strict=True):
        x, y, _ = rates(test.samples["completed_ns"].sort_values().to_numpy() / 1e9)
        traces.append(_line(name, x.tolist(), y.tolist(), line, "around %{x:.2f} s: %{y:.2f} samples/s"))
        rows.append((name, f"{test.figures.samples_per_second:.6g}"))
    layout = axes("seconds since the first sample", "samples/s", yaxis={"rangemode": "tozero"})
    return Plot(
        key="offline-throughputs",
        title="Offline: throughput over time",
        alt="Samples a second: " + ", ".join(f"{name} {rate}" for name, rate in rows) + ".",
        traces=traces,
        layout=layout,
        columns=("run", "samples/s"),
        rows=rows,
        note="Completions in windows; the table has LoadGen's figures of the whole tests.",
    )


def _line(name: str, x: list[float], y: list[float], look: dict[str, Any], hover: str) -> dict[str, Any]:
    shown = {"type": "scatter", "mode": "lines", "name": text_of(name), "x": x, "y": y}
    return shown | {"line": look | {"shape": "hv"}, "hovertemplate": f"{hover}<extra>%{{fullData.name}}</extra>"}
