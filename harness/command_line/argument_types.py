"""Types of arguments: what argparse turns a word of the command line into."""

from __future__ import annotations

import argparse


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


def _at_least(least: int, text: str) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of {least} or more")
    return int(text)
