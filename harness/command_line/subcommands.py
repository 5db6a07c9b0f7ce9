"""A command whose next word names what it is about, each a module of its own."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.command_line.parser import add_command


@dataclass(frozen=True)
class Subcommands:
    """The subcommands of a command.

    Attributes:
        word: what the next word is called in the help, e.g. "target".
        modules: the word → a module with SUMMARY, EXAMPLES, ``add_arguments`` and ``run``, as a command has.
    """

    word: str
    modules: Mapping[str, Any]

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Adds one subparser for each subcommand."""
        subparsers = parser.add_subparsers(dest=self.word, metavar="|".join(self.modules), required=True)
        for name, module in self.modules.items():
            add_command(subparsers, name, module, module.__doc__)

    def run(self, args: argparse.Namespace) -> int:
        """Runs the subcommand that was named and gives its exit status."""
        status: int = self.modules[getattr(args, self.word)].run(args)
        return status
