"""``ssd-harness results``: the runs of a folder as a table, and a figure of them over time."""

from __future__ import annotations

import argparse
from datetime import datetime
from pathlib import Path

from harness.command_line.argument_types import file_to_write, scenario
from harness.command_line.json_output import add_json_option, json_format
from harness.errors import UsageError
from harness.scenarios import SCENARIOS

SUMMARY = "List the runs of a folder, with filters, and chart a figure of theirs over time."
EXAMPLES = """\
  ssd-harness results                                                  every run in results/
  ssd-harness results --backend onnxruntime --since 2026-11-01
  ssd-harness results --scenario offline --valid --format csv
  ssd-harness results --chart offline.samples_per_second --output throughput.html
  ssd-harness results --chart single_stream.latency_ms.p90 --model ssd"""
FORMATS = ("table", "csv", "markdown", "json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `results`."""
    add_json_option(parser, "the figures")
    add = parser.add_argument
    add(
        "folder",
        nargs="?",
        type=Path,
        default=Path("results"),
        metavar="DIR",
        help="of the runs, or a run (default: results)",
    )
    add("--scenario", type=scenario, choices=SCENARIOS, help="only runs that measured it; in any usual spelling")
    add("--backend", help="only runs on this backend")
    add("--model", help="only runs whose model's name, path or sha256 contains this")
    add("--name", help="only runs whose folder's name contains this")
    add(
        "--since",
        type=_moment,
        metavar="DATE",
        help="only runs started then or later, e.g. 2026-11-24 or 2026-11-24T13:00",
    )
    add("--valid", action="store_true", help="only VALID runs")
    add("--format", choices=FORMATS, help="default: a table")
    add(
        "--chart",
        metavar="FIGURE",
        help="a page with this figure over time, e.g. offline.samples_per_second or accuracy.mAP",
    )
    add(
        "--output",
        type=file_to_write,
        metavar="FILE",
        help="a file instead of standard output (--chart: instead of DIR/chart.html)",
    )


def run(args: argparse.Namespace) -> int:
    """Lists the runs, or writes the chart."""
    json_format(args)
    if args.chart is not None and args.format is not None:
        raise UsageError("--chart makes a page: it goes with neither --format nor --json", hint="leave one of them out")
    from harness.report.output import write_out
    from harness.report.results import Filter, chart_html, find_results, for_people, results_table
    from harness.terminal import Terminal

    wanted = Filter(args.scenario, args.backend, args.model, args.name, args.since, args.valid)
    found = find_results(args.folder, wanted)
    if args.chart is not None:
        target = args.output or args.folder / "chart.html"
        write_out(chart_html(found, args.chart), target)
        Terminal().say(f"Chart: {target}")
        return 0
    if not found and args.format in (None, "table"):
        Terminal().say(f"No such runs in {args.folder}")
        return 0
    table = results_table(found)
    for_programs = args.format in ("csv", "json")
    write_out([table if for_programs else for_people(table)], args.output, args.format)
    return 0


def _moment(text: str) -> datetime:
    try:
        # a moment without a time zone is the user's own
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise UsageError(f"{text!r} is no date", where="--since", hint="e.g. 2026-11-24, or 2026-11-24T13:00") from None
