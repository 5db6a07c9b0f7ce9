"""Plots of accuracy: precision against recall, and the categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.report.plot import BLUE, ORANGE, TEAL, Plot, axes, bars_height, text_of
from harness.runs.figures import CategoryAccuracy, Evaluation

SHOWN = 12
CURVES = {"0.50": (BLUE, "solid"), "0.75": (ORANGE, "dash"), "0.50:0.95": (TEAL, "dot")}


def accuracy_plots(evaluation: Evaluation) -> list[Plot]:
    """The plots of an accuracy test; none where there was nothing to find."""
    plots = []
    classes = [category for category in evaluation.per_class if category.AP >= 0]
    if classes:
        plots.append(_classes(classes))
    if evaluation.precision_recall:
        plots.append(_precision_recall(evaluation.precision_recall))
    return plots


def _precision_recall(curves: Mapping[str, Sequence[float]]) -> Plot:
    traces = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": f"IoU {name}",
            "x": list(range(101)),
            "y": [100 * value for value in curves[name]],
            "line": {"color": colour, "width": 2, "dash": dash},
            "hovertemplate": f"IoU {name}: precision %{{y:.2f}} % at recall %{{x}} %<extra></extra>",
        }
        for name, (colour, dash) in CURVES.items()
        if name in curves
    ]
    means = {name: sum(values) / len(values) for name, values in curves.items()}
    spoken = ", ".join(f"{100 * mean:.1f} % at IoU {name}" for name, mean in means.items())
    layout = axes("recall, %", "precision, %", xaxis={"range": [0, 100]}, yaxis={"range": [0, 103]})
    return Plot(
        key="precision-recall",
        title="Precision and recall",
        alt=f"Precision against recall, the mean over the categories. Mean precision {spoken}.",
        traces=traces,
        layout=layout,
        columns=("recall, %", *(f"precision at IoU {name}, %" for name in curves)),
        rows=[(recall, *(round(100 * values[recall], 3) for values in curves.values())) for recall in range(0, 101, 5)],
        note="COCO's interpolated precision, the mean over the categories that are in the images.",
        wide=True,
    )


def _classes(classes: list[CategoryAccuracy]) -> Plot:
    ordered = sorted(classes, key=lambda category: -category.AP)
    shown = ordered if len(ordered) <= 2 * SHOWN else ordered[:SHOWN] + ordered[-SHOWN:]
    bars = {
        "type": "bar",
        "orientation": "h",
        "y": [text_of(category.name) for category in reversed(shown)],
        "x": [100 * category.AP for category in reversed(shown)],
        "customdata": [category.objects for category in reversed(shown)],
        "marker": {"color": BLUE},
        "hovertemplate": "%{y}: AP %{x:.2f} %, %{customdata} objects<extra></extra>",
    }
    note = "AP over IoU 0.50:0.95."
    if len(shown) < len(ordered):
        note += f" The {SHOWN} best and the {SHOWN} worst of {len(ordered)} categories; the table has all."
    return Plot(
        key="classes",
        title="Categories",
        alt=f"AP of each category, from {ordered[0].name} with {100 * ordered[0].AP:.1f} %"
        f" to {ordered[-1].name} with {100 * ordered[-1].AP:.1f} %.",
        traces=[bars],
        layout=axes("AP, %", "", bargap=0.25, xaxis={"range": [0, max(105 * ordered[0].AP, 1)]})
        | {"yaxis": {"type": "category", "automargin": True, "dtick": 1}},
        columns=("category", "AP, %", "objects"),
        rows=[(category.name, round(100 * category.AP, 3), category.objects) for category in ordered],
        note=note,
        height_px=bars_height(len(shown)) - 4 * len(shown),
    )
