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


def _metric(scenario: str, figures: dict[str, Any]) -> str:
    if scenario == "offline":
        return f"{figures['samples_per_second']:.3f} samples/s"
    if scenario == "server":
        return f"{figures['scheduled_samples_per_second']:.3f} queries/s"
    name = "p99" if scenario == "multi_stream" else "p90"
    return f"{figures['latency_ms'][name]:.3f} ms ({name})"
