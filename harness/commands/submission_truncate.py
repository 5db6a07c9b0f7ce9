"""Cuts the accuracy logs of a submission tree to the length that the round allows.

The sha256 of each whole log goes into its accuracy.txt, and the whole logs into a folder outside the tree.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.rounds import load_round
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
    add("--round", default="v2.0", help="the MLPerf round (v2.0)")
    add("--submitter", metavar="ORG", help="this submitter's part only")


def run(args: argparse.Namespace) -> int:
    """Cuts, and names what was cut."""
    backup = args.backup or backup_of(args.tree)
    tree = read_tree(args.tree, load_round(args.round), args.submitter)
    cut = cut_accuracy_logs(tree, backup)
    terminal = Terminal()
    for path in cut:
        terminal.result(f"cut: {path}")
    terminal.result(f"{len(cut)} accuracy logs cut; the whole ones are in {backup}" if cut else "no log is too long")
    return 0
