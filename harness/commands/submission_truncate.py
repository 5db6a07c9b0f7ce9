"""Cuts the accuracy logs of a submission tree to the length that the round allows.

The sha256 of each whole log goes into its accuracy.txt, and the whole logs into a folder outside the tree.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.command_line.json_output import add_json_option, show_or_write
from harness.commands.submission_check import add_round, round_of
from harness.submission.accuracy_backup import backup_of, cut_accuracy_logs
from harness.submission.tree import read_tree
from harness.terminal import Terminal

SUMMARY = "cut a tree's accuracy logs, keeping the whole ones outside it"
EXAMPLES = """\
  ssd-harness submission truncate my_submission --backup my_accuracy_logs
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `submission truncate`."""
    add = parser.add_argument
    add("tree", type=Path, metavar="DIR", help="the folder that holds closed/ and open/")
    add("--backup", type=Path, metavar="DIR", help="where the whole logs go (default: DIR-accuracy-logs)")
    add_round(parser)
    add_json_option(parser, "what was cut")
    add("--submitter", metavar="ORG", help="this submitter's part only")


def run(args: argparse.Namespace) -> int:
    """Cuts, and names what was cut."""
    backup = args.backup or backup_of(args.tree)
    tree = read_tree(args.tree, round_of(args), args.submitter)
    cut = cut_accuracy_logs(tree, backup)

    def show() -> None:
        terminal = Terminal()
        for path in cut:
            terminal.result(f"cut: {path}")
        count = f"{len(cut)} accuracy logs cut; the whole ones are in {backup}"
        terminal.result(count if cut else "no log is too long")

    document = {"tree": str(args.tree), "cut": [str(path) for path in cut], "backup": str(backup) if cut else None}
    show_or_write(document, args.json, show)
    return 0
