"""The sha256 of a result's files in the README.md of its measurements: what was built, so that a later edit is seen."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.files import sha256_file
from harness.submission.rules.finding import Problem, Rule
from harness.submission.tree import Place, SubmissionTree

_MOST_BYTES = 1 << 22
"""Of a README that is read: a list of checksums is a few kilobytes, whatever else lies there."""
_LINE = re.compile(r"^- (whole )?`([^`\n]+)`: ([0-9a-f]{64})$", re.MULTILINE)


def checksum_lines(owner: Path, folders: list[Path], whole: Mapping[str, str]) -> list[str]:
    """The lines of a README.

    Args:
        owner: the submitter's folder in the tree.
        folders: whose files are listed.
        whole: path of an accuracy log, from ``owner`` → sha256 of what LoadGen wrote.
    """
    files = sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())
    return [
        "sha256 of the accuracy logs as LoadGen wrote them; a long one is cut in the tree:",
        "",
        *(f"- whole `{path}`: {sha256}" for path, sha256 in whole.items()),
        "",
        "sha256 of the files of this result:",
        "",
        *(f"- `{path.relative_to(owner).as_posix()}`: {sha256_file(path)}" for path in files),
    ]


def read_checksums(tree: SubmissionTree, place: Place) -> tuple[dict[str, str], dict[str, str]]:
    """Of files and of whole accuracy logs, by their paths from the tree's root; empty where the README has none."""
    path = tree.root / tree.folder("measurements", place) / "README.md"
    text = ""
    if path.is_file():
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES).decode(errors="replace")
    found: tuple[dict[str, str], dict[str, str]] = ({}, {})
    for whole, name, sha256 in _LINE.findall(text):
        found[bool(whole)][f"{place.owner}/{name}"] = sha256
    return found


def as_built(subject: tuple[SubmissionTree, Place]) -> Iterator[Problem]:
    """No file that the README lists has been changed since."""
    tree, place = subject
    for path, sha256 in read_checksums(tree, place)[0].items():
        if path in tree.there and sha256_file(tree.root / path) != sha256:
            remedy = "build the tree again, from the logs as LoadGen wrote them"
            yield Problem(path, "a file that was changed", f"sha256 {sha256} of README.md", remedy)


RULES: dict[str, Rule[tuple[SubmissionTree, Place]]] = {"files as they were built": as_built}
