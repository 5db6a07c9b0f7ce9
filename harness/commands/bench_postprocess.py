"""The native postprocessor beside the others: time of an image, images per second, share of memory bandwidth."""

from __future__ import annotations

import argparse
import dataclasses
import json

from rich.console import Console
from rich.table import Table

from harness.model.ssd_resnet34.decoder_bench import DecoderBench, bench_decoders
from harness.terminal import Terminal, output

SUMMARY = "the postprocessors, in ms an image"
EXAMPLES = """\
  ssd-harness bench postprocess
  ssd-harness bench postprocess --threads 1 --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `bench postprocess`."""
    parser.add_argument("--rounds", type=int, default=100, help="turns each contestant has (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="for images per second (default: every core)")
    parser.add_argument("--json", action="store_true", help="print figures as JSON rather than a table")


def run(args: argparse.Namespace) -> int:
    """Measures the postprocessors and prints the figures."""
    terminal = Terminal()
    with terminal.task("Postprocessors", "rounds") as report:
        result = bench_decoders(rounds=args.rounds, threads=args.threads, progress=report)
    if args.json:
        terminal.result(json.dumps(dataclasses.asdict(result), indent=2))
    else:
        _print(output(), result)
    return 0


def _print(console: Console, bench: DecoderBench) -> None:
    threads = bench.timings[0].threads
    table = Table(title=f"Postprocessing of one image ({bench.simd})")
    table.add_column("image")
    table.add_column("postprocessor")
    rates = ("images/s, 1 thread", f"images/s, {threads} threads", "scaling")
    for column in ("median ms", "p99 ms", "× published", *rates):
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
            f"{t.times_faster:.1f}" if t.times_faster else "–",
            f"{t.images_per_second:.0f}",
            f"{t.images_per_second_all:.0f}",
            f"{t.scaling:.2f}",
        )
        scene = t.scene
    console.print(table)
    if not any(t.times_faster for t in bench.timings):
        console.print("To compare: pip install --no-deps furiosa-native-postprocess==0.10.0 (Python 3.11 or older)")
    speed = bench.read_speed
    console.print(
        f"Reading the int8 class outputs ({speed.bytes / 1e6:.2f} MB) does {speed.read_gb_per_s:.0f} GB/s here. "
        f"The int8 scan reaches {speed.scan_gb_per_s:.0f} GB/s, {speed.scan_gb_per_s / speed.read_gb_per_s:.0%} "
        f"of it; a whole call from Python on a background-only image {speed.decode_gb_per_s:.0f} GB/s, "
        f"{speed.decode_gb_per_s / speed.read_gb_per_s:.0%}."
    )
