"""``ssd-harness report``: the report of a run made again from its directory, and runs compared.

Of a folder with LoadGen's logs of anybody's: its figures, and why it is VALID or INVALID.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from harness.command_line.argument_types import file_to_write
from harness.command_line.json_output import add_json_option, json_format
from harness.errors import RunFailed, UsageError

if TYPE_CHECKING:
    from harness.runs.recorded_run import Run

SUMMARY = "Make the report of a run again, or compare runs with a baseline."
EXAMPLES = """\
  ssd-harness report results/demo-20261124-004124                  the figures, and report.html anew
  ssd-harness report results/a results/b --format markdown         the figures of two runs, for a document
  ssd-harness report results/b --compare results/a                 what changed, and whether it is more than noise
  ssd-harness report results/b --compare results/a --format html --output comparison.html
  ssd-harness report their_results/Offline/performance/run_1       LoadGen's logs of anybody's, explained
  ssd-harness report results/b --compare results/a --fail-if-slower    exit status 1 when b is slower"""
FORMATS = ("table", "csv", "markdown", "json", "html")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `report`."""
    add_json_option(parser, "the figures")
    add = parser.add_argument
    add("runs", nargs="+", type=Path, metavar="RUN", help="a run directory, or a folder of LoadGen's logs")
    add("--compare", type=Path, metavar="BASELINE", help="the run directory that each RUN is compared with")
    add("--format", choices=FORMATS, help="default: a table, and report.html in each run directory")
    add(
        "--output",
        type=file_to_write,
        metavar="FILE",
        help="a file instead of standard output (html: instead of RUN/report.html)",
    )
    add(
        "--threshold",
        type=float,
        metavar="PERCENT",
        help="changes smaller than this do not matter, however certain they are (default: 1)",
    )
    add("--why", action="store_true", help="every reason why a run cannot be submitted")
    add("--fail-if-slower", action="store_true", help="exit with status 1 when a figure got significantly worse")


def run(args: argparse.Namespace) -> int:
    """Writes what was asked for; 1 if a run is INVALID, or with --fail-if-slower if one got slower."""
    json_format(args)
    threshold = 1.0 if args.threshold is None else args.threshold
    if not 0 <= threshold < 100:
        raise UsageError(f"{threshold:g} is not a percentage from 0 to 100", where="--threshold")
    if args.compare is None:
        for option, given in (("--fail-if-slower", args.fail_if_slower), ("--threshold", args.threshold is not None)):
            if given:
                raise UsageError(f"{option} needs a baseline", hint="give --compare BASELINE")
    from harness.runs.layout import MANIFEST
    from harness.runs.loadgen_logs import is_log_folder
    from harness.runs.recorded_run import load_run

    logs = [path for path in args.runs if not (path / MANIFEST).is_file() and is_log_folder(path)]
    if logs:
        return _report_logs(args, logs)
    runs = [load_run(path) for path in args.runs]
    if args.compare is not None:
        return _compare(args, runs, threshold)
    if args.format == "html" or (args.format is None and args.output is None):
        _write_pages(args, runs)
    if args.format != "html":
        _show(args, runs)
    failed = [run for run in runs if run.manifest.status != "complete"]
    if failed:
        return RunFailed.exit_status
    return 0 if all(run.summary.valid for run in runs) else 1


def _report_logs(args: argparse.Namespace, folders: list[Path]) -> int:
    """The figures of LoadGen's logs of anybody's, and why they are VALID or INVALID; 1 if one is INVALID."""
    from harness.report.output import write_out
    from harness.runs.loadgen_logs import read_logged_test
    from harness.terminal import Terminal

    if len(folders) < len(args.runs) or args.compare is not None or args.format not in (None, "table", "json"):
        what = "LoadGen's logs of one test are shown as a table or as JSON, and not beside runs"
        raise UsageError(what, where=str(folders[0]), hint="give folders of logs alone, with --format table or json")
    tests = [read_logged_test(folder) for folder in folders]
    if args.format == "json":
        data = [
            {
                "folder": str(test.folder),
                "scenario": test.title,
                "mode": test.mode,
                "loadgen": test.loadgen,
                "sut": test.sut,
                "valid": test.valid,
                "invalid_because": list(test.reasons),
                "figures": test.figures,
            }
            for test in tests
        ]
        write_out(f"{json.dumps(data, indent=2, ensure_ascii=False)}\n", args.output)
    else:
        terminal = Terminal()
        for test in tests:
            terminal.result(f"{test.folder}: {test.title} {test.mode}, LoadGen {test.loadgen}, {test.sut}")
            for name, value in test.figures.items():
                terminal.result(f"  {name}: {value:.7g}" if isinstance(value, float) else f"  {name}: {value}")
            terminal.result("  VALID" if test.valid else f"  INVALID: {'; '.join(test.reasons)}")
    return 0 if all(test.valid for test in tests) else 1


def _write_pages(args: argparse.Namespace, runs: list[Run]) -> None:
    from harness.files import write_text
    from harness.report.page import report_html
    from harness.terminal import Terminal

    if args.output is not None and len(runs) > 1:
        raise UsageError(
            "several reports do not go into one file", where="--output", hint="leave it out, or give one RUN"
        )
    for run in runs:
        target = args.output or run.layout.report
        write_text(target, report_html(run))
        Terminal().say(f"Report: {target}")


def _show(args: argparse.Namespace, runs: list[Run]) -> None:
    from harness.report.output import write_out
    from harness.report.summary_tables import print_summary, summary_tables
    from harness.report.tables import Table, as_csv
    from harness.runs.summary import summary_rows
    from harness.terminal import output

    if args.format in (None, "table") and args.output is None:
        for run in runs:
            print_summary(run.summary, run.folder, output(), why=args.why)
    elif args.format == "json":
        summaries = {str(run.folder): run.summary.as_json() for run in runs}
        text = json.dumps(runs[0].summary.as_json() if len(runs) == 1 else summaries, indent=2, ensure_ascii=False)
        write_out(f"{text}\n", args.output)
    elif args.format == "csv":
        rows = [(str(run.folder), *row) for run in runs for row in summary_rows(run.summary)]
        write_out(as_csv(Table("", ("run", "scenario", "figure", "value"), rows)), args.output)
    else:
        tables = [table for run in runs for table in summary_tables(run.name, run.summary)]
        write_out(tables, args.output, args.format)


def _compare(args: argparse.Namespace, runs: list[Run], threshold: float) -> int:
    from harness.report.comparison import compare
    from harness.report.comparison_page import comparison_html
    from harness.report.output import write_out
    from harness.runs.recorded_run import load_run

    baseline = load_run(args.compare)
    compared = [compare(baseline, run, threshold / 100) for run in runs]
    if args.format == "html":
        if len(runs) > 1 and args.output is not None:
            raise UsageError("several comparisons do not go into one file", where="--output", hint="give one RUN")
        for comparison in compared:
            target = args.output or comparison.run.folder / f"comparison-with-{baseline.name}.html"
            write_out(comparison_html(comparison), target)
    elif args.format == "json":
        data = [comparison.as_json() for comparison in compared]
        write_out(json.dumps(data[0] if len(data) == 1 else data, indent=2, ensure_ascii=False) + "\n", args.output)
    else:
        write_out([table for comparison in compared for table in comparison.tables()], args.output, args.format)
    worse = any(comparison.worse for comparison in compared)
    return 1 if args.fail_if_slower and worse else 0
