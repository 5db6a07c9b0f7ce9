"""Builds a submission tree from finished runs, cuts its accuracy logs and checks it.

A run made with `--mode submission` says whose it is. Runs of several systems, or of one system's scenarios, go into one
tree. A scenario that was not run is inferred from another one where the round allows it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.command_line.json_output import add_json_option, show_or_write
from harness.commands.submission_check import add_rehearsal, report_of, show_way_out, summary_line
from harness.errors import UsageError
from harness.setting_paths import parse_assignment
from harness.submission.build import Built, build_tree
from harness.submission.run_source import as_benchmarks, read_run
from harness.terminal import Terminal

SUMMARY = "build a submission tree from finished runs, and check it"
EXAMPLES = """\
  ssd-harness submission build results/my-run --output my_submission
  ssd-harness submission build results/latency results/offline --output my_submission --submitter MyOrg \\
      --division closed --system my_npu.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `submission build`."""
    add = parser.add_argument
    add("runs", type=Path, nargs="+", metavar="RUN", help="a run directory; several go into one tree")
    add("--output", type=Path, required=True, metavar="DIR", help="the tree's folder, a new one")
    add("--backup", type=Path, metavar="DIR", help="where the whole accuracy logs go (default: DIR-accuracy-logs)")
    add("--division", choices=("closed", "open"), help="default: as the run says")
    add("--submitter", metavar="ORG", help="default: as the run says")
    add("--system", type=Path, metavar="JSON", help="the system's description (default: the run's)")
    add("--round", help="default: as the run says")
    add(
        "--benchmark",
        action="append",
        default=[],
        metavar="NAME",
        help="what the runs are submitted as; may be repeated (default: as the run says)",
    )
    add(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=TEXT",
        help="a field of the measurements' JSON, e.g. weight_transformations='none'; may be repeated",
    )
    add_rehearsal(parser)
    add_json_option(parser, "what was built and found")


def run(args: argparse.Namespace) -> int:
    """Builds, and prints what fails; 1 if anything does."""
    overrides = {"division": args.division, "submitter": args.submitter, "round": args.round}
    read = [read_run(folder, overrides, args.system) for folder in args.runs]
    rounds = {round_.round: round_ for _, round_ in read}
    if len(rounds) > 1:
        raise UsageError(f"the runs are of rounds {' and '.join(sorted(rounds))}", hint="build a tree for each")
    round_ = read[0][1]
    fields = {key: str(value) for key, value in (parse_assignment(text) for text in args.set)}
    unknown = sorted(set(fields) - set(round_.submission.implementation_fields))
    if unknown:
        known = ", ".join(round_.submission.implementation_fields)
        raise UsageError(f"unknown field {unknown[0]!r}", where="--set", hint=f"known: {known}")
    terminal = Terminal()
    with terminal.task("Submission tree"):
        built = build_tree(
            [each for source, _ in read for each in as_benchmarks(source, round_, args.benchmark)],
            round_,
            args.output,
            backup=args.backup,
            implementation=fields,
            rehearsal=args.rehearsal,
        )
    document = {
        **report_of(built.tree, round_, built.checked),
        "inferred": dict(built.inferred),
        "backup": None if built.backup is None else str(built.backup),
    }
    show_or_write(document, args.json, lambda: _print(built, terminal))
    return 1 if built.checked.failures else 0


def _print(built: Built, terminal: Terminal) -> None:
    for scenario, origin in built.inferred:
        terminal.result(f"{scenario} is inferred from {origin}")
    for group in built.checked.groups:
        if group.finding.status not in ("PASS", "REHEARSAL"):
            terminal.result(str(group))
    terminal.result(f"{built.tree}: {summary_line(built.checked)}")
    show_way_out(built.checked)
    if built.backup is not None:
        terminal.result(f"{built.backup}: the whole accuracy logs; keep them, a reviewer may ask for them")
