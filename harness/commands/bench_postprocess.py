"""The native postprocessor beside the others: time of an image, images per second, share of memory bandwidth."""

from __future__ import annotations

import argparse
import dataclasses

from rich.console import Console
from rich.table import Table

from harness.command_line.argument_types import one_or_more
from harness.command_line.json_output import add_json_option, show_or_write
from harness.command_line.model_argument import add_model_name
from harness.model.decoder_timing import DecoderBench
from harness.model.registry import load_model
from harness.terminal import Terminal, output

SUMMARY = "the postprocessors, in ms an image"
EXAMPLES = """\
  ssd-harness bench postprocess
  ssd-harness bench postprocess --threads 1 --json
  ssd-harness bench postprocess --model-name NAME
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `bench postprocess`."""
    add_model_name(parser)
    parser.add_argument(
        "--rounds", type=one_or_more, default=100, help="turns each contestant has (default: %(default)s)"
    )
    parser.add_argument("--threads", type=one_or_more, help="for images per second (default: every core)")
    add_json_option(parser, "the figures")


def run(args: argparse.Namespace) -> int:
    """Measures the postprocessors and prints the figures."""
    terminal = Terminal()
    with terminal.task("Postprocessors", "rounds") as report:
        result = load_model(args.model_name).bench_decoders(rounds=args.rounds, threads=args.threads, progress=report)
    show_or_write(dataclasses.asdict(result), args.json, lambda: _print(output(), result))
    return 0


def _print(console: Console, bench: DecoderBench) -> None:
    threads = bench.timings[0].threads
    table = Table(title=f"Postprocessing of one image, {bench.model} ({bench.simd})")
    table.add_column("image")
    table.add_column("postprocessor")
    rates = ("images/s, 1 thread", f"images/s, {threads} threads", "scaling")
    for column in ("median ms", "p99 ms", "cold ms", f"× {bench.reference}", *rates):
        table.add_column(column, justify="right")
    scene = None
    for t in bench.timings:
        if scene not in (None, t.scene):
            table.add_section()
        table.add_row(
            t.scene if t.scene != scene else "",
            t.postprocessor,
            f"{t.median_ms:.3f}",
            f"{t.p99_ms:.3f}",
            f"{t.cold_ms:.3f}",
            f"{t.times_faster:.1f}" if t.times_faster else "–",
            f"{t.images_per_second:.0f}",
            f"{t.images_per_second_all:.0f}",
            f"{t.scaling:.2f}",
        )
        scene = t.scene
    console.print(table)
    if bench.remark:
        console.print(bench.remark)
    speed = bench.read_speed
    if speed is None:
        return
    console.print(
        f"Reading the int8 class outputs ({speed.bytes / 1e6:.2f} MB) does {speed.read_gb_per_s:.0f} GB/s here. "
        f"The int8 scan reaches {speed.scan_gb_per_s:.0f} GB/s, {speed.scan_gb_per_s / speed.read_gb_per_s:.0%} "
        f"of it; a whole call from Python on a background-only image {speed.decode_gb_per_s:.0f} GB/s, "
        f"{speed.decode_gb_per_s / speed.read_gb_per_s:.0%}."
    )
