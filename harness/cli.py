"""The command line: finds the subcommand, runs it, and turns every ending into a message and an exit status.

0 done and valid; 1 done, but INVALID or below a gate asked for; 2 wrong usage or configuration; 3 data or environment
not usable; 4 the run failed; 130 interrupted.
"""

from __future__ import annotations

import errno
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from types import FrameType
from typing import NoReturn, cast

from harness.command_line.parser import Command, Parser, add_command
from harness.errors import DataError, HarnessError, Interrupted, UsageError
from harness.suggestions import did_you_mean
from harness.version import __version__

COMMANDS = (
    "run",
    "sweep",
    "prepare",
    "accuracy",
    "report",
    "results",
    "compliance",
    "submission",
    "doctor",
    "bench",
    "backends",
)
"""Each is a module of `harness.commands`, imported when it is named."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs ``ssd-harness argv`` and gives the exit status."""
    argv = sys.argv[1:] if argv is None else list(argv)
    debug = "--debug" in argv
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _run([arg for arg in argv if arg != "--debug"])
    except KeyboardInterrupt:
        return _say(Interrupted("interrupted"))
    except BrokenPipeError:
        # the reader of our output has gone, as with `| head`
        sys.stderr.close()
        return 0
    except HarnessError as error:
        if debug:
            raise
        return _say(error)
    except OSError as error:
        if debug or error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise
        return _say(DataError(error.strerror or "cannot be written", where=str(error.filename or "disk")))


def _run(argv: list[str]) -> int:
    name = next((arg for arg in argv if not arg.startswith("-")), None)
    if name is not None and name not in COMMANDS:
        hint = did_you_mean(name, COMMANDS, f"commands: {', '.join(COMMANDS)}")
        raise UsageError(f"no such command: {name}", hint=hint)
    parser = Parser(
        prog="ssd-harness",
        description="A benchmark harness in the style of MLPerf Inference for object detection on NPUs and CPUs.",
        epilog="`ssd-harness COMMAND --help` shows a command's options and examples. --debug shows tracebacks.",
    )
    parser.add_argument("--version", action="version", version=f"ssd-harness {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command_name in COMMANDS if name is None else (name,):
        command = cast(Command, import_module(f"harness.commands.{command_name}"))
        subparser = add_command(subparsers, command_name, command)
        subparser.set_defaults(run=command.run)
    args = parser.parse_args(argv)
    return int(args.run(args))


def _say(error: HarnessError) -> int:
    print(f"error: {error}", file=sys.stderr)  # noqa: T201 - the one place where errors are shown
    return error.exit_status


def _interrupt(signum: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
