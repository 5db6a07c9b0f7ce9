"""Many runs: found in a folder, filtered, as a table, and a figure of them over time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from harness.errors import DataError, LogError, UsageError
from harness.report.configurations import by_configuration
from harness.report.page import PageSection, render
from harness.report.plot import BLUE, ORANGE, PURPLE, TEAL, Plot, axes, text_of
from harness.report.summary_tables import validity
from harness.report.tables import Cell, Table
from harness.runs.directory import holds_run, is_taken
from harness.runs.documents import read_document
from harness.runs.figures import Summary
from harness.runs.layout import MANIFEST, RunLayout
from harness.runs.records import Manifest, read_manifest
from harness.runs.score import score_of
from harness.runs.summary import summary_rows
from harness.scenarios import TITLES, Scenario, title_of

COLOURS = (BLUE, ORANGE, TEAL, PURPLE)
SYMBOLS = ("circle", "square", "diamond", "cross", "x", "triangle-up")


@dataclass(frozen=True)
class RunRow:
    """One run, by its manifest and its summary.

    Attributes:
        manifest: None where it is damaged.
        summary: None where the run did not come so far, or it is damaged.
        damage: what is damaged, in words; empty for a sound run.
        alive: whether a process is at the run.
    """

    folder: Path
    manifest: Manifest | None
    summary: Summary | None
    damage: str = ""
    alive: bool = False

    @property
    def started(self) -> datetime | None:
        """The moment at which it was started; None where the manifest does not say."""
        try:
            return datetime.fromisoformat((self.manifest and self.manifest.started) or "").astimezone()
        except (ValueError, OverflowError):
            return None

    @property
    def figures(self) -> dict[str, float]:
        """Every number of the summary, as ``offline.score`` and ``accuracy.mAP``."""
        rows = [] if self.summary is None else summary_rows(self.summary)
        return {f"{group}.{name}": value for group, name, value in rows if type(value) in (int, float)}

    @property
    def backend(self) -> str:
        """The name of the backend; a question mark where it is not known."""
        backend = None if self.manifest is None else self.manifest.backend
        return "?" if backend is None else backend.name

    @property
    def verdict(self) -> str:
        """VALID or INVALID, or how the run ended ("failed", "interrupted", "running"), or "damaged"."""
        if self.damage or self.manifest is None:
            return "damaged"
        if self.manifest.status == "running":
            return "running" if self.alive else "interrupted"
        if self.summary is None or self.manifest.status != "complete":
            return self.manifest.status
        return validity(self.summary.valid)

    @property
    def reason(self) -> str | None:
        """What is damaged, why the run failed, or which tests are INVALID; None for a VALID run."""
        if self.damage:
            return self.damage
        if self.verdict == "INVALID" and self.summary is not None:
            figures = self.summary.scenarios.items()
            return ", ".join(TITLES[scenario] for scenario, of in figures if not of.valid) or None
        return None if self.manifest is None else self.manifest.reason


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
        summary, manifest = row.summary, row.manifest
        model, backend = (None, None) if manifest is None else (manifest.model, manifest.backend)
        texts = [] if model is None else [model.name, model.shown, model.path or "", model.sha256 or ""]
        return (
            (self.scenario is None or (summary is not None and self.scenario in summary.scenarios))
            and (self.backend is None or (backend is not None and backend.name == self.backend))
            and (self.model is None or any(self.model in text for text in texts))
            and (self.name is None or self.name in row.folder.name)
            and (self.since is None or (row.started is not None and row.started >= self.since))
            and (not self.valid or (summary is not None and summary.valid and row.verdict == "VALID"))
        )


def find_results(folder: Path, wanted: Filter) -> list[RunRow]:
    """The runs in a folder, the oldest first, those that do not say when they were started last.

    One that is damaged is a row that says so. A folder that is itself a run is the only one.

    Raises:
        DataError: there is no such folder.
    """
    if not folder.is_dir():
        raise DataError("no such folder", where=str(folder), hint="give the folder that holds the run directories")
    manifests = [folder / MANIFEST] if holds_run(folder) else folder.glob(f"*/{MANIFEST}")
    rows = [row for path in manifests if wanted.takes(row := read_row(path.parent))]
    return sorted(
        rows, key=lambda row: (row.started is None, row.started.timestamp() if row.started else 0.0, row.folder.name)
    )


def read_row(folder: Path) -> RunRow:
    """A run as a row, whatever state its files are in."""
    try:
        manifest = read_manifest(folder)
    except LogError as error:
        return RunRow(folder, None, None, f"{MANIFEST} {error.what}")
    alive = manifest.status == "running" and is_taken(folder)
    path = RunLayout(folder).summary
    if not path.is_file():
        return RunRow(folder, manifest, None, "", alive)
    try:
        return RunRow(folder, manifest, read_document(Summary, path), "", alive)
    except LogError as error:
        return RunRow(folder, manifest, None, f"{path.name} {error.what}", alive)


UNITS: dict[Scenario, str] = {
    "single_stream": "ms",
    "multi_stream": "ms",
    "server": "queries/s",
    "offline": "samples/s",
}
"""The units of the scored figures."""


def results_table(rows: Sequence[RunRow]) -> Table:
    """One run a row, with the scored figure of every scenario as a number."""
    scores = (f"{TITLES[scenario]}, {unit}" for scenario, unit in UNITS.items())
    columns = ("run", "started", "backend", "images", "simulated", "synthetic", *scores, "mAP, %", "verdict", "reason")
    return Table(f"{len(rows)} run{'s' * (len(rows) != 1)}", columns, [_row(row) for row in rows])


def _row(row: RunRow) -> tuple[Cell, ...]:
    backend, dataset = (None, None) if row.manifest is None else (row.manifest.backend, row.manifest.dataset)
    scenarios = {} if row.summary is None else row.summary.scenarios
    accuracy = None if row.summary is None else row.summary.accuracy
    scores = [score_of(name, scenarios[name]).value if name in scenarios else None for name in UNITS]
    return (
        row.folder.name,
        None if row.started is None else f"{row.started:%Y-%m-%d %H:%M}",
        None if backend is None else backend.name,
        None if dataset is None else dataset.images,
        None if backend is None else "yes" if backend.simulated else "no",
        None if dataset is None else "yes" if dataset.synthetic else "no",
        *scores,
        None if accuracy is None or accuracy.mAP < 0 else round(100 * accuracy.mAP, 3),
        row.verdict,
        row.reason,
    )


HEADINGS = {
    "SingleStream, ms": "Single\nStream\nms",
    "MultiStream, ms": "Multi\nStream\nms",
    "Server, queries/s": "Server\nqueries\n/s",
    "Offline, samples/s": "Offline\nsamples\n/s",
    "mAP, %": "mAP\n%",
}
"""The titles in lines, for a narrow terminal."""


def for_people(table: Table) -> Table:
    """The same for a narrow terminal: marks instead of columns of yes and no, no empty columns, short numbers."""
    rows: list[list[Cell]] = []
    for name, started, backend, images, simulated, synthetic, *scores, verdict, reason in table.rows:
        marked = None if backend is None else f"{backend}{'*' * (simulated == 'yes')}"
        counted = None if images is None else f"{images}{'*' * (synthetic == 'yes')}"
        text = f"{verdict}\n{_spaced(str(reason))}" if reason else verdict
        day = None if started is None else str(started)[5:].replace(" ", "\n")
        rows.append([name, day, marked, counted, *map(_short, scores), text])
    columns = [HEADINGS.get(name, name) for name in table.columns if name not in ("simulated", "synthetic", "reason")]
    kept = [k for k in range(len(columns)) if k < 4 or any(row[k] is not None for row in rows)]
    marks = any("*" in str(row[k]) for row in rows for k in (2, 3))
    note = "* simulated devices or synthetic images: no real system's figures." if marks else ""
    return Table(table.title, [columns[k] for k in kept], [[row[k] for k in kept] for row in rows], note)


def _spaced(text: str) -> str:
    """The scenarios' names in words that a narrow column need not break."""
    return re.sub("(Single|Multi)(Stream)", r"\1 \2", text)


def _short(cell: Cell) -> Cell:
    if not isinstance(cell, float):
        return cell
    return f"{cell:.4g}" if abs(cell) < 1000 else f"{cell:.0f}"


def chart_html(results: Sequence[RunRow], figure: str) -> str:
    """A page with one figure of the runs over time, a line for each configuration, and the runs as a table.

    Raises:
        UsageError: no run has that figure.
    """
    having = [row for row in results if figure in row.figures and row.started is not None]
    if not having:
        known = sorted(
            {name for row in results for name in row.figures if name.split(".")[1] not in ("sessions", "runs")}
        )
        hint = (
            f"there are: {', '.join(known)}" if known else "the folder has no finished runs, or the filters leave none"
        )
        raise UsageError(f"no run has the figure {figure!r}", where="--chart", hint=hint)
    lines = by_configuration([row.manifest for row in having])
    title = figure_title(figure)
    traces = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": text_of(name),
            "x": [moment(having[place]).isoformat() for place in places],
            "y": [having[place].figures[figure] for place in places],
            "text": [text_of(having[place].folder.name) for place in places],
            "line": {"color": COLOURS[k % len(COLOURS)], "width": 1.5},
            "marker": {"size": 9, "symbol": [_symbol(having[place], k) for place in places]},
            "hovertemplate": "%{text}<br>%{x}<br>%{y}<extra>%{fullData.name}</extra>",
        }
        for k, (name, places) in enumerate(lines.items())
    ]
    values = [row.figures[figure] for row in having]
    plot = Plot(
        key="chart",
        title=title,
        alt=f"{title} of {len(having)} runs over time, between {min(values):.6g} and {max(values):.6g}.",
        traces=traces,
        layout=axes("", text_of(title), yaxis={"rangemode": "tozero"}),
        columns=("run", "started", "configuration", figure, "verdict"),
        rows=[
            (row.folder.name, f"{moment(row):%Y-%m-%d %H:%M}", name, row.figures[figure], row.verdict)
            for name, places in lines.items()
            for row in (having[place] for place in places)
        ],
        note="A line joins runs of one configuration: backend, devices, model, images and settings. Open: INVALID.",
        height_px=420,
        wide=True,
    )
    sections = [
        PageSection("chart-section", "Over time", plots=(plot,)),
        PageSection("runs", "Runs", tables=(results_table(having),)),
    ]
    return render("results.html.j2", title=title, count=len(having), sections=sections)


def moment(row: RunRow) -> datetime:
    """When a run in a chart was started: the others are not in it."""
    assert row.started is not None
    return row.started


def figure_title(figure: str) -> str:
    """A key of `RunRow.figures` for people: ``single_stream.latency_ms.p90`` is "SingleStream p90, ms"."""
    group, _, name = figure.partition(".")
    words = [word.replace("_", " ") for word in name.split(".")]
    unit = ""
    for word, short in UNIT_WORDS.items():
        if words[0].endswith(word):
            words[0], unit = words[0].removesuffix(word).strip(), f", {short}"
    of = "Accuracy" if group == "accuracy" else title_of(group)
    if words[0] == "latency" and len(words) > 1:
        del words[0]
    return f"{of} {' '.join(word for word in words if word)}".strip() + unit


UNIT_WORDS = {"samples per second": "samples/s", " ms": "ms", " s": "s", " bytes": "bytes"}
"""How the name of a figure ends → its unit."""


def _symbol(row: RunRow, line: int) -> str:
    return SYMBOLS[line % len(SYMBOLS)] + ("" if row.verdict == "VALID" else "-open")
