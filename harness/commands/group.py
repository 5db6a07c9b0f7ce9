"""A command whose next word names what it is about, each a module of its own."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType


@dataclass(frozen=True)
class Group:
    """The subcommands of a command.

    Attributes:
        word: what the next word is called in the help, e.g. "target".
        modules: the word → a module with SUMMARY, EXAMPLES, ``add_arguments`` and ``run``, as a command has.
    """

    word: str
    modules: Mapping[str, ModuleType]

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """One subparser for each."""
        subparsers = parser.add_subparsers(dest=self.word, metavar=self.word.upper(), required=True)
        for name, module in self.modules.items():
            subparser = subparsers.add_parser(
                name,
                help=module.SUMMARY,
                description=module.__doc__,
                epilog=f"examples:\n{module.EXAMPLES}",
                formatter_class=argparse.RawDescriptionHelpFormatter,
            )
            module.add_arguments(subparser)

    def run(self, args: argparse.Namespace) -> int:
        """Runs the one that was named; gives its exit status."""
        status: int = self.modules[getattr(args, self.word)].run(args)
        return status
