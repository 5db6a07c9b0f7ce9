"""Many runs: found in a folder, filtered, as a table, and a figure of them over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from harness.errors import DataError, LogError, UsageError
from harness.report.page import PageSection, render
from harness.report.plot import BLUE, ORANGE, PURPLE, TEAL, Plot, axes, text_of
from harness.report.summary_tables import metric, validity
from harness.report.tables import Cell, Table
from harness.runs.documents import read_document
from harness.runs.figures import Summary
from harness.runs.layout import MANIFEST, RunLayout
from harness.runs.records import Manifest, read_manifest
from harness.runs.summary import summary_rows
from harness.scenarios import TITLES

COLOURS = (BLUE, ORANGE, TEAL, PURPLE)
SYMBOLS = ("circle", "square", "diamond", "cross", "x", "triangle-up")


@dataclass(frozen=True)
class RunRow:
    """One run, by its manifest and its summary (None: it did not come so far)."""

    folder: Path
    manifest: Manifest
    summary: Summary | None

    @property
    def started(self) -> datetime:
        """The moment at which it was started."""
        return datetime.fromisoformat(self.manifest.started or "").astimezone()

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

    def takes(self, row: RunRow) -> bool:
        """Whether it is one of them."""
        summary, model, backend = row.summary, row.manifest.model, row.manifest.backend
        texts = [] if model is None else [model.name, model.benchmark, model.path or "", model.sha256 or ""]
        return (
            (self.scenario is None or (summary is not None and self.scenario in summary.scenarios))
            and (self.backend is None or (backend is not None and backend.name == self.backend))
            and (self.model is None or any(self.model in text for text in texts))
            and (self.name is None or self.name in row.folder.name)
            and (self.since is None or row.started >= self.since)
            and (not self.valid or (summary is not None and summary.valid))
        )


def find_results(folder: Path, wanted: Filter) -> tuple[list[RunRow], list[tuple[Path, str]]]:
    """The runs in a folder, the oldest first, and what looks like a run and cannot be read, with the reason.

    Raises:
        DataError: there is no such folder.
    """
    if not folder.is_dir():
        raise DataError("no such folder", where=str(folder), hint="give the folder that holds the run directories")
    found, damaged = [], []
    for path in sorted(folder.glob(f"*/{MANIFEST}")):
        try:
            result = _read(path.parent)
            if wanted.takes(result):
                found.append(result)
        except (LogError, ValueError) as error:
            damaged.append((path.parent, error.what if isinstance(error, LogError) else f"not a manifest: {error}"))
    return sorted(found, key=lambda row: (row.started, row.folder.name)), damaged


def _read(folder: Path) -> RunRow:
    manifest = read_manifest(folder)
    path = RunLayout(folder).summary
    return RunRow(folder, manifest, read_document(Summary, path) if path.is_file() else None)


def results_table(results: Sequence[RunRow]) -> Table:
    """One run a row."""
    columns = ("run", "started", "backend", "images", *TITLES.values(), "mAP, %", "verdict")
    rows: list[tuple[Cell, ...]] = []
    for run in results:
        backend, dataset, summary = run.manifest.backend, run.manifest.dataset, run.summary
        scenarios = {} if summary is None else summary.scenarios
        accuracy = None if summary is None else summary.accuracy
        rows.append(
            (
                run.folder.name,
                f"{run.started:%Y-%m-%d %H:%M}",
                None if backend is None else f"{backend.name}{' (SIMULATED)' * backend.simulated}",
                None if dataset is None else f"{dataset.images}{' synthetic' * dataset.synthetic}",
                *(metric(name, scenarios[name]) if name in scenarios else None for name in TITLES),
                None if accuracy is None or accuracy.mAP < 0 else f"{100 * accuracy.mAP:.3f}",
                _verdict(run),
            )
        )
    return Table(f"{len(rows)} runs", columns, rows)


def _verdict(row: RunRow) -> str:
    if row.summary is None or row.manifest.status != "complete":
        return row.manifest.status
    return validity(row.summary.valid)


def chart_html(results: Sequence[RunRow], figure: str) -> str:
    """A page with one figure of the runs over time, a line for each backend, and the runs as a table.

    Raises:
        UsageError: no run has that figure.
    """
    having = [row for row in results if figure in row.figures]
    if not having:
        known = sorted(
            {name for row in results for name in row.figures if name.split(".")[1] not in ("sessions", "runs")}
        )
        hint = (
            f"there are: {', '.join(known)}" if known else "the folder has no finished runs, or the filters leave none"
        )
        raise UsageError(f"no run has the figure {figure!r}", where="--chart", hint=hint)
    by_backend: dict[str, list[RunRow]] = {}
    for row in having:
        by_backend.setdefault(_backend(row), []).append(row)
    traces = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": text_of(name),
            "x": [row.started.isoformat() for row in runs],
            "y": [row.figures[figure] for row in runs],
            "text": [text_of(row.folder.name) for row in runs],
            "line": {"color": COLOURS[k % len(COLOURS)], "width": 1.5},
            "marker": {"size": 9, "symbol": [_symbol(row, k) for row in runs]},
            "hovertemplate": "%{text}<br>%{x}<br>%{y}<extra>%{fullData.name}</extra>",
        }
        for k, (name, runs) in enumerate(by_backend.items())
    ]
    values = [row.figures[figure] for row in having]
    plot = Plot(
        key="chart",
        title=figure,
        alt=f"{figure} of {len(having)} runs over time, between {min(values):.6g} and {max(values):.6g}.",
        traces=traces,
        layout=axes("", text_of(figure), yaxis={"rangemode": "tozero"}),
        columns=("run", "started", "backend", figure, "verdict"),
        rows=[
            (row.folder.name, f"{row.started:%Y-%m-%d %H:%M}", _backend(row), row.figures[figure], _verdict(row))
            for row in having
        ],
        note="Open marks: INVALID runs.",
        height_px=420,
        wide=True,
    )
    sections = [
        PageSection("chart-section", "Over time", plots=(plot,)),
        PageSection("runs", "Runs", tables=(results_table(having),)),
    ]
    return render("results.html.j2", title=figure, count=len(having), sections=sections)


def _backend(row: RunRow) -> str:
    return "?" if row.manifest.backend is None else row.manifest.backend.name


def _symbol(row: RunRow, backend: int) -> str:
    return SYMBOLS[backend % len(SYMBOLS)] + ("" if _verdict(row) == "VALID" else "-open")
