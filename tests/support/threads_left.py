"""Threads that a piece of code leaves behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_thread_left() -> Iterator[None]:
    """Checks that no thread outlives the block that began in it.

    They are told by themselves and not by their number: one of an earlier test may end meanwhile.
    """
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before, threading.enumerate()
