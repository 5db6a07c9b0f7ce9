"""Which sources these are: results of others are not comparable, and the nodes of a cluster must have the same."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from harness.files import sha256_file

SOURCES = ("*.py", "*.cpp", "*.h")
AFTER_A_TEST = (
    "accuracy",
    "live",
    "runs",
    "report",
    "submission",
    "benchmark",
    "commands",
    "cli.py",
    "terminal.py",
    "__main__.py",
)

ROUNDS = "configs"
"""In the package only where it is installed from a wheel; its content is compared by `harness.rounds.round_sha256`."""


@functools.cache
def code_sha256() -> str:
    """The sha256 of the sources that take part in a test: what comes after one, from accuracy up, cannot change it."""
    package = Path(__file__).parent
    others = {package / part for part in (*AFTER_A_TEST, ROUNDS)}
    digest = hashlib.sha256()
    for path in sorted(path for kind in SOURCES for path in package.rglob(kind)):
        if not others & {path, *path.parents}:
            digest.update(f"{path.relative_to(package)} {sha256_file(path)}\n".encode())
    return digest.hexdigest()
