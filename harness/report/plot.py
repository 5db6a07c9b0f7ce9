"""A plot: a plotly figure, the words for those who do not see it, and the table behind it."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.report.tables import Cell, Table

BLUE, ORANGE, TEAL, PURPLE, RED, GREY = "#2b7bba", "#d1660a", "#13877a", "#a259c4", "#d0453a", "#7d848d"
OCHRE = "#9a8412"
"""Told apart with any colour vision, and at least 3:1 against the page, light or dark."""

STAGE_COLOURS = {
    "queue": GREY,
    "inference": BLUE,
    "wait": OCHRE,
    "postprocess": ORANGE,
    "complete": TEAL,
    "LoadGen": PURPLE,
}
LINE_COLOURS = {"p50": TEAL, "p90": ORANGE, "p99": PURPLE, "bound": RED, "target": TEAL}
ROW_PX = 26


@dataclass(frozen=True)
class Plot:
    """One plot of a report.

    Attributes:
        key: unique in the page, fit for an HTML id.
        title: its heading.
        alt: what it shows, in a sentence with the figures that matter.
        traces, layout: plotly's ``data`` and ``layout``; texts from files are escaped by `text_of`.
        columns, rows: the table behind it.
        note: how to read it, or how it was made short.
        height_px: of the drawing.
        wide: it needs the whole width of the page.
    """

    key: str
    title: str
    alt: str
    traces: Sequence[dict[str, Any]]
    layout: dict[str, Any]
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    height_px: int = 320
    wide: bool = False

    @property
    def table(self) -> Table:
        """The table behind it."""
        return Table(self.title, self.columns, self.rows)

    @property
    def legend(self) -> list[tuple[str, str, bool]]:
        """Name, colour and whether it is a broken line, of the traces that have names; the page sets it as text."""
        looks = [(trace, trace.get("line") or trace["marker"]) for trace in self.traces if "name" in trace]
        return [
            (html.unescape(trace["name"]), look["color"], look.get("dash", "solid") != "solid") for trace, look in looks
        ]

    @property
    def figure(self) -> dict[str, Any]:
        """The figure as ``Plotly.newPlot`` takes it."""
        return {"data": list(self.traces), "layout": {**self.layout, "height": self.height_px}}


def text_of(name: object) -> str:
    """A name from a file as plotly's text, which reads some HTML."""
    return html.escape(str(name))


def axes(x: str, y: str, **more: Any) -> dict[str, Any]:
    """A layout with two titled axes; ``more`` is laid over it, ``xaxis`` and ``yaxis`` key by key."""
    layout: dict[str, Any] = {
        "xaxis": {"title": {"text": x, "standoff": 8}, "automargin": True, **more.pop("xaxis", {})},
        "yaxis": {"title": {"text": y, "standoff": 8}, "automargin": True, **more.pop("yaxis", {})},
        "margin": {"l": 8, "r": 12, "t": 16, "b": 8},
        "showlegend": False,
    }
    return layout | more


def vertical_lines(values: dict[str, float], decimals: int, middle: float) -> dict[str, Any]:
    """Dashed lines with their names; the labels stand one below the other, so that near ones do not overlap.

    Args:
        middle: of the drawing; labels of lines beyond it stand to their left.
    """
    shapes, labels = [], []
    for step, (name, value) in enumerate(values.items()):
        colour = LINE_COLOURS.get(name, GREY)
        line = {"color": colour, "width": 1.5, "dash": "dash"}
        shapes.append({"type": "line", "x0": value, "x1": value, "y0": 0, "y1": 1, "yref": "paper", "line": line})
        labels.append(
            {
                "x": value,
                "y": 1 - 0.11 * step,
                "yref": "paper",
                "text": f"{name} {value:.{decimals}f}",
                "showarrow": False,
                "xanchor": "right" if value > middle else "left",
                "yanchor": "top",
                "xshift": -4 if value > middle else 4,
                "font": {"color": colour},
            }
        )
    return {"shapes": shapes, "annotations": labels}


def horizontal_lines(values: dict[str, float], decimals: int) -> dict[str, Any]:
    """Dashed lines with their names; the labels stand side by side, so that near ones do not overlap."""
    shapes, labels = [], []
    for step, (name, value) in enumerate(values.items()):
        colour = LINE_COLOURS.get(name, GREY)
        line = {"color": colour, "width": 1.5, "dash": "dash"}
        shapes.append({"type": "line", "x0": 0, "x1": 1, "xref": "paper", "y0": value, "y1": value, "line": line})
        labels.append(
            {
                "x": 0.01 + 0.24 * step,
                "xref": "paper",
                "y": value,
                "text": f"{name} {value:.{decimals}f}",
                "showarrow": False,
                "xanchor": "left",
                "yanchor": "bottom",
                "font": {"color": colour},
            }
        )
    return {"shapes": shapes, "annotations": labels}


def at_the_edge(text: str, place: str, row: int) -> dict[str, Any]:
    """A red label at the edge beyond which a bound lies: the "right", below the labels of so many lines, or the "top".

    Args:
        text: what lies there, e.g. "bound 100 ms".
        place: "right" or "top".
        row: labels that stand there already.
    """
    label = {"xref": "paper", "yref": "paper", "showarrow": False, "xanchor": "right", "font": {"color": RED}}
    if place == "right":
        return label | {"x": 1, "y": 1 - 0.11 * row, "yanchor": "top", "text": f"{text} →"}
    return label | {"x": 1, "y": 1, "yanchor": "top", "text": f"{text} ↑"}


def bars_height(count: int) -> int:
    """The height in pixels of a plot of so many horizontal bars."""
    return 96 + ROW_PX * count
