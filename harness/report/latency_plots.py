"""Plots of latencies: their distribution, over time, and the stages of a sample."""

from __future__ import annotations

import numpy as np

from harness.report.plot import (
    BLUE,
    GREY,
    LINE_COLOURS,
    STAGE_COLOURS,
    Plot,
    at_the_edge,
    axes,
    bars_height,
    horizontal_lines,
    vertical_lines,
)
from harness.report.series import distribution, histogram, intervals
from harness.runs.recorded_run import Test
from harness.runs.samples import stages_at
from harness.runs.timeline import percentile_over_time
from harness.stages import STAGES

SHOWN = ("p50", "p90", "p99")
NS_DIGITS = 6  # of milliseconds: LoadGen's figures are whole nanoseconds
TABLE_ROWS = 40
FEWEST = 10
"""Queries below which no distribution of them is drawn."""
NEAR = 3.0
"""A bound is drawn as a line where the plot need not become so many times as large for it."""


def latency_plots(test: Test, latency_ms: dict[str, float]) -> list[Plot]:
    """The plots of a scenario whose queries have latencies; of a few queries only where their time went.

    Args:
        test: a performance test.
        latency_ms: LoadGen's own figures (mean, p50, …), which every line and label shows.
    """
    marked = {name: latency_ms[name] for name in SHOWN if name in latency_ms}
    stages = stages_plot(test, stages_at(test.queries, latency_ms))
    if len(test.queries) < FEWEST:
        return [stages]
    return [_histogram(test, marked), _distribution(test, latency_ms), _over_time(test, marked), stages]


def _bound(test: Test, reach: float) -> tuple[dict[str, float], str]:
    """The bound as a line where it lies near what is drawn, else its name for the edge; both empty without one."""
    if test.bound_ms is None:
        return {}, ""
    if test.bound_ms <= NEAR * reach:
        return {"bound": test.bound_ms}, ""
    return {}, f"bound {test.bound_ms:g} ms"


def _decimals(value: float) -> int:
    """Digits of a label: four that count."""
    return int(np.clip(3 - np.floor(np.log10(max(value, 1e-6))), 0, 4))


def _words(marked: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.{_decimals(value)}f} ms" for name, value in marked.items())


def _of_bound(test: Test) -> str:
    """What the red line is, for the end of a sentence; empty without one."""
    percentile = test.record.rules.latency_percentile
    if test.bound_ms is None or percentile is None:
        return ""
    return f", and the bound of {test.bound_ms:g} ms that p{100 * percentile:g} must keep"


def _histogram(test: Test, marked: dict[str, float]) -> Plot:
    latencies = test.queries["latency_ms"].to_numpy()
    near, beyond_it = _bound(test, max(marked.values(), default=float(latencies.max())))
    lines = marked | near
    made = histogram(latencies, max(lines.values(), default=0.0))
    bars = {
        "type": "bar",
        "x": ((made.edges[:-1] + made.edges[1:]) / 2).tolist(),
        "y": made.counts.tolist(),
        "width": np.diff(made.edges).tolist(),
        "marker": {"color": BLUE, "line": {"width": 0}},
        "hovertemplate": "%{x:.4f} ms: %{y} queries<extra></extra>",
    }
    decimals = _decimals(max(marked.values(), default=1.0))
    layout = axes("latency, ms", "queries", bargap=0, **vertical_lines(lines, decimals, float(made.edges.mean())))
    if beyond_it:
        layout["annotations"].append(at_the_edge(beyond_it, "right", len(lines)))
    beyond = f" Further right: {made.beyond}, up to {latencies.max():.3f} ms." if made.beyond else ""
    return Plot(
        key=f"{test.scenario}-histogram",
        title="Latencies",
        alt=f"Histogram of the latencies of {len(latencies)} queries: {_words(lines)}.",
        traces=[bars],
        layout=layout,
        columns=("from, ms", "to, ms", "queries"),
        rows=[
            (round(float(low), NS_DIGITS), round(float(high), NS_DIGITS), int(count))
            for low, high, count in zip(made.edges[:-1], made.edges[1:], made.counts, strict=True)
        ],
        note=f"Dashed: LoadGen's percentiles{_of_bound(test)}.{beyond}",
    )


def _distribution(test: Test, latency_ms: dict[str, float]) -> Plot:
    values, shares = distribution(test.queries["latency_ms"].to_numpy())
    percentiles = {name: value for name, value in latency_ms.items() if name.startswith("p")}
    traces = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": values.tolist(),
            "y": (shares * 100).tolist(),
            "line": {"color": BLUE, "width": 2, "shape": "hv"},
            "hovertemplate": "%{y:.2f} % within %{x:.4f} ms<extra></extra>",
        },
        {
            "type": "scatter",
            "mode": "markers",
            "x": list(percentiles.values()),
            "y": [float(name[1:]) for name in percentiles],
            "text": list(percentiles),
            "marker": {"color": STAGE_COLOURS["postprocess"], "size": 9, "symbol": "diamond"},
            "hovertemplate": "%{text}: %{x:.6f} ms<extra></extra>",
        },
    ]
    left, right = float(values[0]), max(percentiles.get("p99.9", 0.0), percentiles.get("p99", 0.0), float(values[0]))
    near, beyond_it = _bound(test, right)
    right = max(right, *near.values(), left)
    room = (right - left) * 0.05 or abs(left) * 0.01 or 1e-3
    layout = axes("latency, ms", "queries, %", xaxis={"range": [left - room, right + room]}, yaxis={"range": [0, 103]})
    layout |= vertical_lines(near, _decimals(right), (left + right) / 2)
    if beyond_it:
        layout["annotations"].append(at_the_edge(beyond_it, "right", 1))
    return Plot(
        key=f"{test.scenario}-distribution",
        title="Share of queries within a latency",
        alt=f"Empirical distribution function of the latencies: {_words(percentiles)}.",
        traces=traces,
        layout=layout,
        columns=("figure", "latency, ms"),
        rows=[(name, f"{value:.{NS_DIGITS}f}") for name, value in latency_ms.items()],
        note="Diamonds: LoadGen's percentiles, which the table gives to the nanosecond."
        + (f" Red: {_of_bound(test).removeprefix(', and ')}." if test.bound_ms is not None else ""),
    )


def _over_time(test: Test, marked: dict[str, float]) -> Plot:
    queries = test.queries.sort_values("issued_ns", kind="stable")
    seconds, latencies = queries["issued_ns"].to_numpy() / 1e9, queries["latency_ms"].to_numpy()
    made = intervals(seconds, latencies)
    near, beyond_it = _bound(test, float(latencies.max()))
    lines = marked | near
    late = percentile_over_time(seconds, latencies)
    line = {"type": "scatter", "mode": "lines", "x": made.x.tolist(), "hoverinfo": "skip"}
    if made.size == 1:
        hover = "%{x:.3f} s: %{y:.4f} ms<extra></extra>"
        traces = [
            line
            | {
                "y": made.middle.tolist(),
                "line": {"color": BLUE, "width": 1.2},
                "hovertemplate": hover,
                "hoverinfo": "all",
            }
        ]
    else:
        band = {"color": BLUE, "width": 0.5}
        hover = "%{x:.2f} s: median %{y:.4f}, %{customdata[0]:.4f} to %{customdata[1]:.4f} ms<extra></extra>"
        both = np.column_stack([made.low, made.high]).tolist()
        traces = [
            line | {"y": made.low.tolist(), "line": band},
            line | {"y": made.high.tolist(), "line": band, "fill": "tonexty", "fillcolor": "rgba(43,123,186,0.25)"},
            line
            | {"y": made.middle.tolist(), "line": {"color": BLUE, "width": 1.8}, "customdata": both}
            | {"hovertemplate": hover, "hoverinfo": "all"},
        ]
    if late is not None:
        traces[-1]["name"] = "each query" if made.size == 1 else "median"
        traces.append(
            {"type": "scatter", "mode": "lines", "name": "p99", "x": late.at.tolist(), "y": late.values.tolist()}
            | {"line": {"color": LINE_COLOURS["p99"], "width": 2}}
            | {"hovertemplate": "around %{x:.2f} s: p99 %{y:.4f} ms<extra></extra>"}
        )
    rough = intervals(seconds, latencies, TABLE_ROWS)
    decimals = _decimals(max(marked.values(), default=1.0))
    layout = axes("seconds since the first query", "latency, ms", **horizontal_lines(lines, decimals))
    if beyond_it:
        layout["annotations"].append(at_the_edge(beyond_it, "top", 0))
    note = f"Dashed: LoadGen's percentiles{_of_bound(test)}."
    if late is not None:
        note += f" p99: of each {late.size} queries."
    if made.size > 1:
        note += (
            f" {len(queries)} queries in {len(made.x)} intervals of up to {made.size}: the line is the median of each,"
            " the band reaches from its shortest to its longest."
        )
    return Plot(
        key=f"{test.scenario}-over-time",
        title="Latency over time",
        alt=f"Latencies over the {seconds[-1] if len(seconds) else 0:.1f} s of the test, between"
        f" {latencies.min():.3f} and {latencies.max():.3f} ms.",
        traces=traces,
        layout=layout,
        columns=("seconds", "shortest, ms", "median, ms", "longest, ms"),
        rows=[
            tuple(round(float(value), NS_DIGITS) for value in row)
            for row in zip(rough.x, rough.low, rough.middle, rough.high, strict=True)
        ],
        note=note,
        wide=True,
    )


def stages_plot(test: Test, at: dict[str, dict[str, float]], *, left_out: tuple[str, ...] = (), note: str = "") -> Plot:
    """Where the time of the samples at p50, p90 and p99 went, as stacked bars.

    Args:
        at: percentile → stage → milliseconds.
        left_out: stages that are in the table only.
    """
    stages = [*STAGES, "LoadGen"] if any("LoadGen" in row for row in at.values()) else list(STAGES)
    names = list(reversed(at))
    traces = [
        {
            "type": "bar",
            "orientation": "h",
            "name": stage,
            "y": names,
            "x": [max(at[name][stage], 0.0) for name in names],
            "marker": {"color": STAGE_COLOURS.get(stage, GREY)},
            "hovertemplate": f"{stage} at %{{y}}: %{{x:.6f}} ms<extra></extra>",
        }
        for stage in stages
        if stage not in left_out
    ]
    rows = [
        (name, *(f"{row[stage]:.{NS_DIGITS}f}" for stage in stages), f"{sum(row.values()):.{NS_DIGITS}f}")
        for name, row in at.items()
    ]
    spoken = "; ".join(
        f"{name}: " + ", ".join(f"{stage} {row[stage]:.3f}" for stage in stages if stage not in left_out)
        for name, row in at.items()
    )
    how = "The stages of the queries at each percentile. LoadGen: what its clock adds before and after."
    return Plot(
        key=f"{test.scenario}-stages",
        title="Where the time of a sample goes",
        alt=f"Stages in milliseconds. {spoken}.",
        traces=traces,
        layout=axes("milliseconds", "", barmode="stack", bargap=0.35),
        columns=("percentile", *(f"{stage}, ms" for stage in stages), "together, ms"),
        rows=rows,
        note=note or how,
        height_px=bars_height(len(names)) + 30,
    )
