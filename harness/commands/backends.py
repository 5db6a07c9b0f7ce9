"""``ssd-harness backends``: the device runtimes there are, and whether one keeps the contract of a session."""

from __future__ import annotations

import argparse
import dataclasses
from collections import Counter
from pathlib import Path
from typing import Literal

from rich.table import Table

from harness.command_line.argument_types import one_or_more
from harness.command_line.json_output import Made, add_json_option, show_or_write
from harness.command_line.model_argument import add_model_name
from harness.errors import ModelError, UsageError
from harness.model.registry import load_model
from harness.sessions.check_subject import Subject
from harness.sessions.contract import run_checks
from harness.sessions.protocol import SessionRequest
from harness.sessions.registry import Backend, BackendInfo, list_backends, load_backend
from harness.setting_paths import parse_assignment
from harness.terminal import Terminal, output

SUMMARY = "List the device runtimes, or check that one does what a session must do."
EXAMPLES = """\
  ssd-harness backends
  ssd-harness backends --json
  ssd-harness backends check openvino
  ssd-harness backends check furiosa --model model.enf --device 'warboy(2)'
  ssd-harness backends check my_package.my_backend --model my.bin --set level=2
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments; `backends` alone lists, `check` is its one action."""
    add_json_option(parser, "the list")
    actions = parser.add_subparsers(dest="action", metavar="check")
    what = "Checks that a backend does what a session must do; exit status 1 when it does not in one respect."
    check = actions.add_parser("check", help="run the contract's checks", description=what)
    add = check.add_argument
    add("name", metavar="NAME", help="a backend, or the dotted name of a module that is one")
    add(
        "--model", type=Path, metavar="FILE", help="a file of the backend's own kind (default: the built-in ONNX model)"
    )
    add_model_name(check)
    add("--precision", choices=("int8", "float32"), help="of the built-in model (int8)")
    add("--device", help="the backend's name of one device (default: the one it uses for latency)")
    add("--threads", type=one_or_more, default=1, help="host threads of each session")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="an option of the backend; may be repeated")
    add_json_option(check, "the checks and how each ended", of_an_action=True)


def run(args: argparse.Namespace) -> int:
    """Lists the backends, or checks one."""
    if args.action == "check":
        return _check(args)
    backends = list_backends()
    show_or_write([dataclasses.asdict(info) for info in backends], args.json, lambda: output().print(_table(backends)))
    return 0


def _table(backends: list[BackendInfo]) -> Table:
    table = Table()
    for title in ("backend", "installed", "version", "devices here, or what is missing"):
        table.add_column(title)
    for info in backends:
        installed = "simulated" if info.simulated else "yes" if info.installed else "no"
        about = ", ".join(info.devices) or ("any number" if info.simulated else "none found")
        if not info.installed:
            about = f"{info.missing}\nnext: {info.remedy}"
        table.add_row(info.name, installed, info.version or "–", about)
    return table


def _check(args: argparse.Namespace) -> int:
    terminal = Terminal()
    backend = load_backend(args.name)
    options = dict(parse_assignment(text) for text in args.set)
    file = args.model
    if file is not None and not file.exists():
        raise ModelError("no such model", where=str(file), hint="give --model an existing file")
    if file is None and not backend.SIMULATED:
        with terminal.task("Default model") as report:
            precision: Literal["int8", "float32"] = args.precision or "int8"
            file = load_model(args.model_name).default_file(precision, lambda doing: report(0, None, doing))
    model = load_model(args.model_name, file)
    request = SessionRequest.of(
        model,
        file,
        device=args.device or _first_device(backend),
        threads=args.threads,
        options=options,
    )
    _check_options(backend, request)
    for option, given in (("--model", args.model), ("--precision", args.precision)):
        if given is not None and backend.SIMULATED:
            terminal.say(f"note: {option} is not used: a simulated device runs no model")
    if args.precision is not None and args.model is not None:
        terminal.say("note: --precision is not used: it is of the built-in model, and --model is another one")
    terminal.say(f"{args.name} on {request.device}, model {file or 'none'}")
    made, checks = Made(args.json), []
    for check in run_checks(Subject(backend, request)):
        checks.append(dataclasses.asdict(check))
        made.add(str(check), checks=checks)
    count = Counter(check["status"] for check in checks)
    made.add(
        f"{count.total()} checks: {count['PASS']} passed, {count['FAIL']} failed, {count['SKIP']} skipped",
        backend=args.name,
        device=request.device,
        model=None if file is None else str(file),
        passed=not count["FAIL"],
    )
    made.finish()
    return 1 if count["FAIL"] else 0


def _check_options(backend: Backend, request: SessionRequest) -> None:
    """Opens a session once: what the backend says of a user's option or device is no fault of the backend.

    Raises:
        UsageError: as the backend does.
    """
    if not request.options:
        return
    try:
        backend.open_session(request).close()
    except UsageError:
        raise
    except Exception:  # noqa: BLE001 - a backend may raise anything, and the checks are there to say so
        pass


def _first_device(backend: Backend) -> str:
    return backend.default_devices(throughput=False).split(",")[0].partition("*")[0]
