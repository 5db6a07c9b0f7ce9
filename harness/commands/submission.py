"""`ssd-harness submission ACTION`: an MLPerf submission tree, built, cut, checked. Each action has a module."""

from __future__ import annotations

import argparse
from types import ModuleType

from harness.commands import submission_build, submission_check, submission_truncate

SUMMARY = "build an MLPerf submission tree from runs, cut its accuracy logs, check it"
EXAMPLES = f"{submission_build.EXAMPLES}{submission_truncate.EXAMPLES}{submission_check.EXAMPLES}"

# Each has SUMMARY, EXAMPLES, add_arguments and run, as a command has.
ACTIONS: dict[str, ModuleType] = {
    "build": submission_build,
    "truncate": submission_truncate,
    "check": submission_check,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One subparser per action."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, module in ACTIONS.items():
        action = actions.add_parser(
            name,
            help=module.SUMMARY,
            description=module.__doc__,
            epilog=f"examples:\n{module.EXAMPLES}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(action)


def run(args: argparse.Namespace) -> int:
    """Does the action that was named."""
    status: int = ACTIONS[args.action].run(args)
    return status
