"""Signals that end a command: Ctrl-C, SIGTERM and SIGHUP come as one exception, or not at all for a moment."""

from __future__ import annotations

import atexit
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

_LIKE_CTRL_C = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """SIGTERM and SIGHUP raise KeyboardInterrupt while the block runs, as Ctrl-C does.

    One that was ignored from the start, as SIGHUP is under nohup, stays ignored.
    """
    with _handled(*(number for number in _LIKE_CTRL_C if signal.getsignal(number) != signal.SIG_IGN), by=_interrupt):
        yield


@contextmanager
def uninterrupted() -> Iterator[None]:
    """No such signal arrives while the block runs: for the short moment in which the end of a run is written down."""
    with _handled(signal.SIGINT, *_LIKE_CTRL_C, by=signal.SIG_IGN):
        yield


def end_with(status: int) -> None:
    """From now on such a signal ends the process at once, with the status that its work has earned.

    Python takes some tenths of a second to end. A signal that arrives then must not make a finished run look broken.
    One that was ignored stays ignored.
    """
    heard = [number for number in (signal.SIGINT, *_LIKE_CTRL_C) if signal.getsignal(number) != signal.SIG_IGN]

    def ignore_all() -> None:
        for number in heard:
            signal.signal(number, signal.SIG_IGN)

    for number in heard:
        signal.signal(number, lambda signum, frame: os._exit(status))
    # no handler of Python's outlasts the last part of its end, when no thread is left that could hang
    atexit.register(ignore_all)


@contextmanager
def _handled(*numbers: signal.Signals, by: Any) -> Iterator[None]:
    before: dict[signal.Signals, Any] = {}
    with suppress(ValueError):  # not in the main thread: then the signals are somebody else's
        for number in numbers:
            before[number] = signal.signal(number, by)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _interrupt(signum: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
