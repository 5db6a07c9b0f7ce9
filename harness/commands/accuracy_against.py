"""``ssd-harness accuracy LOG --against OTHER``: what changed from the other to this one, and whether it is chance."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from harness.accuracy.change import CONFIDENCE, Change, Part, change
from harness.accuracy.coco_results import CocoResults
from harness.accuracy.evaluate import Evaluator
from harness.accuracy.ground_truth import GroundTruth
from harness.command_line.json_output import show_or_write
from harness.terminal import Terminal, output

_SHOWN = 10


def run(
    args: argparse.Namespace,
    truth: GroundTruth,
    other: Path,
    before: CocoResults,
    after: CocoResults,
    evaluator: Evaluator,
) -> int:
    """Compares and prints; always 0: a change is no fault."""
    terminal = Terminal()
    with terminal.task("Comparison") as report:
        report(0, None, "drawing images")
        found = change(truth, before, after, evaluator=evaluator)
    document: dict[str, Any] = {
        "log": str(args.shown_log),
        "against": str(other),
        "change": found.mAP,
        "significant": found.significant,
        "confidence": CONFIDENCE,
        **asdict(found),
    }
    show_or_write(document, args.json, lambda: _print(output(), found, other))
    return 0


def _print(console: Console, found: Change, other: Path) -> None:
    console.print(f"against {other}, over {found.before.images} images that both have:")
    interval = f"{100 * CONFIDENCE:.0f} % interval {100 * found.low:+.3f} to {100 * found.high:+.3f}"
    figures = f"{100 * found.before.mAP:.3f} % -> {100 * found.after.mAP:.3f} %, {100 * found.mAP:+.3f} points"
    console.print(f"mAP {figures} ({interval}, {found.draws} draws of the images)")
    if found.significant:
        style = "bold green" if found.mAP > 0 else "bold red"
        console.print("a significant change" + (" for the better" if found.mAP > 0 else " for the worse"), style=style)
    else:
        console.print("no significant change", style="bold")
    if not found.images_differing:
        console.print("the detections are the same in every image")
        return
    console.print(f"detections differ in {found.images_differing} images")
    _table(console, "classes that changed most", "AP", [part for part in found.classes if part.change][:_SHOWN])
    _table(console, "images that changed most", "part of the mAP", list(found.images[:_SHOWN]))


def _table(console: Console, title: str, figure: str, parts: list[Part]) -> None:
    if not parts:
        return
    table = Table(title=title)
    table.add_column("")
    for column in (f"{figure} before", "after", "change"):
        table.add_column(column, justify="right")
    table.add_column("")
    for part in parts:
        digits = 3 if part.low is None else 2  # an image is a small part of the whole
        figures = (
            f"{100 * part.before:.{digits}f}",
            f"{100 * part.after:.{digits}f}",
            f"{100 * part.change:+.{digits}f}",
        )
        table.add_row(part.name, *figures, "significant" if part.significant else "")
    console.print(table)
