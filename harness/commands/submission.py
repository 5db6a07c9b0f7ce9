"""`ssd-harness submission ACTION`: an MLPerf submission tree, built, cut, checked. Each action has a module."""

from __future__ import annotations

from harness.command_line.subcommands import Subcommands
from harness.commands import submission_build, submission_check, submission_truncate

SUMMARY = "build an MLPerf submission tree from runs, cut its accuracy logs, check it"
EXAMPLES = f"{submission_build.EXAMPLES}{submission_truncate.EXAMPLES}{submission_check.EXAMPLES}"

_SUBCOMMANDS = Subcommands(
    "action",
    {
        "build": submission_build,
        "truncate": submission_truncate,
        "check": submission_check,
    },
)
add_arguments, run = _SUBCOMMANDS.add_arguments, _SUBCOMMANDS.run
