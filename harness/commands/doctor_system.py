"""A first systems/SYSTEM.json of a submission, from what this machine says of itself.

Every field that the round requires is in it; what a machine cannot say is "", and is yours to fill in.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from harness.command_line.json_output import add_json_option, show_or_write
from harness.errors import UsageError
from harness.files import write_json
from harness.rounds import load_round
from harness.submission.system_description import system_errors
from harness.terminal import Terminal

SUMMARY = "write a systems JSON of this machine for a submission"
EXAMPLES = """\
  ssd-harness doctor system
  ssd-harness doctor system --submitter MyOrg --name 'My NPU x1' --output my_npu.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `doctor system`."""
    add = parser.add_argument
    add("--round", default="v2.0", help="the MLPerf round whose fields are asked for (v2.0)")
    add("--submitter", metavar="ORG", help="the organisation (default: likewise, --submitter)")
    add("--division", help="closed or open (default: left open, and the --division of a run fills it in)")
    add("--name", metavar="TEXT", help="the system's name (default: the host's)")
    add("--type", metavar="TYPE", help="edge (default), datacenter or both: datacenter,edge")
    add("--status", help="available, preview or rdi (default): research, development or internal")
    add("--output", type=Path, metavar="JSON", help="write it there, a new file (default: print it)")
    add_json_option(parser, "the description, and the fields that want something,")


_OPTIONS = {
    "submitter": "--submitter",
    "division": "--division",
    "system_name": "--name",
    "system_type": "--type",
    "status": "--status",
}
"""Field → the option that sets it."""


def run(args: argparse.Namespace) -> int:
    """Prints or writes the description; names the fields that are still to be filled in."""
    from harness.submission.machine import describe_machine

    rules = load_round(args.round).submission
    given = {field: getattr(args, option.removeprefix("--")) for field, option in _OPTIONS.items()}
    if args.output is not None and args.output.exists():
        raise UsageError("exists", where=str(args.output), hint="give another --output, or remove it")
    system = describe_machine(rules, **{name: value for name, value in given.items() if value is not None})
    named = {name for name, value in given.items() if value is not None}
    errors = [error for error in system_errors(system, rules) if error.field in named]
    if errors:
        first = errors[0]
        raise UsageError(
            f"found {first.found}, required {first.required}",
            where=_OPTIONS[first.field],
            hint="ssd-harness doctor system --help",
        )
    terminal, wanting = Terminal(), system_errors(system, rules)
    if args.output is not None:
        write_json(args.output, system)
    shown = json.dumps(system, indent=2) if args.output is None else str(args.output)
    document = {"system": system, "to_be_filled_in": {error.field: error.required for error in wanting}}
    show_or_write(document, args.json, lambda: terminal.result(shown))
    for error in wanting:
        by = f" (the run's {_OPTIONS[error.field]} does)" if error.field in ("division", "submitter") else ""
        terminal.say(f"to be filled in: {error.field}, {error.required}{by}")
    needed = {error.field for error in wanting}
    empty = [name for name, value in system.items() if value == "" and name not in needed]
    terminal.say(f'left "" (allowed): {", ".join(empty)}')
    return 0
