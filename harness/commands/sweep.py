"""``ssd-harness sweep``: one run for every combination of a grid of settings, as one table and one page."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from harness.commands.run import add_measurement_arguments, overrides_of
from harness.errors import RunFailed, UsageError
from harness.settings import load_run

SUMMARY = "Run every combination of a grid of settings and rank them."
EXAMPLES = """\
  ssd-harness sweep --grid threads=1,2 --grid 'devices=cpu,cpu*2' --scenario offline
  ssd-harness sweep --grid backend=onnxruntime,openvino --grid precision=int8,float32 --duration 30
  ssd-harness sweep smoke --grid 'devices=simulated,simulated*4' --repeat 3 --output results/sweep
  ssd-harness sweep my.yaml --grid backend.warmup=0,10 --grid 'options={streams: 1},{streams: 2}'"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `sweep`."""
    parser.add_argument(
        "--grid",
        action="append",
        required=True,
        metavar="KEY=VALUE,VALUE",
        help="a setting and the values it takes in turn; may be repeated. A configuration key, or one of: "
        "backend, devices, threads, options, model, precision, decoder",
    )
    add_measurement_arguments(parser)
    parser.add_argument(
        "--output",
        type=Path,
        help="the folder of all its runs (default: results/sweep-<date>-<time>); one that "
        "holds this very sweep goes on with what is not finished",
    )
    parser.add_argument("--quiet", dest="style", action="store_const", const="quiet", help="only results and errors")


def run(args: argparse.Namespace) -> int:
    """Runs the combinations and prints them ranked; 1 if one is INVALID, 4 if one failed."""
    from harness.benchmark.sweep import SWEEP_NAME, Combination, combinations, described, parse_axis, run_sweep
    from harness.files import write_text
    from harness.report import load_run as open_run
    from harness.report.output import write_out
    from harness.report.sweep import Point, sweep_page, sweep_tables
    from harness.runs.directory import default_folder
    from harness.terminal import Terminal

    args.config = args.config or Path("demo")
    grid = dict(parse_axis(text) for text in args.grid)
    if len(grid) < len(args.grid):
        raise UsageError("a key stands twice", where="--grid", hint="give all its values in one --grid")
    shared = {"mode": "performance"} | overrides_of(args)
    runs = [
        Combination(values, load_run(args.config, shared | _backend_reset(values) | values))
        for values in combinations(grid)
    ]
    folder = args.output or default_folder("sweep")
    terminal = Terminal(args.style)
    sweep = run_sweep(grid, runs, load_run(args.config, shared), folder, terminal)
    points = [
        Point(
            described(made.values),
            open_run(folder / made.folder) if made.status == "complete" else None,
            made.reason or "",
        )
        for made in sweep.runs
    ]
    scenarios = runs[0].settings.scenarios
    write_out(sweep_tables(points, scenarios), None)
    page = folder / "sweep.html"
    write_text(page, sweep_page(points, scenarios))
    terminal.say(f"Figures: {folder / SWEEP_NAME}")
    terminal.result(f"Report: {page}")
    if any(point.run is None for point in points):
        return RunFailed.exit_status
    return 0 if all(point.run.summary.valid for point in points if point.run is not None) else 1


def _backend_reset(values: Mapping[str, object]) -> dict[str, object]:
    """A grid over backends: the file's devices and options are of its own backend only."""
    return {"backend.options": {}, "backend.devices": None} if "backend.name" in values else {}
