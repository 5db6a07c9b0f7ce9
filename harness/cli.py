"""The command line: finds the command, runs it, and turns every ending into a message and an exit status.

0 done and valid; 1 done, but INVALID or below a gate asked for; 2 wrong usage or configuration; 3 data or environment
not usable; 4 the run failed; 5 an error of the harness itself; 130 interrupted.
"""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import cast

from harness.command_line.option_names import name_option
from harness.command_line.parser import Command, Parser, add_command
from harness.errors import DataError, HarnessError, InternalError, Interrupted, UsageError, named_line
from harness.signals import signals_interrupt
from harness.streams import READER_IS_GONE, LastingStream, lasting_streams, printable
from harness.suggestions import did_you_mean
from harness.system_errors import NEXT_STEPS
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
    "config",
    "completion",
)
"""Each is a module of `harness.commands`, imported when it is named."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs ``ssd-harness argv`` and gives the exit status."""
    argv = sys.argv[1:] if argv is None else list(argv)
    debug = "--debug" in argv
    with lasting_streams() as output, signals_interrupt():
        try:
            status = _run([arg for arg in argv if arg != "--debug"])
        except KeyboardInterrupt:
            status = _show(Interrupted("interrupted"))
        except HarnessError as error:
            if debug:
                raise
            name_option(error, argv)
            status = _show(error)
        except Exception as error:
            if debug:
                raise
            status = _show(_environment_error(error) or _internal_error(error))
        output.flush()
        return _show(_lost(output)) if status == 0 and _is_loss(output) else status


def _run(argv: list[str]) -> int:
    name = next((arg for arg in argv if not arg.startswith("-")), None)
    if name is not None and name not in COMMANDS:
        hint = did_you_mean(name, COMMANDS, f"commands: {', '.join(COMMANDS)}")
        raise UsageError(f"no such command: {name}", hint=hint)
    parser = _parser(COMMANDS if name is None else (name,))
    args = parser.parse_args(argv)
    _check_working_directory()
    return int(args.run(args))


def _parser(names: Sequence[str]) -> Parser:
    """The parser with these commands, whose modules are imported for it."""
    parser = Parser(
        prog="ssd-harness",
        description="A benchmark harness in the style of MLPerf Inference for object detection on NPUs and CPUs.",
        epilog="`ssd-harness COMMAND --help` shows a command's options and examples. --debug shows tracebacks.",
    )
    parser.add_argument("-V", "--version", action="version", version=f"ssd-harness {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command_name in names:
        command = cast(Command, import_module(f"harness.commands.{command_name}"))
        subparser = add_command(subparsers, command_name, command)
        subparser.set_defaults(run=command.run, whole_parser=lambda: _parser(COMMANDS))
    return parser


def _check_working_directory() -> None:
    try:
        Path.cwd()
    except OSError as error:
        what = f"the working directory is gone ({error.strerror})"
        raise DataError(what, hint="change to a folder that is there, and start again") from error


def _show(error: HarnessError) -> int:
    print(f"error: {printable(str(error))}", file=sys.stderr)  # noqa: T201 - the one place where errors are shown
    return error.exit_status


def _environment_error(error: Exception) -> HarnessError | None:
    """The error in words where it is the machine's; None where it is ours."""
    if isinstance(error, MemoryError):
        return DataError("there is not enough memory", hint="free some, raise the limit, or take fewer images")
    if isinstance(error, OSError) and error.errno in NEXT_STEPS:
        where = error.filename2 or error.filename
        what = error.strerror or os.strerror(error.errno)
        return DataError(what, where=None if where is None else os.fsdecode(where), hint=NEXT_STEPS[error.errno])
    return None


def _internal_error(error: Exception) -> InternalError:
    """One line, and the traceback in a file of its own; on stderr where no file can be written."""
    text = "".join(traceback.format_exception(error))
    frame = traceback.extract_tb(error.__traceback__)[-1]
    what = f"unexpected {named_line(error)}"
    try:
        handle, name = tempfile.mkstemp(prefix="ssd-harness-error-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"ssd-harness {__version__}, Python {sys.version}\n{sys.argv}\n\n{text}")
        hint = f"this is an error of the harness: report it with {name}, which holds the traceback"
    except OSError:
        print(printable(text), file=sys.stderr)  # noqa: T201 - there is no other place for it
        hint = "this is an error of the harness: report it with the traceback above"
    return InternalError(what, where=f"{Path(frame.filename).name}:{frame.lineno}", hint=hint)


def _is_loss(output: LastingStream) -> bool:
    """Whether results could not be written; a reader that went away did not want them."""
    return output.lost is not None and output.lost.errno not in READER_IS_GONE


def _lost(output: LastingStream) -> DataError:
    error = output.lost
    reason = "unknown" if error is None else error.strerror
    hint = "the work is done; what it wrote into files is whole"
    return DataError(f"the results could not be written: {reason}", where="standard output", hint=hint)
