"""``report.html``: one file with everything in it, made from a run directory alone."""

from __future__ import annotations

import base64
import functools
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
import yaml

from harness.files import write_text
from harness.report.accuracy_plots import accuracy_plots
from harness.report.headlines import headlines, validity_of
from harness.report.latency_plots import latency_plots
from harness.report.load_plots import load_plots
from harness.report.peak_plots import load_latency_plot
from harness.report.plot import Plot
from harness.report.profile_plots import profile_plots, profile_tables
from harness.report.requirements import reference_plots, reference_table, requirements
from harness.report.resource_tables import resources_table
from harness.report.summary_tables import accuracy_table, nodes_table, peak_table, repetitions_table
from harness.report.tables import Cell, Table, json_ready, text_of_cell
from harness.report.throughput_plots import devices_plot, offline_plots
from harness.runs.followed_round import followed_round
from harness.runs.gallery import KINDS, read_gallery, thumbnail
from harness.runs.layout import RunLayout, TestFolder
from harness.runs.recorded_run import Run, load_run
from harness.scenarios import TITLES, Scenario
from harness.version import __version__


@dataclass(frozen=True)
class PageSection:
    """A part of the page.

    Attributes:
        key: its anchor.
        body: paragraphs before the tables.
        tables: before the plots.
        after: tables after the plots.
    """

    key: str
    title: str
    body: tuple[str, ...] = ()
    plots: tuple[Plot, ...] = ()
    tables: tuple[Table, ...] = ()
    after: tuple[Table, ...] = ()
    gallery: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    text: str = ""


def write_report(folder: Path, target: Path | None = None) -> Path:
    """Makes the report of a run directory, by default as ``report.html`` in it.

    Raises:
        LogError: a file of the run is missing or damaged.
    """
    target = target or RunLayout(folder).report
    write_text(target, report_html(load_run(folder)))
    return target


def report_html(run: Run) -> str:
    """The page. The same run directory always gives the same page."""
    sections = [_scenario(run, scenario) for scenario in run.summary.scenarios]
    if run.summary.peak:
        sections.append(_peak(run))
    if run.accuracy_test is not None:
        sections += _accuracy(run)
    sections += [_targets(run), _configuration(run), _system(run)]
    return render(
        "report.html.j2",
        title=run.name,
        run=run,
        verdict=validity_of(run.summary),
        headlines=headlines(run.summary),
        sections=sections,
    )


def render(template: str, *, sections: list[PageSection], **context: Any) -> str:
    """A page of sections, with plotly.js, style and script inside."""
    plots = {plot.key: json_ready(plot.figure) for section in sections for plot in section.plots}
    return (
        _templates()
        .get_template(template)
        .render(
            sections=sections,
            figures=plots,
            plotly=_plotly(),
            version=__version__,
            **context,
        )
    )


@functools.lru_cache(1)
def _templates() -> jinja2.Environment:
    loader = jinja2.PackageLoader("harness.report")
    templates = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    templates.filters["cell"] = text_of_cell
    templates.filters["counted"] = _counted
    templates.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    return templates


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def _targets(run: Run) -> PageSection:
    table = reference_table(run.name, run.summary)
    tables = [requirements(followed_round(run.folder, run.manifest), run.manifest, run.summary)]
    plots = []
    if table is not None:
        tables.append(table)
        plots = reference_plots(table)
    return PageSection("targets", "Against the round and other systems", plots=tuple(plots), tables=tuple(tables))


def _scenario(run: Run, scenario: Scenario) -> PageSection:
    figures, tests = run.summary.scenarios[scenario], run.performance[scenario]
    test = tests[0]
    if scenario == "offline":
        plots = offline_plots(test, figures.samples_per_second or 0.0)
    else:
        plots = latency_plots(test, figures.latency_ms)
    body = [f"INVALID: {reason}" for reason in figures.invalid_because]
    if not any(plot.wide for plot in plots):
        what = "samples" if scenario == "offline" else "queries"
        body.append(f"{len(test.queries)} {what} are too few to draw over time.")
    tables = [repetitions_table(scenario, figures.runs)] if figures.runs else []
    if figures.nodes:
        tables.append(nodes_table(scenario, figures))
    resources = resources_table(test)
    after = (*profile_tables(test), *(() if resources is None else (resources,)))
    drawn = (*plots, devices_plot(test), *load_plots(test), *profile_plots(test))
    return PageSection(scenario, TITLES[scenario], tuple(body), drawn, tuple(tables), after=after)


def _peak(run: Run) -> PageSection:
    peaks = run.summary.peak
    plots = [load_latency_plot(scenario, peak) for scenario, peak in peaks.items()]
    tables = [peak_table(scenario, peak) for scenario, peak in peaks.items()]
    drawn = tuple(plot for plot in plots if plot is not None)
    return PageSection("peak", "Search for the peak", plots=drawn, tables=tuple(tables))


def _accuracy(run: Run) -> list[PageSection]:
    test, accuracy = run.accuracy_test, run.summary.accuracy
    assert test is not None and accuracy is not None
    table = accuracy_table(accuracy)
    evaluation = run.evaluation
    body: tuple[str, ...] = ()
    if evaluation is None:
        body = ("This run was made before categories and curves were kept with it.",)
    elif accuracy.mAP < 0:
        body = ("mAP is not defined: these images have no objects to find.",)
    elif not accuracy.AP50 > 0:
        body = ("Nothing was found: no detection lies on an object of its category, so there are no curves to draw.",)
    plots = accuracy_plots(evaluation) if evaluation is not None and accuracy.AP50 > 0 else []
    sections = [PageSection("accuracy", "Accuracy", body, tuple(plots), (table,))]
    gallery = _gallery(test.files)
    if gallery:
        how = (
            "The images that came out best and worst by their own AP at IoU 0.5, and a few at random."
            " Solid: what is there. Dashed: what was found, thick where it is right."
        )
        sections.append(PageSection("gallery", "Gallery", (how,), gallery=gallery))
    else:
        sections.append(PageSection("gallery", "Gallery", ("No images were kept with this run.",)))
    return sections


def _gallery(files: TestFolder) -> dict[str, list[dict[str, Any]]]:
    """Kind → images, each with its thumbnail as a data URI, None where it is gone."""
    kinds: dict[str, list[dict[str, Any]]] = {}
    for image in read_gallery(files.path):
        small = thumbnail(files.path, image)
        uri = None if small is None else f"data:image/jpeg;base64,{base64.b64encode(small).decode()}"
        kinds.setdefault(KINDS[image.kind], []).append({**image.as_json(), "uri": uri})
    return kinds


def _configuration(run: Run) -> PageSection:
    command = " ".join(run.manifest.command)
    settings = yaml.safe_dump(run.manifest.settings, sort_keys=False, allow_unicode=True)
    return PageSection("configuration", "Configuration", (command,), text=settings)


def _system(run: Run) -> PageSection:
    manifest = run.manifest
    system = Table("System", ("", ""), [(key, _shown(value)) for key, value in manifest.system.items()])
    backend = Table("Backend", ("", ""), [(key, _shown(value)) for key, value in manifest.backend.as_json().items()])
    versions = Table("Versions", ("package", "version"), list(manifest.versions.items()))
    hashes: list[tuple[Cell, ...]] = [
        ("model", manifest.model.path, manifest.model.sha256),
        ("annotations", manifest.dataset.annotations, manifest.dataset.sha256),
    ]
    test = run.accuracy_test
    if test is not None:
        text = test.files.accuracy_txt.read_text(encoding="utf-8", errors="replace")
        found = next((line.partition("=")[2] for line in text.splitlines() if line.startswith("hash=")), None)
        hashes.append(("accuracy log", str(test.files.accuracy_log.relative_to(run.folder)), found))
    table = Table("SHA-256", ("what", "file", "sha256"), hashes)
    times = Table(
        "Run", ("", ""), [(key, getattr(manifest, key)) for key in ("status", "reason", "started", "ended", "round")]
    )
    return PageSection("system", "System, versions, hashes", tables=(times, system, backend, versions, table))


def _shown(value: Any) -> Cell:
    """A value of the manifest as a cell."""
    return value if value is None or isinstance(value, (str, int, float)) else json.dumps(value, ensure_ascii=False)
