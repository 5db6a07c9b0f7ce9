"""Runs a few images through a model in every way it may have been meant to be fed and read, and says which is right.

Normalisation, colour order, output order, class layout, background, box layout and box order. Without --images, on
synthetic images whose objects are known. Exit status 1 if something is wrong.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from harness.accuracy.ground_truth import read_ground_truth
from harness.command_line.argument_types import one_or_more
from harness.command_line.json_output import add_json_option, show_or_write
from harness.command_line.model_argument import add_model_name
from harness.dataset.coco_index import CocoIndex
from harness.dataset.synthetic import cached_synthetic
from harness.doctor.model_examination import ModelDiagnosis, examine
from harness.errors import DatasetError, ModelError, UsageError
from harness.model.registry import load_model
from harness.terminal import Terminal, output

SUMMARY = "is a model fed and read in the right way: normalisation, colours, layouts, orders"
EXAMPLES = """\
  ssd-harness doctor model --model my.onnx
  ssd-harness doctor model --model my.onnx --images val2017 --annotations instances_val2017.json --count 16
"""
_STYLES = {"ok": "green", "wrong": "bold red", "unknown": "yellow", "not applicable": "dim"}
_SYNTHETIC = 64  # as the default benchmark has, so that they are there already
_IMAGE_NAMES = ("*.jpg", "*.jpeg", "*.png")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own arguments."""
    parser.add_argument("--model", type=Path, required=True, metavar="ONNX", help="the model file")
    add_model_name(parser)
    parser.add_argument("--images", type=Path, metavar="DIR", help="a folder of images (default: a synthetic set)")
    parser.add_argument(
        "--annotations", type=Path, metavar="JSON", help="their COCO instances file: the surest way to tell"
    )
    parser.add_argument("--count", type=one_or_more, default=8, metavar="N", help="images (default 8)")
    parser.add_argument("--backend", default="onnxruntime", help="what runs the model (default onnxruntime)")
    add_json_option(parser, "the result")


def run(args: argparse.Namespace) -> int:
    """Examines and prints; 1 if something is wrong."""
    if args.annotations is not None and args.images is None:
        raise UsageError("--annotations needs --images", hint="give the folder that their file names are relative to")
    if not args.model.is_file():
        raise ModelError("no such model", where=str(args.model))
    terminal = Terminal()
    model = load_model(args.model_name, args.model)
    images, annotations = _images(args)
    truth = None if annotations is None else read_ground_truth(annotations).first(len(images))
    with terminal.task("Doctor") as report:
        found = examine(args.model, model, images, truth, args.backend, lambda doing: report(0, None, doing))
    document = {"model": str(args.model), "nothing_wrong": not found.causes, **_as_json(found)}
    show_or_write(document, args.json, lambda: _print(output(), found))
    return 1 if found.causes else 0


def _images(args: argparse.Namespace) -> tuple[list[Path], Path | None]:
    """The images to run, and their annotations."""
    if args.images is None:
        images, annotations = cached_synthetic(images=_SYNTHETIC, seed=2017, progress=lambda done, total: None)
        return CocoIndex.load(annotations, images, min(args.count, _SYNTHETIC)).paths, annotations
    if args.annotations is not None:
        return CocoIndex.load(args.annotations, args.images, args.count).paths, args.annotations
    found = sorted(path for pattern in _IMAGE_NAMES for path in args.images.glob(pattern))
    if not found:
        raise DatasetError("no images", where=str(args.images), hint=f"it should hold {', '.join(_IMAGE_NAMES)}")
    return found[: args.count], None


def _as_json(found: ModelDiagnosis) -> dict[str, Any]:
    document = asdict(found)
    return {"findings": document.pop("causes"), "signs": document.pop("traces"), **document}


def _print(console: Console, found: ModelDiagnosis) -> None:
    table = Table(title=f"{found.images} images")
    for column in ("what", "verdict", "evidence"):
        table.add_column(column)
    for check in found.checks:
        table.add_row(check.about, check.verdict, check.evidence, style=_STYLES[check.verdict])
    console.print(table)
    for number, cause in enumerate(found.causes, 1):
        console.print(f"{number}. {cause.problem}", style="bold red")
        console.print(f"   {cause.evidence}")
        console.print(f"   next: {cause.advice}")
    if not found.causes:
        text = "nothing wrong" if found.complete else "nothing wrong that these images could show"
        console.print(text, style="bold green")
