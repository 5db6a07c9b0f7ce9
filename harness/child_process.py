"""Work in a process of its own: what may hang or crash in a library must not take Ctrl-C, or us, with it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from harness.errors import HarnessError, RunFailed

T = TypeVar("T")
Say = Callable[[str], None]

OWN_SIGNAL_S = 0.5


def run_in_child(function: Callable[..., T], *args: Any, say: Say = lambda text: None) -> T:
    """``function(*args, say)`` in a child process, which is gone when this returns or raises.

    Args:
        function, args: picklable. The last argument it gets is a `Say` of its own; what it is told arrives at ``say``.

    Raises:
        HarnessError: what the function raised.
        RunFailed: the process died.
    """
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(function, args, sender), daemon=True)
    process.start()
    sender.close()
    try:
        while True:
            try:
                kind, value = receiver.recv()
            except EOFError:
                what = f"the process for {function.__name__} died (exit status {exit_status(process)})"
                raise RunFailed(what) from None
            if kind == "say":
                say(value)
            elif kind == "raise":
                raise value
            else:
                process.join(5)
                result: T = value
                return result
    finally:
        process.kill()
        process.join()
        receiver.close()


def exit_status(process: BaseProcess) -> int | None:
    """Of a child that is at its end; negative: the signal that ended it.

    Who ends a whole group of processes one by one, as service managers do, may reach the child before us: then this is
    where our own signal finds us, and the run ends as interrupted.
    """
    process.join(5)  # it comes a moment after the end of the child's pipes
    if process.exitcode == -signal.SIGTERM:
        time.sleep(OWN_SIGNAL_S)
    return process.exitcode


def live_as_child() -> None:
    """Leaves Ctrl-C to the parent, and ends this process when the parent is gone, however that ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="parent watch", daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(RunFailed.exit_status)


def _run(function: Callable[..., Any], args: tuple[Any, ...], parent: Connection) -> None:
    live_as_child()
    try:
        result = function(*args, lambda text: parent.send(("say", text)))
    except HarnessError as error:
        parent.send(("raise", error))
    else:
        parent.send(("return", result))
