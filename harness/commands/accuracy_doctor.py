"""``ssd-harness accuracy --doctor``: says why a mAP is wrong, with the mAP that each repair would give."""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from typing import Any

from rich.console import Console
from rich.table import Table

from harness.accuracy.evaluate import Evaluator, has_hotcoco, percent_text
from harness.accuracy.ground_truth import GroundTruth
from harness.command_line.json_output import show_or_write
from harness.doctor.diagnosis import Diagnosis, diagnose, diagnose_default_model
from harness.doctor.evidence import read_evidence
from harness.runs.evaluation import AccuracySource
from harness.terminal import Terminal, output

_SHOWN = 5  # other readings in the table


def run(args: argparse.Namespace, truth: GroundTruth, source: AccuracySource | None) -> int:
    """Diagnoses and prints; 1 if something is wrong.

    Args:
        args: the command's.
        truth: the annotations.
        source: of the log, if it is of a run whose own annotations those are.
    """
    evaluator: Evaluator = args.evaluator or ("hotcoco" if has_hotcoco() else "pycocotools")
    terminal = Terminal()
    if source is not None and source.simulated:
        terminal.say("note: the devices were SIMULATED: unless they played recorded outputs, their answers are made up")
    evidence = replace(read_evidence(args.log, truth, args.labels), own_annotations=source is not None)
    with terminal.task("Doctor") as report:
        if source is not None and source.default_model_on_photographs:
            found = diagnose_default_model(evidence, evaluator)
        else:
            found = diagnose(evidence, evaluator, lambda doing: report(0, None, doing))
    document: dict[str, Any] = {
        "log": str(args.shown_log),
        "annotations": str(args.annotations),
        "nothing_wrong": not found.causes,
        **_as_json(found),
    }
    show_or_write(document, args.json, lambda: _print(output(), found))
    return 1 if found.causes else 0


def _as_json(found: Diagnosis) -> dict[str, Any]:
    document = asdict(found)
    return {"findings": document.pop("causes"), **document}


def _print(console: Console, found: Diagnosis) -> None:
    repaired = "" if found.repaired_mAP is None else f"; repaired, {percent_text(found.repaired_mAP)}"
    console.print(f"mAP {percent_text(found.mAP)} as the log is{repaired} ({found.images} images, {found.evaluator})")
    if not found.causes:
        console.print("nothing wrong", style="bold green")
    for number, cause in enumerate(found.causes, 1):
        console.print(f"{number}. {cause.problem}", style="bold red")
        console.print(f"   {cause.evidence}")
        console.print(f"   next: {cause.advice}")
    table = Table(title=f"the best of {found.tried} readings")
    table.add_column("mAP %", justify="right")
    table.add_column("if")
    for attempt in found.attempts[:_SHOWN]:
        table.add_row(percent_text(attempt.mAP), " and ".join(attempt.problems) or "the log is as it should be")
    console.print(table)
    for note in found.notes:
        console.print(f"note: {note}")
