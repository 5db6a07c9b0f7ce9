"""`ssd-harness bench preprocess`: from encoded images to input tensors, in ms a step and images per second."""

from __future__ import annotations

import argparse
import dataclasses
import functools
from pathlib import Path

from rich.table import Table

from harness.command_line.argument_types import one_or_more
from harness.command_line.json_output import add_json_option, show_or_write
from harness.command_line.model_argument import add_model_name
from harness.dataset.image_list import listed_images
from harness.dataset.preprocess_bench import PreprocessBench, bench_preprocessing
from harness.dataset.synthetic import cached_synthetic
from harness.model.registry import load_model
from harness.terminal import Terminal, output

SUMMARY = "the preprocessing, in ms an image and images per second"
EXAMPLES = """\
  ssd-harness bench preprocess
  ssd-harness bench preprocess --images coco/val2017 --count 500 --json
"""
SYNTHETIC = 128


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("--images", type=Path, metavar="DIR", help="JPEGs and PNGs (default: synthetic ones)")
    parser.add_argument("--count", type=one_or_more, help="take the first so many")
    add_model_name(parser)
    parser.add_argument("--model", type=Path, metavar="FILE", help="its file, where that decides the input's size")
    parser.add_argument("--workers", type=one_or_more, help="processes of the pool (default: one per core)")
    parser.add_argument("--rounds", type=one_or_more, default=3, help="of the pool (default: %(default)s)")
    add_json_option(parser, "the figures")


def run(args: argparse.Namespace) -> int:
    """Measures, and prints a table or JSON."""
    terminal = Terminal()
    model = load_model(args.model_name, args.model)
    if args.images is None:
        with terminal.task("Synthetic images", "images") as report:
            folder, _ = cached_synthetic(images=args.count or SYNTHETIC, seed=0, progress=report)
        sources = listed_images(folder)
    else:
        sources = listed_images(args.images, count=args.count)
    with terminal.task("Preprocessing", "images") as report:
        result = bench_preprocessing(
            sources,
            functools.partial(model.tensor, dtype="uint8"),
            model.input.shape[1:],
            workers=args.workers,
            rounds=args.rounds,
            progress=report,
        )
    show_or_write(dataclasses.asdict(result), args.json, lambda: _print(result, model.title))
    return 0


def _print(bench: PreprocessBench, model: str) -> None:
    table = Table(title=f"Preprocessing for {model}, {bench.images} images")
    table.add_column("step, on one core")
    table.add_column("median ms an image", justify="right")
    for step, milliseconds in (
        ("read the file", bench.read_ms),
        ("decode and resize", bench.tensor_ms),
        ("write the tensor", bench.write_ms),
        ("load the tensor again, checked", bench.load_ms),
    ):
        table.add_row(step, f"{milliseconds:.2f}")
    console = output()
    console.print(table)
    rates = ", ".join(f"{rate:.0f}" for rate in bench.rounds_per_second)
    console.print(f"{bench.workers} worker processes: {bench.images_per_second:.0f} images/s (rounds: {rates})")
