"""`ssd-harness prepare NOUN`: what a run needs, made beforehand. Each noun is a module of its own."""

from __future__ import annotations

import argparse
from types import ModuleType

from harness.commands import prepare_dataset, prepare_model, prepare_outputs

SUMMARY = "make a model, a dataset or recorded outputs ready beforehand"
EXAMPLES = f"{prepare_model.EXAMPLES}\n{prepare_dataset.EXAMPLES}\n{prepare_outputs.EXAMPLES}"

# Each has SUMMARY, EXAMPLES, add_arguments and run, as a command has.
NOUNS: dict[str, ModuleType] = {"model": prepare_model, "dataset": prepare_dataset, "outputs": prepare_outputs}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One subparser per noun."""
    nouns = parser.add_subparsers(dest="noun", metavar="NOUN", required=True)
    for name, module in NOUNS.items():
        noun = nouns.add_parser(
            name,
            help=module.SUMMARY,
            description=module.__doc__,
            epilog=f"examples:\n{module.EXAMPLES}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(noun)


def run(args: argparse.Namespace) -> int:
    """Prepares the noun that was named."""
    status: int = NOUNS[args.noun].run(args)
    return status
