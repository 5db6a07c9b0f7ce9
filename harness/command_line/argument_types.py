"""Types of arguments: what argparse turns a word of the command line into."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.errors import UsageError
from harness.scenarios import Scenario, scenario_named


def one_or_more(text: str) -> int:
    """The text as a whole number, 1 or more.

    Raises:
        argparse.ArgumentTypeError: it is something else.
    """
    return _at_least(1, text)


def zero_or_more(text: str) -> int:
    """The text as a whole number, 0 or more.

    Raises:
        argparse.ArgumentTypeError: it is something else.
    """
    return _at_least(0, text)


def share(text: str) -> float:
    """The text as a share, above 0 and at most 1.

    Raises:
        argparse.ArgumentTypeError: it is something else.
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share above 0 and at most 1")
    return value


def scenario(text: str) -> Scenario:
    """The scenario of any usual spelling, as ``--scenario`` takes it.

    Raises:
        UsageError: there is none of that name; names the nearest.
    """
    try:
        return scenario_named(text)
    except UsageError as error:
        raise UsageError(error.what, where="--scenario", hint=error.hint) from None


def file_to_write(text: str) -> Path:
    """The text as the path of a file that is going to be written; ``-`` stays what it is.

    Raises:
        argparse.ArgumentTypeError: there is a folder of that name, or a part of it is a file.
    """
    path = Path(text)
    try:
        is_folder, parent_is_file = path.is_dir(), path.parent.is_file()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text[:80]!r}: {error.strerror}") from None
    if is_folder:
        raise argparse.ArgumentTypeError(f"{text!r} is a folder, not a file to write")
    if parent_is_file:
        raise argparse.ArgumentTypeError(f"{str(path.parent)!r} is a file, not a folder")
    return path


def _at_least(least: int, text: str) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of {least} or more")
    return int(text)
