"""The summary as tables for a person."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from harness.accuracy.evaluate import MEANINGS
from harness.report.tables import Cell, Table, print_table
from harness.runs.summary import Summary

TITLES = {"single_stream": "SingleStream", "multi_stream": "MultiStream", "server": "Server", "offline": "Offline"}
PERCENTILES = ("p50", "p90", "p99")


def print_summary(summary: Summary, folder: Path, console: Console) -> None:
    """Per scenario the metric, percentiles and verdict; mAP; where the files are."""
    if summary["scenarios"]:
        print_table(scenarios_table(summary), console)
    for scenario, figures in summary["scenarios"].items():
        if "runs" in figures:
            print_table(repetitions_table(scenario, figures["runs"]), console)
    for scenario, peak in summary.get("peak", {}).items():
        print_table(peak_table(scenario, peak), console)
    for it in summary.get("retired", []):
        text = f"Retired in {TITLES[it['scenario']]} {it['mode']}: {it['session']} at sample {it['sample_index']}"
        console.print(f"{text} ({it['image']}): {it['reason']}", markup=False, highlight=False)
    for scenario, figures in summary["scenarios"].items():
        for reason in figures.get("invalid_because", []):
            console.print(f"{TITLES[scenario]} is INVALID: {reason}", markup=False, highlight=False)
    for reason in summary.get("accuracy_invalid_because", []):
        console.print(f"Accuracy is INVALID: {reason}", markup=False, highlight=False)
    if "accuracy" in summary:
        accuracy = summary["accuracy"]
        percent = {name: f"{accuracy[name] * 100:.3f} %" for name in ("mAP", "AP50", "AP75")}
        console.print(
            f"mAP {percent['mAP']} (AP50 {percent['AP50']}, AP75 {percent['AP75']})"
            f" on {accuracy['images']} images, {accuracy['detections']} detections, {accuracy['evaluator']}",
            highlight=False,
        )
    if not summary["submittable"]:
        console.print("Not submittable:")
        for reason in summary["not_submittable_because"]:
            console.print(f"  - {reason}", markup=False, highlight=False)
    if summary.get("traced"):
        traces = folder / "*" / "performance" / "run_*" / "trace.json.gz"
        console.print(f"Traces for ui.perfetto.dev: {traces}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"Files: {folder}", markup=False, highlight=False, soft_wrap=True)


def summary_tables(name: str, summary: Summary) -> list[Table]:
    """The figures of a run as tables: scenarios, tries of find-peak, accuracy, and why it is not submittable."""
    tables = [scenarios_table(summary)] if summary["scenarios"] else []
    tables += [peak_table(scenario, peak) for scenario, peak in summary.get("peak", {}).items()]
    if "accuracy" in summary:
        tables.append(accuracy_table(summary["accuracy"]))
    if not summary["submittable"]:
        rows = [(reason,) for reason in summary["not_submittable_because"]]
        tables.append(Table("Not submittable", ("because",), rows))
    return [replace(table, title=f"{name}: {table.title}") for table in tables]


def scenarios_table(summary: Summary) -> Table:
    """Per scenario the metric, percentiles and verdict."""
    backend, model, dataset = summary["backend"], summary["model"], summary["dataset"]
    synthetic = " (synthetic)" if dataset["synthetic"] else ""
    simulated = " (SIMULATED device)" if backend["simulated"] else ""
    rows = []
    for scenario, figures in summary["scenarios"].items():
        latency = figures.get("latency_ms", {})
        rows.append(
            (
                TITLES[scenario],
                metric(scenario, figures),
                *(f"{latency[name]:.3f}" if name in latency else None for name in ("p50", "p90", "p99")),
                sum(session["samples"] for session in figures["sessions"].values()),
                f"{figures['efficiency'] * 100:.1f} %",
                "VALID" if figures["valid"] else "INVALID",
            )
        )
    title = f"{model['benchmark']} on {backend['name']}{simulated}, {dataset['images']} images{synthetic}"
    return Table(title, ("scenario", "metric", "p50 ms", "p90 ms", "p99 ms", "samples", "busy", "verdict"), rows)


def peak_table(scenario: str, peak: dict[str, Any]) -> Table:
    """The tries of find-peak in one scenario, and what they found."""
    rows = [
        (
            number,
            f"{it['qps']:.3f}",
            f"{it['samples_per_second']:.3f}",
            None if it["p99_ms"] is None else f"{it['p99_ms']:.3f}",
            "VALID" if it["valid"] else "INVALID",
        )
        for number, it in enumerate(peak["tries"], 1)
    ]
    asked = "target queries/s" if scenario == "server" else "expected samples/s"
    what = "queries/s" if scenario == "server" else "samples/s"
    found = "no rate was valid" if peak["qps"] is None else f"peak {peak['qps']:.3f} {what}"
    columns = ("try", asked, "measured /s", "p99 ms", "verdict")
    return Table(f"{TITLES[scenario]}: the tries of find-peak", columns, rows, f"{TITLES[scenario]}: {found}")


def repetitions_table(scenario: str, runs: list[dict[str, Any]]) -> Table:
    """The repetitions of a performance test."""
    rows: list[tuple[Cell, ...]] = []
    for number, it in enumerate(runs, 1):
        verdict = "VALID" if it["valid"] else "INVALID"
        if scenario == "offline":
            rows.append((number, f"{it['samples_per_second']:.6g}", verdict))
        else:
            latency = it["latency_ms"]
            rows.append((number, *(f"{latency[name]:.6f}" for name in PERCENTILES if name in latency), verdict))
    names = ["samples/s"] if scenario == "offline" else [f"{n} ms" for n in PERCENTILES if n in runs[0]["latency_ms"]]
    note = "The first one is the result; the others show the spread."
    return Table(f"{TITLES[scenario]}: repetitions", ("run", *names, "verdict"), rows, note)


def accuracy_table(accuracy: dict[str, Any]) -> Table:
    """COCO's figures in percent; nothing where there is nothing of the kind to find."""
    rows = [
        (name, None if accuracy[name] < 0 else f"{100 * accuracy[name]:.3f}", meaning)
        for name, meaning in MEANINGS.items()
        if name in accuracy
    ]
    note = f"{accuracy['images']} images, {accuracy['detections']} detections, {accuracy['evaluator']}."
    return Table("COCO's figures", ("figure", "%", "what it is"), rows, note)


def metric(scenario: str, figures: dict[str, Any]) -> str:
    """The figure that counts in a scenario, with its unit."""
    if scenario == "offline":
        return f"{figures['samples_per_second']:.3f} samples/s"
    if scenario == "server":
        return f"{figures['scheduled_samples_per_second']:.3f} queries/s"
    name = f"p{figures['percentile'] * 100:g}"
    latency = figures["latency_ms"].get(name)
    return f"see {name} in LoadGen's summary" if latency is None else f"{latency:.3f} ms ({name})"
