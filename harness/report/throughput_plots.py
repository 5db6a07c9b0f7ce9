"""Plots of throughput: completions over time, and what each device did with its time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.report.latency_plots import stages_plot
from harness.report.plot import BLUE, STAGE_COLOURS, TEAL, Plot, axes, bars_height, text_of
from harness.report.series import intervals, rates
from harness.runs.recorded_run import Test
from harness.stages import PERCENTILES, STAGES

MOST_DEVICES = 64
TABLE_ROWS = 40
FEWEST_WINDOWS = 4
"""Below which a rate over time is no curve."""
IDLE = "rgba(125,132,141,0.28)"


def offline_plots(test: Test, samples_per_second: float) -> list[Plot]:
    """The plots of an Offline test, whose figure LoadGen gives; of a few samples only where their time went."""
    over_time = _over_time(test, samples_per_second)
    return [_stages(test)] if over_time is None else [over_time, _stages(test)]


def outermost(ordered: Sequence[int], ends: str) -> tuple[list[int], str]:
    """The sessions that a plot shows, the last first, and what its note says of those that are left out.

    Args:
        ordered: the sessions by the figure that is shown.
        ends: what the first and the last of them are, in words.
    """
    half = MOST_DEVICES // 2
    if len(ordered) <= MOST_DEVICES:
        return sorted(ordered, reverse=True), ""
    left_out = f" Of {len(ordered)} sessions the {half} {ends}; the table has all."
    return sorted([*ordered[:half], *ordered[-half:]], reverse=True), left_out


def _over_time(test: Test, samples_per_second: float) -> Plot | None:
    completed_s = np.sort(test.samples["completed_ns"].to_numpy()) / 1e9
    x, y, width = rates(completed_s)
    if len(x) < FEWEST_WINDOWS:
        return None
    line = {
        "type": "scatter",
        "mode": "lines",
        "x": [0.0, *x.tolist(), float(completed_s[-1])],
        "y": [float(y[0]), *y.tolist(), float(y[-1])],
        "line": {"color": BLUE, "width": 2, "shape": "hvh"},
        "hovertemplate": "around %{x:.2f} s: %{y:.2f} samples/s<extra></extra>",
    }
    mean = {"color": TEAL, "width": 1.5, "dash": "dash"}
    shape = {"type": "line", "x0": 0, "x1": 1, "xref": "paper", "y0": samples_per_second, "y1": samples_per_second}
    label = {"x": 0.01, "xref": "paper", "y": samples_per_second, "text": f"LoadGen {samples_per_second:.4g}/s"}
    placed = {"showarrow": False, "xanchor": "left", "yanchor": "bottom", "font": {"color": TEAL}}
    layout = axes(
        "seconds since the first sample",
        "samples/s",
        yaxis={"rangemode": "tozero"},
        shapes=[shape | {"line": mean}],
        annotations=[label | placed],
    )
    rough = intervals(x, y, TABLE_ROWS)
    return Plot(
        key="offline-throughput",
        title="Throughput over time",
        alt=f"Completed samples a second over {completed_s[-1]:.1f} s;"
        f" LoadGen's figure is {samples_per_second:.4g} samples a second.",
        traces=[line],
        layout=layout,
        columns=("seconds", "least samples/s", "median samples/s", "most samples/s"),
        rows=[
            tuple(round(float(value), 4) for value in row)
            for row in zip(rough.x, rough.low, rough.middle, rough.high, strict=True)
        ],
        note=f"Completions in windows of {width:.3g} s. Dashed: LoadGen's figure for the whole test.",
        wide=True,
    )


def _stages(test: Test) -> Plot:
    """Offline issues everything at once: how long a sample waited says nothing about a sample."""
    samples = test.samples
    worked = samples.assign(worked_ms=samples["latency_ms"] - samples["queue_ms"])
    ordered = worked.sort_values("worked_ms", kind="stable")
    at = {}
    for name, quantile in PERCENTILES.items():
        row = ordered.iloc[min(int(quantile * len(ordered)), len(ordered) - 1)]
        at[name] = {stage: float(row[f"{stage}_ms"]) for stage in STAGES}
    note = (
        "The samples at the percentiles of the time that a session worked on them. Offline issues all at once, so"
        " that the queue stage, in the table only, is their place in the queue."
    )
    return stages_plot(test, at, left_out=("queue",), note=note)


def devices_plot(test: Test) -> Plot:
    """What every session did with the time of the test."""
    samples = test.samples
    duration_ms = (samples["completed_ns"].max() - samples["issued_ns"].min()) / 1e6
    names = test.record.session_names
    columns = ["inference_ms", "postprocess_ms", "complete_ms"]
    spent = samples.groupby("session")[columns].sum().reindex(range(len(names)), fill_value=0.0) / duration_ms * 100
    counts = samples.groupby("session").size().reindex(range(len(names)), fill_value=0)
    held = spent["complete_ms"].clip(upper=(100 - spent["inference_ms"] - spent["postprocess_ms"]).clip(lower=0))
    spent["complete_ms"] = held
    order = spent["inference_ms"].sort_values(kind="stable").index.tolist()
    shown, left_out = outermost(order, "least and most busy")
    labels = [text_of(names[k]) for k in shown]
    traces = [
        {
            "type": "bar",
            "orientation": "h",
            "name": column.removesuffix("_ms"),
            "y": labels,
            "x": spent.loc[shown, column].tolist(),
            "marker": {"color": STAGE_COLOURS[column.removesuffix("_ms")]},
            "hovertemplate": f"%{{y}} {column.removesuffix('_ms')}: %{{x:.2f}} %<extra></extra>",
        }
        for column in columns
    ]
    idle = (100 - spent.sum(axis=1)).clip(lower=0)
    traces.append(
        {"type": "bar", "orientation": "h", "name": "idle", "y": labels, "x": idle.loc[shown].tolist()}
        | {"marker": {"color": IDLE}, "hovertemplate": "%{y} idle: %{x:.2f} %<extra></extra>"}
    )
    busy = spent["inference_ms"]
    note = "Idle includes waiting for the next sample and LoadGen's own time."
    note += left_out
    return Plot(
        key=f"{test.scenario}-devices",
        title="What the devices did",
        alt=f"Time in inference: {busy.min():.1f} % to {busy.max():.1f} % of the test, over {len(names)} sessions.",
        traces=traces,
        layout=axes("share of the test's time, %", "", barmode="stack", bargap=0.3, xaxis={"range": [0, 100]})
        | {"yaxis": {"type": "category", "automargin": True}},
        columns=("session", "samples", "inference, %", "postprocess, %", "complete, %", "idle, %"),
        rows=[
            (names[k], int(counts[k]), *(round(float(spent.loc[k, c]), 2) for c in columns), round(float(idle[k]), 2))
            for k in range(len(names))
        ],
        note=note,
        height_px=bars_height(len(shown)) + 20,
    )
