"""The accuracy logs of a whole tree: cut for the submission, kept whole outside it, for a reviewer who asks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness.errors import UsageError
from harness.submission.accuracy_log import cut_log
from harness.submission.rules.accuracy import TXT
from harness.submission.rules.loadgen_test import ACCURACY
from harness.submission.tree import SubmissionTree


def backup_of(tree: Path) -> Path:
    """``TREE-accuracy-logs`` beside the tree."""
    tree = tree.resolve()
    return tree.with_name(f"{tree.name}-accuracy-logs")


def default_backup(tree: Path) -> Path | None:
    """The folder beside a tree, where it is there."""
    backup = backup_of(tree)
    return backup if backup.is_dir() else None


def cut_accuracy_logs(tree: SubmissionTree, backup: Path) -> list[str]:
    """Cuts every accuracy log of a tree that is too long, and keeps the whole ones; gives the paths of those cut.

    Raises:
        UsageError: the backup would lie in the tree.
        LogError: a log and its accuracy.txt do not belong together, or another backup is there already.
    """
    root = tree.root.resolve()
    if backup.resolve().is_relative_to(root):
        raise UsageError("lies in the tree", where=str(backup), hint="give --backup a folder outside it")
    rules = tree.round.submission.accuracy_log
    cut = []
    for folder in accuracy_folders(tree):
        path = f"{folder}/{ACCURACY}"
        if path in tree.there and cut_log(tree.root / path, tree.root / folder / TXT, rules, backup / path):
            cut.append(path)
    return cut


def accuracy_folders(tree: SubmissionTree) -> Iterator[str]:
    """The folders that hold an accuracy log: of the accuracy runs, and of the compliance tests that log answers."""
    for place in tree.places:
        yield tree.folder("accuracy", place)
        for name, rules in tree.rules(place).compliance_of(place.scenario).items():
            if rules.accuracy:
                yield tree.folder("compliance_accuracy", place, test=name)
