"""What a command with ``--json`` found: for a program on standard output, or for a person and, if asked, in a file."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.command_line.argument_types import file_to_write
from harness.errors import UsageError
from harness.files import write_json
from harness.terminal import Terminal

STDOUT = Path("-")


def add_json_option(
    parser: argparse.ArgumentParser, what: str = "what was found", *, of_an_action: bool = False
) -> None:
    """Adds ``--json``, which means the same wherever it is: alone or with ``-`` standard output, else a file.

    Args:
        parser: of the command.
        what: goes into the JSON, for the help.
        of_an_action: the command has the option too, and what was given there holds for its action.
    """
    parser.add_argument(
        "--json",
        type=file_to_write,
        nargs="?",
        const=STDOUT,
        default=argparse.SUPPRESS if of_an_action else None,
        metavar="OUT",
        help=f"{what} as JSON, to this file; without one, or with -, to standard output instead of the text",
    )


def show_or_write(document: Mapping[str, Any] | Sequence[Any], json_to: Path | None, show: Callable[[], None]) -> None:
    """Shows a document to a person, or writes it as JSON.

    Args:
        document: what was found.
        json_to: the argument of ``--json``: ``-`` is standard output, which then holds nothing else.
        show: prints it for a person.

    Raises:
        OSError: the file cannot be written.
    """
    if json_to is not None and str(json_to) == "-":
        Terminal().result(json.dumps(document, indent=2))
        return
    show()
    if json_to is not None:
        write_json(json_to, document)


class Made:
    """What a command made, as it makes it: a line each for a person, or one JSON object of all in the end.

    Args:
        json_to: the argument of ``--json``.
    """

    def __init__(self, json_to: Path | None) -> None:
        self._json_to = json_to
        self._document: dict[str, Any] = {}

    def add(self, line: str, **facts: Any) -> None:
        """Shows a line, and keeps what it says for the JSON."""
        self._document.update(facts)
        if self._json_to != STDOUT:
            Terminal().result(line)

    def finish(self) -> None:
        """Writes the JSON, if it was asked for."""
        if self._json_to is not None:
            show_or_write(self._document, self._json_to, _nothing_more)


def _nothing_more() -> None:
    """The lines have been shown."""


def json_format(args: argparse.Namespace) -> None:
    """Makes ``--format json --output OUT`` of ``--json OUT``, where a command has those too.

    Raises:
        UsageError: ``--json`` is given beside another format or file.
    """
    if args.json is None:
        return
    if args.format not in (None, "table", "json") or args.output is not None:
        raise UsageError("--json goes with neither --format nor --output", hint="--json OUT is both of them")
    args.format = "json"
    args.output = None if args.json == STDOUT else args.json
