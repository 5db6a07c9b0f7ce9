"""The parser of a command: it never exits by itself, and a mistake becomes a `UsageError` with a way out."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any, NoReturn, Protocol

from harness.errors import UsageError
from harness.suggestions import did_you_mean


class Command(Protocol):
    """What a module of `harness.commands` offers."""

    SUMMARY: str
    EXAMPLES: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Adds the command's arguments to its parser."""
        ...

    def run(self, args: argparse.Namespace) -> int:
        """Does what the command is for and gives the exit status."""
        ...


class Parser(argparse.ArgumentParser):
    """An argument parser without abbreviations, whose errors are ours."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parses what it knows, and keeps what was given for the messages."""
        self._given: list[str] = list(args or ())
        return super().parse_known_args(args, namespace)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parses the arguments.

        Raises:
            UsageError: an argument is wrong, missing or unknown; an unknown option comes with the nearest known one.
        """
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            raise self._unknown(unknown, parsed)
        return parsed

    def error(self, message: str) -> NoReturn:
        """Raises the message as a `UsageError`, where argparse would print it and exit."""
        option = self._unknown_option(self._given)
        if option is not None and re.search(r" (is|are) required", message):
            raise self._no_such_option(option)
        message = re.sub(r"^argument (\S+): ", _name_of_argument, message)
        raise UsageError(message, hint=f"{self.prog} --help")

    def options(self) -> list[str]:
        """The long options of this parser."""
        return [option for action in self._actions for option in action.option_strings if option.startswith("--")]

    def chosen(self, parsed: argparse.Namespace) -> Parser:
        """The innermost subparser whose command the parsed arguments name."""
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):  # argparse has no public way to its subparsers
                chosen = action.choices.get(str(getattr(parsed, action.dest, None)))
                if isinstance(chosen, Parser):
                    return chosen.chosen(parsed)
        return self

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuses what is not among an argument's choices."""
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            name = action.option_strings[0] if action.option_strings else str(action.metavar or action.dest)
            what = f"invalid choice: {value!r} (choose from {', '.join(known)})"
            raise UsageError(what, where=name, hint=did_you_mean(str(value), known, f"{self.prog} --help"))

    def _unknown(self, unknown: Sequence[str], parsed: argparse.Namespace) -> UsageError:
        parser = self.chosen(parsed)
        option = parser._unknown_option(unknown)
        if option is not None:
            return parser._no_such_option(option)
        return UsageError(f"unrecognized arguments: {' '.join(unknown)}", hint=f"{parser.prog} --help")

    def _unknown_option(self, given: Sequence[str]) -> str | None:
        """The first of the words that looks like an option and is none."""
        known = {option for action in self._actions for option in action.option_strings}
        names = (word.partition("=")[0] for word in given if word.startswith("--") and word != "--")
        return next((name for name in names if name not in known), None)

    def _no_such_option(self, name: str) -> UsageError:
        every = f"`{self.prog} --help` shows every option"
        hint = did_you_mean(name, self.options(), every)
        return UsageError(f"no such option: {name}", where=self.prog, hint=hint if hint == every else f"{hint} {every}")


def _name_of_argument(match: re.Match[str]) -> str:
    """``--count: `` rather than ``argument --count: ``; a positional argument keeps the word."""
    return f"{match[1]}: " if match[1].startswith("-") else match[0]


def add_command(
    subparsers: Any,
    name: str,
    command: Command,
    description: str | None = None,
) -> Parser:
    """Adds a command's parser, with its arguments and examples, to the subparsers of another one.

    Args:
        subparsers: what ``add_subparsers`` gave.
        name: the word that chooses the command.
        command: its module.
        description: what its help begins with; None: its summary.
    """
    parser: Parser = subparsers.add_parser(
        name,
        help=command.SUMMARY,
        description=description or command.SUMMARY,
        epilog=f"examples:\n{command.EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_arguments(parser)
    return parser
