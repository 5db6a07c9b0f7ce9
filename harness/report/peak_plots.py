"""The tries of a search for the peak as a curve: what a higher rate costs in latency."""

from __future__ import annotations

from math import log10

from harness.report.plot import LINE_COLOURS, Plot, axes, horizontal_lines, vertical_lines
from harness.runs.records import Peak
from harness.scenarios import TITLES, Scenario

FEWEST = 3
"""Tries below which there is no curve."""


def load_latency_plot(scenario: Scenario, peak: Peak) -> Plot | None:
    """Rate against p50 and p99, with the bound; None where the tries have no latencies, or are too few."""
    tries = sorted((tried for tried in peak.tries if tried.p99_ms is not None), key=lambda tried: tried.qps)
    if len(tries) < FEWEST:
        return None
    traces = []
    for name in ("p50", "p99"):
        latencies = [tried.p50_ms if name == "p50" else tried.p99_ms for tried in tries]
        if None not in latencies:
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines+markers",
                    "name": name,
                    "x": [tried.qps for tried in tries],
                    "y": latencies,
                    "line": {"color": LINE_COLOURS[name], "width": 1.8},
                    "marker": {
                        "size": 9,
                        "color": LINE_COLOURS[name],
                        "symbol": ["circle" if tried.valid else "circle-open" for tried in tries],
                    },
                    "hovertemplate": f"%{{x:.2f}} queries/s: {name} %{{y:.3f}} ms<extra></extra>",
                }
            )
    bound_ms = tries[0].latency_bound_ms  # all tries of a search have the same
    lines = {} if bound_ms is None else {"bound": bound_ms}
    layout = axes(
        "target, queries/s", "latency, ms", yaxis={"type": "log", "dtick": "D2"}, **horizontal_lines(lines, 0)
    )
    for label in layout["annotations"]:
        label["y"] = log10(label["y"])  # of a logarithmic axis a label wants the exponent, a line does not
    found = "no rate was valid" if peak.qps is None else f"the highest valid rate is {peak.qps:.5g} queries/s"
    if peak.qps is not None:
        at_peak = vertical_lines({"target": peak.qps}, 1, sum(tried.qps for tried in tries) / len(tries))
        at_peak["annotations"][0]["text"] = f"peak {peak.qps:.5g}/s"
        layout = layout | {key: [*layout.get(key, []), *at_peak[key]] for key in at_peak}
    return Plot(
        key=f"{scenario}-load-latency",
        title=f"{TITLES[scenario]}: latency against rate",
        alt=f"p50 and p99 of {len(tries)} tries against their target rate; {found}.",
        traces=traces,
        layout=layout,
        columns=("target, queries/s", "measured, queries/s", "p50, ms", "p99, ms", "verdict"),
        rows=[
            (tried.qps, tried.samples_per_second, tried.p50_ms, tried.p99_ms, "VALID" if tried.valid else "INVALID")
            for tried in tries
        ],
        note="A mark for each try, open where it was INVALID. The latency axis is logarithmic.",
        wide=True,
    )
