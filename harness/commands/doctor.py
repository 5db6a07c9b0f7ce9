"""`ssd-harness doctor SUBJECT`: what this machine or a model says of itself. Each subject is a module of its own."""

from __future__ import annotations

import argparse
from types import ModuleType

from harness.commands import doctor_model, doctor_system

SUMMARY = "look at a model or at this machine, and say what is there and what is wrong"
EXAMPLES = doctor_model.EXAMPLES + doctor_system.EXAMPLES

# Each has SUMMARY, EXAMPLES, add_arguments and run, as a command has.
SUBJECTS: dict[str, ModuleType] = {"model": doctor_model, "system": doctor_system}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One subparser per subject."""
    subjects = parser.add_subparsers(dest="subject", metavar="SUBJECT", required=True)
    for name, module in SUBJECTS.items():
        subject = subjects.add_parser(
            name,
            help=module.SUMMARY,
            description=module.__doc__,
            epilog=f"examples:\n{module.EXAMPLES}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(subject)


def run(args: argparse.Namespace) -> int:
    """Looks at the subject that was named."""
    status: int = SUBJECTS[args.subject].run(args)
    return status
