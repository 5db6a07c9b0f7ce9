"""The accuracy log that was not cut: in the tree, or in the backup beside it."""

from __future__ import annotations

from pathlib import Path

from harness.submission.accuracy_log import read_log_in_tree
from harness.submission.tree import SubmissionTree


def whole_accuracy_log(tree: SubmissionTree, path: str) -> Path | None:
    """The file of a whole accuracy log, or None where there is only a cut one.

    Args:
        path: of the log in the tree, from the tree's root.

    Raises:
        LogError: the log in the tree cannot be read.
    """
    if path not in tree.there:
        return None
    if not read_log_in_tree(tree.root / path, tree.round.submission.accuracy_log).cut:
        return tree.root / path
    kept = None if tree.backup is None else tree.backup / path
    return kept if kept is not None and kept.is_file() else None
