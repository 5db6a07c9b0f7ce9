"""The summary as tables for a person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from harness.accuracy.evaluate import MEANINGS, percent_text
from harness.report.tables import Cell, Table, print_table
from harness.runs.figures import AccuracyFigures, RepetitionFigures, ScenarioFigures, Summary
from harness.runs.layout import RunLayout
from harness.runs.records import Peak
from harness.runs.score import score_of
from harness.scenarios import TITLES, Scenario
from harness.stages import PERCENTILES, STAGES
from harness.terminal import PIPE_COLUMNS


def print_summary(summary: Summary, folder: Path, console: Console, *, why: bool = False) -> None:
    """Prints for each scenario the metric, percentiles and verdict, then the mAP and where the files are.

    Args:
        summary: of the run.
        folder: of the run.
        console: where to.
        why: each reason why the run cannot be submitted on a line of its own; else the first one and their number.
    """
    if summary.scenarios:
        print_table(scenarios_table(summary), console)
    for scenario, figures in summary.scenarios.items():
        if figures.nodes:
            print_table(nodes_table(scenario, figures, stages=console.width >= PIPE_COLUMNS), console)
        if figures.runs:
            print_table(repetitions_table(scenario, figures.runs), console)
    for scenario, peak in summary.peak.items():
        print_table(peak_table(scenario, peak), console)
    for line in _remarks(summary):
        console.print(line, markup=False, highlight=False)
    if not summary.submittable:
        reasons = summary.not_submittable_because
        if why or len(reasons) < 2:
            console.print("Not submittable:")
            for reason in reasons:
                console.print(f"  - {reason}", markup=False, highlight=False)
        else:
            first = f"Not submittable: {reasons[0]}, and {len(reasons) - 1} more reasons (--why)"
            console.print(first, markup=False, highlight=False)
    if summary.traced:
        traces = RunLayout(folder).traces
        console.print(f"Traces for ui.perfetto.dev: {traces}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"Files: {folder}", markup=False, highlight=False, soft_wrap=True)
    report = RunLayout(folder).report
    if report.is_file():
        console.print(f"Report: {report}", markup=False, highlight=False, soft_wrap=True)


def _remarks(summary: Summary) -> Iterator[str]:
    """A line for each session that was retired and each reason of INVALID, and one for the mAP."""
    for session in summary.retired:
        text = f"Retired in {TITLES[session.scenario]} {session.mode}: {session.session}"
        yield f"{text} {session.place}: {session.reason}"
    for scenario, figures in summary.scenarios.items():
        for reason in figures.invalid_because:
            yield f"{TITLES[scenario]} is INVALID: {reason}"
        for reason in figures.disturbed_by:
            yield f"{TITLES[scenario]} was DISTURBED: {reason}; measure again on a quiet machine"
    for reason in summary.accuracy_invalid_because:
        yield f"Accuracy is INVALID: {reason}"
    accuracy = summary.accuracy
    if accuracy is not None:
        yield (
            f"mAP {percent_text(accuracy.mAP)} (AP50 {percent_text(accuracy.AP50)}, AP75 {percent_text(accuracy.AP75)})"
            f" on {accuracy.images} images, {accuracy.detections} detections, {accuracy.evaluator}"
        )


def summary_tables(name: str, summary: Summary) -> list[Table]:
    """The figures of a run as tables: scenarios, tries of find-peak, accuracy, and why it is not submittable."""
    tables = [scenarios_table(summary)] if summary.scenarios else []
    tables += [peak_table(scenario, peak) for scenario, peak in summary.peak.items()]
    if summary.accuracy is not None:
        tables.append(accuracy_table(summary.accuracy))
    if not summary.submittable:
        rows = [(reason,) for reason in summary.not_submittable_because]
        tables.append(Table("Not submittable", ("because",), rows))
    return [replace(table, title=f"{name}: {table.title}") for table in tables]


def scenarios_table(summary: Summary) -> Table:
    """Per scenario the metric, percentiles and verdict."""
    synthetic = " (synthetic)" if summary.dataset.synthetic else ""
    simulated = " (SIMULATED device)" if summary.backend.simulated else ""
    rows = []
    for scenario, figures in summary.scenarios.items():
        latency = figures.latency_ms
        rows.append(
            (
                TITLES[scenario],
                metric(scenario, figures),
                *(f"{latency[name]:.3f}" if name in latency else None for name in PERCENTILES),
                sum(session.samples for session in figures.sessions.values()),
                f"{figures.efficiency * 100:.1f} %",
                validity(figures.valid),
            )
        )
    images = f"{summary.dataset.images} images{synthetic}"
    title = f"{summary.model.shown} on {summary.backend.name}{simulated}, {images}"
    percentiles = (f"{name} ms" for name in PERCENTILES)
    estimated = any("(ES " in str(row[1]) for row in rows)
    return Table(title, ("scenario", "metric", *percentiles, "samples", "busy", "verdict"), rows, ES * estimated)


ESTIMATE = "early-stopping estimate of "
ES = f"ES: LoadGen's {ESTIMATE}the percentile, which is what the round scores."


def validity(valid: bool) -> str:
    """LoadGen's word for it."""
    return "VALID" if valid else "INVALID"


def peak_table(scenario: Scenario, peak: Peak) -> Table:
    """The tries of find-peak in one scenario, and what they found."""
    rows: list[tuple[Cell, ...]] = [
        (
            number,
            f"{tried.qps:.3f}",
            f"{tried.samples_per_second:.3f}",
            None if tried.p99_ms is None else f"{tried.p99_ms:.3f}",
            validity(tried.valid),
        )
        for number, tried in enumerate(peak.tries, 1)
    ]
    asked = "target queries/s" if scenario == "server" else "expected samples/s"
    what = "queries/s" if scenario == "server" else "samples/s"
    found = "no rate was valid" if peak.qps is None else f"peak {peak.qps:.3f} {what}"
    columns: tuple[str, ...] = ("try", asked, "measured /s", "p99 ms", "verdict")
    if all(row[3] is None for row in rows):  # Offline has no latencies
        columns, rows = (*columns[:3], *columns[4:]), [(*row[:3], *row[4:]) for row in rows]
    return Table(f"{TITLES[scenario]}: the tries of find-peak", columns, rows, f"{TITLES[scenario]}: {found}")


def nodes_table(scenario: Scenario, figures: ScenarioFigures, *, stages: bool = True) -> Table:
    """What each node did in a performance test; which were lost, if any was.

    Args:
        stages: with the mean of each stage, which takes 130 characters.
    """
    shown = STAGES if stages else ()
    any_lost = any(node.lost for node in figures.nodes.values())
    rows: list[tuple[Cell, ...]] = [
        (
            name,
            node.sessions,
            node.samples,
            f"{node.busy * 100:.1f} %",
            *(f"{node.stages_ms[stage]:.3f}" if stage in node.stages_ms else None for stage in shown),
            None if node.way_ms is None else f"{node.way_ms:.3f}",
            None if node.way_share is None else f"{node.way_share * 100:.2f} %",
            *(["lost" if node.lost else ""] if any_lost else []),
        )
        for name, node in figures.nodes.items()
    ]
    columns = ["node", "sessions", "samples", "busy", *(f"{stage} ms" for stage in shown), "way ms", "way share"]
    columns += ["state"] if any_lost else []
    note = "Way: of a call there and back, the host's time less the node's"
    note += "; it is in the last stage. Stages are means." if stages else ". The report has the stages."
    return Table(f"{TITLES[scenario]}: nodes", columns, rows, note)


def repetitions_table(scenario: Scenario, runs: Sequence[RepetitionFigures]) -> Table:
    """The repetitions of a performance test."""
    rows: list[tuple[Cell, ...]] = []
    for number, run in enumerate(runs, 1):
        figures = [run.latency_ms[name] for name in PERCENTILES if name in run.latency_ms]
        shown = [f"{run.samples_per_second:.6g}"] if scenario == "offline" else [f"{value:.6f}" for value in figures]
        rows.append((number, *shown, validity(run.valid)))
    names = ["samples/s"] if scenario == "offline" else [f"{n} ms" for n in PERCENTILES if n in runs[0].latency_ms]
    note = "The first one is the result; the others show the spread."
    return Table(f"{TITLES[scenario]}: repetitions", ("run", *names, "verdict"), rows, note)


def accuracy_table(accuracy: AccuracyFigures) -> Table:
    """COCO's figures in percent; nothing where there is nothing of the kind to find."""
    figures = ((name, getattr(accuracy, name), meaning) for name, meaning in MEANINGS.items())
    rows = [
        (name, None if figure < 0 else f"{100 * figure:.3f}", meaning)
        for name, figure, meaning in figures
        if figure is not None
    ]
    note = f"{accuracy.images} images, {accuracy.detections} detections, {accuracy.evaluator}."
    return Table("COCO's figures", ("figure", "%", "what it is"), rows, note)


def metric(scenario: Scenario, figures: ScenarioFigures) -> str:
    """The scored figure of a scenario, with its unit and, for a latency, what it is."""
    score = score_of(scenario, figures)
    if score.unit != "ms" or score.value is None:
        return score.text
    return f"{score.text} ({score.measure.replace(ESTIMATE, 'ES ')})"
