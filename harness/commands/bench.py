"""`ssd-harness bench TARGET`: how fast the harness's own parts are here. Each target is a module of its own."""

from __future__ import annotations

import argparse
from types import ModuleType

from harness.commands import bench_postprocess, bench_queue

SUMMARY = "measure the harness's own parts"
EXAMPLES = bench_postprocess.EXAMPLES + bench_queue.EXAMPLES

# Each has SUMMARY, EXAMPLES, add_arguments and run, as a command has.
TARGETS: dict[str, ModuleType] = {"postprocess": bench_postprocess, "queue": bench_queue}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One subparser per target."""
    targets = parser.add_subparsers(dest="target", metavar="TARGET", required=True)
    for name, module in TARGETS.items():
        target = targets.add_parser(
            name,
            help=module.SUMMARY,
            description=module.__doc__,
            epilog=f"examples:\n{module.EXAMPLES}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(target)


def run(args: argparse.Namespace) -> int:
    """Measures the target that was named."""
    status: int = TARGETS[args.target].run(args)
    return status
