"""Plots of load over the time of a test: rates, waiting samples, each session's rate, and the machine under it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.report.latency_plots import FEWEST
from harness.report.plot import (
    BLUE,
    GREY,
    ORANGE,
    PURPLE,
    ROW_PX,
    Plot,
    axes,
    horizontal_lines,
    text_of,
)
from harness.report.series import rates
from harness.report.throughput_plots import FEWEST_WINDOWS, outermost
from harness.runs.machine_load import AT, busy_cores
from harness.runs.recorded_run import Test
from harness.runs.timeline import queue_depth, session_rates

WINDOWS = 120
A_WINDOW = 32
"""Queries that a window of random arrivals holds at least: their number is within a third, mostly."""
TABLE_ROWS = 40
SHADES = [[0.0, "rgba(43,123,186,0.06)"], [1.0, BLUE]]
"""From no samples a second to the most: readable on a light and on a dark page."""


def load_plots(test: Test) -> list[Plot]:
    """Those that the test has enough samples and records for."""
    plots = [_rates(test), _queue(test)] if test.scenario == "server" else []
    return [plot for plot in (*plots, _session_rates(test), _machine(test)) if plot is not None]


def _end_s(test: Test) -> float:
    """When the last sample was completed, in seconds since the first issue."""
    return float(test.samples["completed_ns"].max()) / 1e9


def _axes(test: Test, y: str, **more: Any) -> dict[str, Any]:
    """Axes over the whole time of the test, so that what happened at one moment stands at one place."""
    return axes("seconds since the first sample", y, xaxis={"range": [0, _end_s(test)]}, **more)


def _rates(test: Test) -> Plot | None:
    """Issued and answered queries a second, and the target."""
    answered = rates(np.sort(test.samples["completed_ns"].to_numpy()) / 1e9, A_WINDOW)
    issued = rates(np.sort(test.samples["issued_ns"].to_numpy()) / 1e9, A_WINDOW)
    if min(len(answered[0]), len(issued[0])) < FEWEST_WINDOWS:
        return None
    figures = test.figures
    given = {
        "target": figures.target_samples_per_second,
        "scheduled": figures.scheduled_samples_per_second,
        "completed": figures.completed_samples_per_second,
    }
    known = {name: rate for name, rate in given.items() if rate is not None}
    target = {name: rate for name, rate in known.items() if name == "target"}
    spoken = ", ".join(f"{name} {rate:.5g}" for name, rate in known.items())
    traces = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": name,
            "x": x.tolist(),
            "y": y.tolist(),
            "line": {"color": colour, "width": 1.6},
            "hovertemplate": f"around %{{x:.2f}} s: %{{y:.2f}} {name} a second<extra></extra>",
        }
        for name, colour, (x, y, _) in (("issued", GREY, issued), ("answered", BLUE, answered))
    ]
    return Plot(
        key=f"{test.scenario}-rates",
        title="Rate over time",
        alt=f"Queries a second over time, issued and answered; of the whole test: {spoken or 'not recorded'}.",
        traces=traces,
        layout=_axes(test, "queries/s", yaxis={"rangemode": "tozero"}, **horizontal_lines(target, 1)),
        columns=("of the whole test", "queries/s"),
        rows=[(name, round(rate, 3)) for name, rate in known.items()],
        note=f"In windows of {answered[2]:.3g} s. Dashed: the target, the mean of LoadGen's random arrivals.",
    )


def _queue(test: Test) -> Plot | None:
    """Samples that were issued and had no session yet."""
    moments, waiting = queue_depth(test.samples)
    if len(test.samples) < FEWEST or moments[-1] <= 0:
        return None
    edges = np.linspace(0, moments[-1], min(WINDOWS, len(moments) // 2) + 1)
    most, mean = _of_windows(moments, waiting, edges)
    middles = (edges[:-1] + edges[1:]) / 2e9
    traces = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": name,
            "x": middles.tolist(),
            "y": values.tolist(),
            "line": {"color": colour, "width": 1.6, "shape": "hvh"},
            "hovertemplate": f"around %{{x:.2f}} s: %{{y:.2f}} waiting ({name})<extra></extra>",
        }
        for name, colour, values in (("most", ORANGE, most), ("mean", BLUE, mean))
    ]
    every = max(len(middles) // TABLE_ROWS, 1)
    return Plot(
        key=f"{test.scenario}-queue",
        title="Queue depth over time",
        alt=f"Waiting queries over time: at most {most.max():.0f}, {mean.mean():.2f} on average.",
        traces=traces,
        layout=_axes(test, "waiting queries", yaxis={"rangemode": "tozero"}),
        columns=("seconds", "most waiting", "mean waiting"),
        rows=[
            (round(float(x), 3), int(a), round(float(b), 3))
            for x, a, b in zip(middles[::every], most[::every], mean[::every], strict=True)
        ],
        note=f"Issued and not yet at a session, in windows of {(edges[1] - edges[0]) / 1e9:.3g} s."
        " A queue that grows until the end says that the rate was above what the sessions can do.",
    )


def _of_windows(
    moments: npt.NDArray[np.int64], values: npt.NDArray[np.int64], edges: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The most, and the mean over time, of a step function in each window."""
    most, mean = [], []
    for low, high in pairwise(edges):
        inner = slice(int(np.searchsorted(moments, low, "right")), int(np.searchsorted(moments, high, "left")))
        before = values[inner.start - 1] if inner.start else 0
        levels = np.concatenate([[before], values[inner]]).astype(np.float64)
        widths = np.diff(np.concatenate([[low], moments[inner], [high]]))
        most.append(float(levels.max()))
        mean.append(float((levels * widths).sum() / (high - low)))
    return np.array(most), np.array(mean)


def _session_rates(test: Test) -> Plot | None:
    """Each session's rate over time; None for one session, whose rate is the test's."""
    names = test.record.session_names
    made = session_rates(test.samples, len(names)) if len(names) > 1 else None
    if made is None:
        return None
    whole = made.rates.mean(axis=1)
    shown, left_out = outermost(np.argsort(whole, kind="stable").tolist(), "slowest and fastest")
    width = float(made.edges_s[1] - made.edges_s[0])
    heat = {
        "type": "heatmap",
        "x": ((made.edges_s[:-1] + made.edges_s[1:]) / 2).tolist(),
        "y": [text_of(names[k]) for k in shown],
        "z": made.rates[shown].round(3).tolist(),
        "zmin": 0.0,
        "zmax": float(made.rates[shown].max()),
        "colorscale": SHADES,
        "colorbar": {"title": {"text": "samples/s"}, "thickness": 12, "outlinewidth": 0},
        "hovertemplate": "%{y} around %{x:.2f} s: %{z:.2f} samples/s<extra></extra>",
    }
    note = f"Completed samples a second in windows of {width:.3g} s; a paler row is a slower session, a paler column a"
    note += " moment in which all of them were."
    note += left_out
    return Plot(
        key=f"{test.scenario}-session-rates",
        title="Each session over time",
        alt=f"Samples a second of {len(names)} sessions over time, on average {whole.min():.4g} to {whole.max():.4g}.",
        traces=[heat],
        layout=_axes(test, "") | {"yaxis": {"type": "category", "automargin": True}},
        columns=("session", "mean samples/s", "least in a window", "most in a window"),
        rows=[
            (name, *(round(float(value), 3) for value in (rate, row.min(), row.max())))
            for name, rate, row in zip(names, whole, made.rates, strict=True)
        ],
        note=note,
        height_px=max(96 + ROW_PX * len(shown), 200),
        wide=True,
    )


def _machine(test: Test) -> Plot | None:
    """Cores that were busy: of this run, and of everybody."""
    load = test.machine_load
    if load is None:
        return None
    cores = busy_cores(load)
    cores = cores[(cores[AT] >= 0) & (cores[AT] <= _end_s(test))]
    if len(cores) < FEWEST_WINDOWS or cores["busy"].isna().all():
        return None
    named = [("everything on the machine", ORANGE, "busy"), ("this run", PURPLE, "own")]
    named = [entry for entry in named if cores[entry[2]].notna().any()]
    traces = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": name,
            "x": cores[AT].tolist(),
            "y": cores[column].clip(lower=0).tolist(),
            "line": {"color": colour, "width": 1.6},
            "hovertemplate": f"around %{{x:.1f}} s: %{{y:.2f}} cores, {name}<extra></extra>",
        }
        for name, colour, column in named
    ]
    means = {name: float(cores[column].mean()) for name, _, column in named}
    machine = test.record.machine
    there = None if machine is None else machine.cores
    of_all = "" if there is None else f" of {there}"
    every = max(len(cores) // TABLE_ROWS, 1)
    return Plot(
        key=f"{test.scenario}-machine",
        title="The machine under it",
        alt="Busy cores over time; on average "
        + ", ".join(f"{mean:.2f}{of_all} by {name}" for name, mean in means.items()),
        traces=traces,
        layout=_axes(test, "busy cores", yaxis={"range": [0, 1.05 * max(there or 0, cores["busy"].max())]}),
        columns=("seconds", *(f"{name}, cores" for name in means)),
        rows=[
            tuple(round(float(row[column]), 3) for column in (AT, *(c for _, _, c in named)))
            for _, row in cores.iloc[::every].iterrows()
        ],
        note=f"Cores{of_all} that were at work, by Linux's counters. Above this run's line: other programs.",
        height_px=240,
    )
