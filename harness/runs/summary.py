"""``summary.json`` and ``summary.csv`` from a run directory alone: they can be made again at any time."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from harness.errors import LogError
from harness.files import write_text
from harness.loadgen.log import DetailLog, read_detail
from harness.runs.accuracy_test import accuracy_scenario
from harness.runs.documents import SCHEMA, Document, read_document, write_document
from harness.runs.figures import (
    AccuracyFigures,
    ComplianceVerdicts,
    RecordedVerdict,
    RepetitionFigures,
    RetiredInTest,
    ScenarioFigures,
    Summary,
)
from harness.runs.followed_round import followed_round
from harness.runs.layout import RunLayout, TestFolder
from harness.runs.quietness import disturbances, longest_gap_ms
from harness.runs.records import StartedManifest, TestRecord, read_manifest, started
from harness.runs.samples import nodes, read_samples, sessions, stages_ms
from harness.runs.score import score_of_log
from harness.runs.submittable import not_submittable
from harness.runs.verdict import explain, explain_accuracy
from harness.scenarios import Scenario

LATENCIES = {
    "mean": "result_mean_latency_ns",
    "p50": "result_50.00_percentile_latency_ns",
    "p90": "result_90.00_percentile_latency_ns",
    "p95": "result_95.00_percentile_latency_ns",
    "p99": "result_99.00_percentile_latency_ns",
    "p99.9": "result_99.90_percentile_latency_ns",
}
"""Our names → LoadGen's keys."""


@dataclass
class _Measured:
    """What the tests of a run gave, by scenario.

    Attributes:
        repeated: the further repetitions of a performance test.
        accuracy_invalid: what makes accuracy tests worthless.
    """

    scenarios: dict[Scenario, ScenarioFigures] = field(default_factory=dict)
    repeated: dict[Scenario, list[ScenarioFigures]] = field(default_factory=dict)
    accuracies: dict[Scenario, AccuracyFigures] = field(default_factory=dict)
    accuracy_invalid: list[str] = field(default_factory=list)


def summarise(folder: Path) -> Summary:
    """Reads a run directory, writes its summary files and gives the summary.

    Raises:
        LogError: a file of the run is missing or damaged.
    """
    summary, layout = summary_of(folder), RunLayout(folder)
    write_document(layout.summary, summary)
    write_text(layout.summary_table, summary_csv(summary))
    return summary


def summary_of(folder: Path) -> Summary:
    """The summary of a run directory, in which nothing is written.

    Raises:
        LogError: a file of the run is missing or damaged, or it failed before its first test.
    """
    manifest, layout = started(read_manifest(folder), folder), RunLayout(folder)
    measured = _measured(layout, manifest)
    compliance = _compliance(layout, manifest)
    rules = followed_round(folder, manifest).benchmark(manifest.model.benchmark)
    reasons = not_submittable(manifest, rules, measured.scenarios, measured.accuracies, compliance)
    return Summary(
        schema=SCHEMA,
        status=manifest.status,
        round=manifest.round,
        valid=_valid(manifest, measured),
        submittable=not reasons,
        not_submittable_because=tuple(reasons),
        backend=manifest.backend,
        model=manifest.model,
        dataset=manifest.dataset,
        scenarios=measured.scenarios,
        **_where_there(manifest, compliance),
        **_stages(measured),
        **_accuracy(layout, manifest, measured),
    )


def _measured(layout: RunLayout, manifest: StartedManifest) -> _Measured:
    """Reads the logs of every test."""
    found = _Measured()
    for test in manifest.tests:
        folder = layout.test(test.scenario, test.mode, test.number)
        if test.mode == "accuracy":
            found.accuracies[test.scenario] = read_document(AccuracyFigures, folder.accuracy)
            found.accuracy_invalid += explain_accuracy(read_detail(folder.detail_log), manifest.dataset.images)
        elif test.number == 1:
            found.scenarios[test.scenario] = performance_figures(folder, test)
        else:
            found.repeated.setdefault(test.scenario, []).append(performance_figures(folder, test))
    for scenario, others in found.repeated.items():
        if scenario not in found.scenarios:
            raise LogError(f"has repetitions of {scenario} without their first", where=str(layout.manifest))
        first = found.scenarios[scenario]
        runs = tuple(_repetition(scenario, figures) for figures in (first, *others))
        found.scenarios[scenario] = first.model_copy(update={"runs": runs})
    return found


def _repetition(scenario: Scenario, figures: ScenarioFigures) -> RepetitionFigures:
    """The figures of a test that a person compares: the rate of Offline, the latencies elsewhere."""
    score: dict[str, Any] = {} if figures.score_unit is None else {"score": figures.score}
    if scenario == "offline":
        return RepetitionFigures(valid=figures.valid, samples_per_second=figures.samples_per_second, **score)
    return RepetitionFigures(valid=figures.valid, latency_ms=figures.latency_ms, **score)


def _valid(manifest: StartedManifest, measured: _Measured) -> bool:
    """Whether every test is valid, repetitions and searches for the peak included."""
    figures = measured.scenarios.values()
    verdicts = [scenario.valid for scenario in figures] + [peak.valid for peak in manifest.peak.values()]
    verdicts += [repetition.valid for scenario in figures for repetition in scenario.runs]
    return all(verdicts) and not measured.accuracy_invalid


def _where_there(manifest: StartedManifest, compliance: Mapping[Scenario, Any]) -> dict[str, Any]:
    """Parts of the summary that only some runs have."""
    retired = tuple(
        RetiredInTest(**session.as_json(), scenario=test.scenario, mode=test.mode)
        for test in manifest.tests
        for session in test.retired
    )
    submission = manifest.submission
    if submission is not None:
        shown = {key: value for key, value in submission.as_json().items() if key != "system"}
        submission = type(submission).model_validate(shown)
    parts = {
        "traced": manifest.traced,
        "profiled": manifest.profiled,
        "retired": retired,
        "peak": manifest.peak,
        "compliance": dict(compliance),
        "submission": submission,
    }
    return {key: value for key, value in parts.items() if value}


def _stages(measured: _Measured) -> dict[str, Any]:
    """The stages of SingleStream, which show a sample's own way; elsewhere samples wait for each other."""
    if not measured.scenarios:
        return {}
    shown = measured.scenarios.get("single_stream") or next(iter(measured.scenarios.values()))
    return {"stages_ms": shown.stages_ms}


def _accuracy(layout: RunLayout, manifest: StartedManifest, measured: _Measured) -> dict[str, Any]:
    """The accuracy of the run: a submission has one of each scenario, and the worst decides."""
    scenario = accuracy_scenario(layout, manifest.tests)
    if scenario is None:
        return {}
    parts: dict[str, Any] = {"accuracy": measured.accuracies[scenario]}
    if len(measured.accuracies) > 1:
        parts["accuracies"] = measured.accuracies
    if measured.accuracy_invalid:
        parts["accuracy_invalid_because"] = tuple(measured.accuracy_invalid)
    return parts


def _compliance(layout: RunLayout, manifest: StartedManifest) -> dict[Scenario, dict[str, RecordedVerdict]]:
    """Scenario → compliance test → verdict, where it is of the performance test that is there now."""
    if not layout.compliance.is_file():
        return {}
    recorded = read_document(ComplianceVerdicts, layout.compliance)
    now = {scenario: test.fingerprint for scenario, test in manifest.first_performance_tests().items()}
    return {
        scenario: verdicts
        for scenario, verdicts in recorded.scenarios.items()
        if scenario in now and recorded.performance_tests.get(scenario) == now[scenario]
    }


def performance_figures(folder: TestFolder, test: TestRecord) -> ScenarioFigures:
    """The figures of one performance test.

    Raises:
        LogError: a file of it is missing, damaged or unfinished.
    """
    log = read_detail(folder.detail_log)
    if "result_validity" not in log.values:
        raise LogError("the test was not finished: there is no verdict in it", where=str(folder.detail_log))
    samples = read_samples(folder.samples)
    try:
        return _figures(log, samples, test)
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        what = f"is damaged: {type(error).__name__} {error}".splitlines()[0]
        raise LogError(what, where=str(folder.detail_log)) from error


def _figures(log: DetailLog, samples: pd.DataFrame, test: TestRecord) -> ScenarioFigures:
    busy = sessions(samples, test.session_names)
    disturbed_by = tuple(disturbances(test.machine, samples))
    memory: dict[str, Any] = {} if test.peak_memory_bytes is None else {"peak_memory_bytes": test.peak_memory_bytes}
    return ScenarioFigures(
        valid=log.valid,
        quiet=not disturbed_by,
        disturbed_by=disturbed_by,
        longest_gap_ms=longest_gap_ms(samples),
        duration_s=round(float((samples["completed_ns"].max() - samples["issued_ns"].min()) / 1e9), 3),
        efficiency=round(sum(session.busy for session in busy.values()) / len(busy), 4),
        sessions=busy,
        nodes=nodes(samples, test, busy),
        stages_ms=stages_ms(samples),
        **memory,
        **dict(_loadgen_figures(log, test, len(samples))),
    )


def _loadgen_figures(log: DetailLog, test: TestRecord, samples: int) -> Iterator[tuple[str, Any]]:
    """The figures of a performance test that LoadGen gives in its scenario."""
    scenario, values = test.scenario, log.values
    if not log.valid:
        yield "invalid_because", tuple(explain(log, scenario))
    score = score_of_log(log, test)
    if score is not None:
        yield from {"score": score.value, "score_unit": score.unit, "score_measure": score.measure}.items()
    if scenario == "offline":
        yield "samples", samples
        yield "samples_per_second", values["result_samples_per_second"]
        return
    yield "queries", int(values["result_query_count"])
    yield "latency_ms", _latencies(log)
    yield "percentile", test.rules.latency_percentile
    if scenario == "server":
        yield "scheduled_samples_per_second", values["result_scheduled_samples_per_sec"]
        more = {
            "latency_bound_ms": test.rules.latency_ms,
            "target_samples_per_second": values.get("effective_target_qps"),
            "completed_samples_per_second": values.get("result_completed_samples_per_sec"),
        }
        yield from ((name, value) for name, value in more.items() if value is not None)
        return
    estimate = {"single_stream": "early_stopping_latency_ss", "multi_stream": "early_stopping_latency_ms"}[scenario]
    if values.get(estimate):
        yield "early_stopping_latency_ms", log.milliseconds(estimate)


def _latencies(log: DetailLog) -> dict[str, float]:
    """The latencies of queries: where a query has several samples, LoadGen gives the samples' own besides."""
    found = {}
    for name, key in LATENCIES.items():
        of_query = key.replace("mean_latency", "mean_query_latency").replace("tile_latency", "tile_per_query_latency")
        chosen = of_query if of_query in log.values else key
        if chosen in log.values:
            found[name] = log.milliseconds(chosen)
    return found


def summary_csv(summary: Summary) -> str:
    """One figure a line: scenario, figure, value."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("scenario", "figure", "value"))
    writer.writerows(summary_rows(summary))
    return text.getvalue()


def summary_rows(summary: Summary) -> list[tuple[str, str, Any]]:
    """Every figure: scenario or "accuracy", its dotted name, its value."""
    groups: dict[str, Document] = {str(scenario): figures for scenario, figures in summary.scenarios.items()}
    if summary.accuracy is not None:
        groups["accuracy"] = summary.accuracy
    return [(group, *pair) for group, figures in groups.items() for pair in flat(figures.as_json())]


def flat(figures: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Nested figures as pairs of a dotted name and a value."""
    rows: list[tuple[str, Any]] = []
    for key, value in figures.items():
        if isinstance(value, dict):
            rows += flat(value, f"{prefix}{key}.")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            rows += flat({str(number): part for number, part in enumerate(value, 1)}, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", "; ".join(value) if isinstance(value, list) else value))
    return rows
