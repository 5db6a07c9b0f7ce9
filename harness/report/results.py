"""Many runs: found in a folder, filtered, as a table, and a figure of them over time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from harness.errors import DataError, LogError, UsageError
from harness.report.page import Section, render
from harness.report.plot import BLUE, ORANGE, PURPLE, TEAL, Plot, axes, text_of
from harness.report.summary_tables import TITLES, metric
from harness.report.tables import Cell, Table
from harness.runs.summary import Summary, read_manifest, summary_rows

COLOURS = (BLUE, ORANGE, TEAL, PURPLE)
SYMBOLS = ("circle", "square", "diamond", "cross", "x", "triangle-up")


@dataclass(frozen=True)
class Result:
    """One run, by its manifest and its summary (None: it did not come so far)."""

    folder: Path
    manifest: dict[str, Any]
    summary: Summary | None

    @property
    def started(self) -> datetime:
        """When."""
        return datetime.fromisoformat(self.manifest["started"]).astimezone()

    @property
    def figures(self) -> dict[str, float]:
        """Every number of the summary, as ``offline.samples_per_second`` and ``accuracy.mAP``."""
        rows = [] if self.summary is None else summary_rows(self.summary)
        return {f"{group}.{name}": value for group, name, value in rows if type(value) in (int, float)}


@dataclass(frozen=True)
class Filter:
    """Which runs; None does not ask."""

    scenario: str | None = None
    backend: str | None = None
    model: str | None = None
    name: str | None = None
    since: datetime | None = None
    valid: bool = False

    def takes(self, result: Result) -> bool:
        """Whether it is one of them."""
        manifest, summary = result.manifest, result.summary
        model = manifest.get("model", {})
        texts = [str(model.get(key) or "") for key in ("name", "benchmark", "path", "sha256")]
        return (
            (self.scenario is None or (summary is not None and self.scenario in summary["scenarios"]))
            and (self.backend is None or manifest.get("backend", {}).get("name") == self.backend)
            and (self.model is None or any(self.model in text for text in texts))
            and (self.name is None or self.name in result.folder.name)
            and (self.since is None or result.started >= self.since)
            and (not self.valid or (summary is not None and bool(summary["valid"])))
        )


def find_results(folder: Path, wanted: Filter) -> tuple[list[Result], list[tuple[Path, str]]]:
    """The runs in a folder, the oldest first, and what looks like a run and cannot be read, with the reason.

    Raises:
        DataError: there is no such folder.
    """
    if not folder.is_dir():
        raise DataError("no such folder", where=str(folder), hint="give the folder that holds the run directories")
    found, damaged = [], []
    for path in sorted(folder.glob("*/manifest.json")):
        try:
            result = _read(path.parent)
            if wanted.takes(result):
                found.append(result)
        except (LogError, KeyError, TypeError, ValueError) as error:
            damaged.append((path.parent, error.what if isinstance(error, LogError) else f"not a manifest: {error}"))
    return sorted(found, key=lambda it: (it.started, it.folder.name)), damaged


def _read(folder: Path) -> Result:
    manifest = read_manifest(folder)
    path = folder / "summary.json"
    if not path.is_file():
        return Result(folder, manifest, None)
    try:
        summary: Summary = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LogError(f"cannot be read: {error}", where=str(path)) from error
    return Result(folder, manifest, summary)


def results_table(results: Sequence[Result]) -> Table:
    """One run a row."""
    columns = ("run", "started", "backend", "images", *TITLES.values(), "mAP, %", "verdict")
    rows: list[tuple[Cell, ...]] = []
    for it in results:
        backend, dataset = it.manifest.get("backend", {}), it.manifest.get("dataset", {})
        marks = " (SIMULATED)" if backend.get("simulated") else ""
        images = None if not dataset else f"{dataset['images']}{' synthetic' if dataset['synthetic'] else ''}"
        scenarios = {} if it.summary is None else it.summary["scenarios"]
        accuracy = {} if it.summary is None else it.summary.get("accuracy", {})
        rows.append(
            (
                it.folder.name,
                f"{it.started:%Y-%m-%d %H:%M}",
                f"{backend['name']}{marks}" if backend else None,
                images,
                *(metric(name, scenarios[name]) if name in scenarios else None for name in TITLES),
                f"{100 * accuracy['mAP']:.3f}" if accuracy else None,
                _verdict(it),
            )
        )
    return Table(f"{len(rows)} runs", columns, rows)


def _verdict(result: Result) -> str:
    if result.summary is None or result.manifest["status"] != "complete":
        return f"{result.manifest['status']}"
    return "VALID" if result.summary["valid"] else "INVALID"


def chart_html(results: Sequence[Result], figure: str) -> str:
    """A page with one figure of the runs over time, a line for each backend, and the runs as a table.

    Raises:
        UsageError: no run has that figure.
    """
    having = [it for it in results if figure in it.figures]
    if not having:
        known = sorted(
            {name for it in results for name in it.figures if name.split(".")[1] not in ("sessions", "runs")}
        )
        hint = (
            f"there are: {', '.join(known)}" if known else "the folder has no finished runs, or the filters leave none"
        )
        raise UsageError(f"no run has the figure {figure!r}", where="--chart", hint=hint)
    by_backend: dict[str, list[Result]] = {}
    for it in having:
        by_backend.setdefault(it.manifest["backend"]["name"], []).append(it)
    traces = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": text_of(name),
            "x": [it.started.isoformat() for it in runs],
            "y": [it.figures[figure] for it in runs],
            "text": [text_of(it.folder.name) for it in runs],
            "line": {"color": COLOURS[k % len(COLOURS)], "width": 1.5},
            "marker": {"size": 9, "symbol": [_symbol(it, k) for it in runs]},
            "hovertemplate": "%{text}<br>%{x}<br>%{y}<extra>%{fullData.name}</extra>",
        }
        for k, (name, runs) in enumerate(by_backend.items())
    ]
    values = [it.figures[figure] for it in having]
    plot = Plot(
        key="chart",
        title=figure,
        alt=f"{figure} of {len(having)} runs over time, between {min(values):.6g} and {max(values):.6g}.",
        traces=traces,
        layout=axes("", text_of(figure), yaxis={"rangemode": "tozero"}),
        columns=("run", "started", "backend", figure, "verdict"),
        rows=[
            (
                it.folder.name,
                f"{it.started:%Y-%m-%d %H:%M}",
                it.manifest["backend"]["name"],
                it.figures[figure],
                _verdict(it),
            )
            for it in having
        ],
        note="Open marks: INVALID runs.",
        height_px=420,
        wide=True,
    )
    sections = [
        Section("chart-section", "Over time", plots=(plot,)),
        Section("runs", "Runs", tables=(results_table(having),)),
    ]
    return render("results.html.j2", title=figure, count=len(having), sections=sections)


def _symbol(result: Result, backend: int) -> str:
    return SYMBOLS[backend % len(SYMBOLS)] + ("" if _verdict(result) == "VALID" else "-open")
