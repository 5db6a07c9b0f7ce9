"""Checks a submission tree against everything that its round asks: one line a finding, exit status 1 on any failure.

Also what the official checker only logs and lets pass. The tree may be made by anybody, by any version of LoadGen from
the round's own to today's.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

from rich.table import Table

from harness.accuracy.ground_truth import read_ground_truth
from harness.command_line.json_output import add_json_option, show_or_write
from harness.errors import UsageError
from harness.loadgen.plan import LOADGEN_SCENARIOS
from harness.rounds import Round, load_round
from harness.submission.accuracy_backup import default_backup
from harness.submission.check import Checked, PlaceResult, check_tree
from harness.submission.official import check_officially
from harness.submission.stated_round import likely_round, stated_round
from harness.terminal import Terminal, output

SUMMARY = "check a submission tree against everything its round asks"
EXAMPLES = """\
  ssd-harness submission check my_submission
  ssd-harness submission check my_submission --failures --official ../inference
  ssd-harness submission check rehearsal_tree --rehearsal
  ssd-harness submission check inference_results_v1.1 --round v1.1 --submitter FuriosaAI
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `submission check`."""
    add = parser.add_argument
    add("tree", type=Path, metavar="DIR", help="the folder that holds closed/ and open/")
    add_round(parser)
    add("--submitter", metavar="ORG", help="look at this submitter's part only")
    add("--backup", type=Path, metavar="DIR", help="the whole accuracy logs (default: DIR-accuracy-logs, if there)")
    add("--annotations", type=Path, metavar="JSON", help="also evaluate the whole accuracy logs again, with these")
    add(
        "--official", type=Path, metavar="CLONE", help="also run the official checker of a clone of mlcommons/inference"
    )
    add("--strict", action="store_true", help="exit with status 1 on warnings too")
    add_rehearsal(parser)
    add(
        "--failures",
        action="store_true",
        help="print what fails or was not looked at, not what passes or is short by design",
    )
    add_json_option(parser, "findings and results")


def run(args: argparse.Namespace) -> int:
    """Checks and prints; 1 if anything fails."""
    round_ = round_of(args)
    if args.backup is not None and not args.backup.is_dir():
        raise UsageError("is not a folder", where=str(args.backup), hint="give --backup the folder of the whole logs")
    backup = args.backup or default_backup(args.tree)
    truth = None if args.annotations is None else read_ground_truth(args.annotations)
    checked = check_tree(
        args.tree, round_, submitter=args.submitter, backup=backup, truth=truth, rehearsal=args.rehearsal
    )
    if args.official is not None:
        terminal = Terminal()
        with terminal.task("Official checker"):
            checked.findings.extend(check_officially(args.official, args.tree, round_.round, args.submitter))
    report = report_of(args.tree, round_, checked)
    show_or_write(report, args.json, lambda: print_checked(checked, failures_only=args.failures))
    return 1 if checked.failures or (args.strict and checked.warnings) else 0


def print_checked(checked: Checked, *, failures_only: bool) -> None:
    """The findings, failures last, the results and the count."""
    terminal = Terminal()
    statuses = ("SKIP", "WARN", "FAIL") if failures_only else ("PASS", "REHEARSAL", "SKIP", "WARN", "FAIL")
    for status in statuses:
        for group in checked.groups:
            if group.finding.status == status:
                terminal.result(str(group))
    if checked.results:
        output().print(_table(checked))
    terminal.result(summary_line(checked))
    show_way_out(checked)


def show_way_out(checked: Checked) -> None:
    """The option, where some of the failures are those of any rehearsal."""
    short = sum(group.finding.short for group in checked.groups if group.finding.status == "FAIL")
    if short:
        Terminal().result(
            f"{short} of the failures say that something is short; in a rehearsal that is by design: --rehearsal"
        )


def summary_line(checked: Checked) -> str:
    """``114 checks: 113 passed, 1 failed``."""
    counts = Counter(group.finding.status for group in checked.groups)
    warned = f", {counts['WARN']} warnings" if counts["WARN"] else ""
    skipped = f", {counts['SKIP']} not looked at" if counts["SKIP"] else ""
    short = f", {counts['REHEARSAL']} short by design" if counts["REHEARSAL"] else ""
    return f"{counts.total()} checks: {counts['PASS']} passed, {counts['FAIL']} failed{warned}{skipped}{short}"


def add_rehearsal(parser: argparse.ArgumentParser) -> None:
    """Adds ``--rehearsal``, of every action that checks."""
    text = "what is short by design (time, queries, images) is [REHEARSAL], and the exit status is that of the rest"
    parser.add_argument("--rehearsal", action="store_true", help=text)


def add_round(parser: argparse.ArgumentParser) -> None:
    """Adds ``--round``, of every action on a tree that is there."""
    parser.add_argument("--round", metavar="R", help="the MLPerf round (default: the one that the tree says it is of)")


def round_of(args: argparse.Namespace) -> Round:
    """The round of the tree: as asked for, as written in it, or a likely one, and then that is said.

    Raises:
        UsageError: there is no such round.
    """
    name = args.round or stated_round(args.tree)
    if name is None:
        name = likely_round(args.tree)
        Terminal().say(f"note: {args.tree} does not say which round it is of: {name} is assumed, --round names another")
    return load_round(name)


def _table(checked: Checked) -> Table:
    table = Table()
    for title in ("division", "submitter", "system", "benchmark", "scenario"):
        table.add_column(title)
    for title in ("result", "mAP"):
        table.add_column(title, justify="right")
    for result in checked.results:
        place = result.place
        value = _shown(result)
        accuracy = "–" if result.accuracy_percent is None else f"{result.accuracy_percent:.3f} %"
        inferred = " (inferred)" if result.inferred else ""
        names = (place.division, place.submitter, place.system, place.benchmark, place.folder)
        table.add_row(*names, value + inferred, accuracy)
    return table


def report_of(tree: Path, round_: Round, checked: Checked) -> dict[str, Any]:
    """What was found in a tree, for ``--json``."""
    return {
        "tree": str(tree),
        "round": round_.round,
        "passed": not checked.failures,
        "findings": [dataclasses.asdict(finding) for finding in checked.findings],
        "results": [_figures(result) for result in checked.results],
    }


def _figures(result: PlaceResult) -> dict[str, Any]:
    place = result.place
    return {
        "division": place.division,
        "submitter": place.submitter,
        "system": place.system,
        "benchmark": place.benchmark,
        "scenario": LOADGEN_SCENARIOS[place.scenario],
        "value": result.value,
        "unit": result.unit,
        "inferred": result.inferred,
        "accuracy_percent": result.accuracy_percent,
    }


def _shown(result: PlaceResult) -> str:
    if not result.value:  # 0 is LoadGen's figure for none
        return "–"
    return f"{result.value:.3f} ms" if result.unit == "ms" else f"{result.value:.2f} {result.unit}"
