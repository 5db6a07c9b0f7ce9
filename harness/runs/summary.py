"""``summary.json`` and ``summary.csv`` from a run directory alone: they can be made again at any time."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import LogError
from harness.files import write_json, write_text
from harness.loadgen.log import DetailLog, read_detail
from harness.rounds import load_round
from harness.runs.stages import read_samples, sessions, stages_ms
from harness.runs.submittable import COMPLIANCE_NAME, not_submittable
from harness.runs.verdict import explain, explain_accuracy
from harness.settings import Scenario

Summary = dict[str, Any]

LATENCIES = {
    "mean": "result_mean_latency_ns",
    "p50": "result_50.00_percentile_latency_ns",
    "p90": "result_90.00_percentile_latency_ns",
    "p95": "result_95.00_percentile_latency_ns",
    "p99": "result_99.00_percentile_latency_ns",
    "p99.9": "result_99.90_percentile_latency_ns",
}
"""Our names → LoadGen's keys."""


def summarise(folder: Path) -> Summary:
    """Reads a run directory, writes its summary files and gives the summary.

    Raises:
        LogError: a file of the run is missing or damaged.
    """
    summary = summary_of(folder)
    write_json(folder / "summary.json", summary)
    write_text(folder / "summary.csv", summary_csv(summary))
    return summary


def summary_of(folder: Path) -> Summary:
    """The summary of a run directory, in which nothing is written.

    Raises:
        LogError: a file of the run is missing or damaged, or it failed before its first test.
    """
    manifest = read_manifest(folder)
    if "tests" not in manifest:
        raise LogError(
            f"the run {manifest['status']} before its first test: {manifest.get('reason')}", where=str(folder)
        )
    rules = load_round(manifest["round"]).benchmark(manifest["model"]["benchmark"])
    scenarios: dict[Scenario, dict[str, Any]] = {}
    repeated: dict[Scenario, list[dict[str, Any]]] = {}
    accuracies: dict[str, dict[str, Any]] = {}
    accuracy_invalid: list[str] = []
    for test in manifest["tests"]:
        if test["mode"] == "performance":
            number = test.get("number", 1)
            path = folder / test["scenario"] / "performance" / f"run_{number}"
            figures = performance_figures(path, test)
            if number == 1:
                scenarios[test["scenario"]] = figures
            else:
                repeated.setdefault(test["scenario"], []).append(figures)
        else:
            path = folder / test["scenario"] / "accuracy"
            accuracies[test["scenario"]] = _read_json(path / "accuracy.json")
            detail = read_detail(path / "mlperf_log_detail.txt")
            accuracy_invalid += explain_accuracy(detail, manifest["dataset"]["images"])
    for scenario, others in repeated.items():
        first = scenarios[scenario]
        first["runs"] = [{"valid": it["valid"], **run_figures(scenario, it)} for it in (first, *others)]
    peak = manifest.get("peak", {})
    retired = [
        {"scenario": test["scenario"], "mode": test["mode"], **it}
        for test in manifest["tests"]
        for it in test.get("retired", [])
    ]
    compliance = _compliance(folder / COMPLIANCE_NAME, manifest["tests"])
    reasons = not_submittable(manifest, rules, scenarios, accuracies, compliance)
    summary: Summary = {
        "schema": 1,
        "status": manifest["status"],
        "round": manifest["round"],
        "valid": all(s["valid"] for s in (*scenarios.values(), *peak.values(), *_runs(scenarios)))
        and not accuracy_invalid,
        "submittable": not reasons,
        "not_submittable_because": reasons,
        "backend": manifest["backend"],
        "model": manifest["model"],
        "dataset": manifest["dataset"],
        "scenarios": scenarios,
    }
    if manifest["settings"].get("trace"):
        summary["traced"] = True
    if retired:
        summary["retired"] = retired
    if peak:
        summary["peak"] = peak
    if scenarios:
        # SingleStream shows a sample's own way; elsewhere samples wait for each other
        first = scenarios.get("single_stream") or next(iter(scenarios.values()))
        summary["stages_ms"] = first["stages_ms"]
    if compliance:
        summary["compliance"] = compliance
    if "submission" in manifest:
        summary["submission"] = {key: value for key, value in manifest["submission"].items() if key != "system"}
    if accuracies:
        # a submission has one of each scenario, and the worst decides
        summary["accuracy"] = min(accuracies.values(), key=lambda accuracy: float(accuracy["mAP"]))
        if len(accuracies) > 1:
            summary["accuracies"] = accuracies
        if accuracy_invalid:
            summary["accuracy_invalid_because"] = accuracy_invalid
    return summary


def _compliance(path: Path, tests: list[dict[str, Any]]) -> dict[str, Any]:
    """Scenario → compliance test → verdict, where it is of the performance test that is there now."""
    if not path.is_file():
        return {}
    data = _read_json(path)
    there = {scenario: test["fingerprint"] for scenario, test in first_performance_tests(tests).items()}
    fingerprints = data["performance_tests"]
    return {name: verdicts for name, verdicts in data["scenarios"].items() if fingerprints[name] == there.get(name)}


def first_performance_tests(tests: list[dict[str, Any]]) -> dict[Scenario, dict[str, Any]]:
    """Scenario → the record of its performance test, of several the first: the one that a submission shows."""
    first: dict[Scenario, dict[str, Any]] = {}
    for test in tests:
        if test["mode"] == "performance":
            first.setdefault(test["scenario"], test)
    return first


def run_figures(scenario: str, figures: dict[str, Any]) -> dict[str, Any]:
    """The figures of a test that a person compares: the rate of Offline, the latencies elsewhere."""
    key = "samples_per_second" if scenario == "offline" else "latency_ms"
    return {key: figures[key]}


def _runs(scenarios: Mapping[Scenario, dict[str, Any]]) -> list[dict[str, Any]]:
    """Every repetition of every scenario."""
    return [run for figures in scenarios.values() for run in figures.get("runs", [])]


def performance_figures(path: Path, test: dict[str, Any]) -> dict[str, Any]:
    """The figures of one performance test.

    Args:
        path: its folder.
        test: its part of the manifest.

    Raises:
        LogError: a file of it is missing, damaged or unfinished.
    """
    log = read_detail(path / "mlperf_log_detail.txt")
    if "result_validity" not in log.values:
        raise LogError(
            "the test was not finished: there is no verdict in it", where=str(path / "mlperf_log_detail.txt")
        )
    samples = read_samples(path / "samples.csv.gz")
    busy = sessions(samples, [session["name"] for session in test["sessions"]])
    scenario = test["scenario"]
    result: dict[str, Any] = {"valid": log.valid}
    if not log.valid:
        result["invalid_because"] = explain(log, scenario)
    if scenario == "offline":
        result |= {"samples": len(samples), "samples_per_second": log.values["result_samples_per_second"]}
    else:
        result |= {"queries": int(log.values["result_query_count"]), "latency_ms": _latencies(log)}
        result["percentile"] = test["rules"]["latency_percentile"]
        if scenario == "server":
            result["scheduled_samples_per_second"] = log.values["result_scheduled_samples_per_sec"]
        for kind in ("ss", "ms"):
            key = f"early_stopping_latency_{kind}"
            if scenario == {"ss": "single_stream", "ms": "multi_stream"}[kind] and log.values.get(key):
                result["early_stopping_latency_ms"] = log.milliseconds(key)
    result |= {
        "duration_s": round(float((samples["completed_ns"].max() - samples["issued_ns"].min()) / 1e9), 3),
        # the share of the test's time in which the sessions were inferring
        "efficiency": round(sum(s["busy"] for s in busy.values()) / len(busy), 4),
        "sessions": busy,
        "stages_ms": stages_ms(samples),
    }
    return result


def _latencies(log: DetailLog) -> dict[str, float]:
    """Of queries: where a query has several samples, LoadGen gives the samples' own latencies beside them."""
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
    groups = {**summary["scenarios"], "accuracy": summary.get("accuracy", {})}
    return [(group, *pair) for group, figures in groups.items() for pair in flat(figures)]


def flat(figures: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Nested figures as pairs of a dotted name and a value."""
    rows: list[tuple[str, Any]] = []
    for key, value in figures.items():
        if isinstance(value, dict):
            rows += flat(value, f"{prefix}{key}.")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            rows += flat({str(number): it for number, it in enumerate(value, 1)}, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", "; ".join(value) if isinstance(value, list) else value))
    return rows


def read_manifest(folder: Path) -> dict[str, Any]:
    """``manifest.json`` of a run directory.

    Raises:
        LogError: there is none, or it is damaged.
    """
    path = folder / "manifest.json"
    if not path.is_file():
        raise LogError("is not a run directory: it has no manifest.json", where=str(folder))
    return _read_json(path)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LogError(f"cannot be read: {error}", where=str(path)) from error
    return data
