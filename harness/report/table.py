"""The summary as a table for a person."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from harness.report.summary import Summary

TITLES = {"single_stream": "SingleStream", "multi_stream": "MultiStream", "server": "Server", "offline": "Offline"}


def print_summary(summary: Summary, folder: Path, console: Console) -> None:
    """Per scenario the metric, percentiles and verdict; mAP; where the files are."""
    if summary["scenarios"]:
        console.print(_table(summary))
    for scenario, peak in summary.get("peak", {}).items():
        _print_peak(scenario, peak, console)
    for it in summary.get("retired", []):
        text = f"Retired in {TITLES[it['scenario']]} {it['mode']}: {it['session']} at sample {it['sample_index']}"
        console.print(f"{text} ({it['image']}): {it['reason']}", markup=False, highlight=False)
    for scenario, figures in summary["scenarios"].items():
        for reason in figures.get("invalid_because", []):
            console.print(f"{TITLES[scenario]} is INVALID: {reason}", markup=False, highlight=False)
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


def _table(summary: Summary) -> Table:
    backend, model, dataset = summary["backend"], summary["model"], summary["dataset"]
    synthetic = " (synthetic)" if dataset["synthetic"] else ""
    simulated = " (SIMULATED device)" if backend["simulated"] else ""
    table = Table(title=f"{model['benchmark']} on {backend['name']}{simulated}, {dataset['images']} images{synthetic}")
    table.add_column("scenario")
    table.add_column("metric", justify="right")
    for name in ("p50", "p90", "p99"):
        table.add_column(f"{name} ms", justify="right")
    table.add_column("samples", justify="right")
    table.add_column("busy", justify="right")
    table.add_column("verdict")
    for scenario, figures in summary["scenarios"].items():
        latency = figures.get("latency_ms", {})
        table.add_row(
            TITLES[scenario],
            _metric(scenario, figures),
            *(f"{latency[name]:.3f}" if name in latency else "–" for name in ("p50", "p90", "p99")),
            str(sum(session["samples"] for session in figures["sessions"].values())),
            f"{figures['efficiency'] * 100:.1f} %",
            "VALID" if figures["valid"] else "INVALID",
        )
    return table


def _print_peak(scenario: str, peak: dict[str, Any], console: Console) -> None:
    table = Table(title=f"{TITLES[scenario]}: the tries of find-peak")
    table.add_column("try", justify="right")
    table.add_column("target queries/s" if scenario == "server" else "expected samples/s", justify="right")
    table.add_column("measured /s", justify="right")
    table.add_column("p99 ms", justify="right")
    table.add_column("verdict")
    for number, it in enumerate(peak["tries"], 1):
        p99 = "–" if it["p99_ms"] is None else f"{it['p99_ms']:.3f}"
        verdict = "VALID" if it["valid"] else "INVALID"
        table.add_row(str(number), f"{it['qps']:.3f}", f"{it['samples_per_second']:.3f}", p99, verdict)
    console.print(table)
    what = "queries/s" if scenario == "server" else "samples/s"
    found = "no rate was valid" if peak["qps"] is None else f"peak {peak['qps']:.3f} {what}"
    console.print(f"{TITLES[scenario]}: {found}", highlight=False)


def _metric(scenario: str, figures: dict[str, Any]) -> str:
    if scenario == "offline":
        return f"{figures['samples_per_second']:.3f} samples/s"
    if scenario == "server":
        return f"{figures['scheduled_samples_per_second']:.3f} queries/s"
    name = f"p{figures['percentile'] * 100:g}"
    latency = figures["latency_ms"].get(name)
    return f"see {name} in LoadGen's summary" if latency is None else f"{latency:.3f} ms ({name})"
