"""Where everything that happens is left for the one thread that drives the sessions."""

from __future__ import annotations

import heapq
import threading
from itertools import count
from time import monotonic_ns
from typing import Any, Protocol

Message = Any
"""A `Completion`, or what else its reader understands."""

MANY = 64
"""Messages for which the reader is woken, however patient it is."""


class Mailbox(Protocol):
    """Many write, one reads. It is the sessions' `Completions`, and more kinds of messages go through it."""

    def put(self, message: Message, /) -> None:
        """Leaves it there now; never waits."""
        ...

    def put_at(self, due_ns: int, message: Message, /) -> None:
        """Leaves it there at that moment of the monotonic clock."""
        ...

    def get(self, timeout_s: float, patience_ns: int, awake: bool = False, /) -> list[Message]:
        """Waits until a message is ``patience_ns`` old, or there are `MANY`, and gives all that are there.

        After ``timeout_s`` seconds, or when a decode pool rings, it gives what is there, which may be nothing.

        Args:
            awake: keep the processor busy meanwhile, so that nothing has to wake the thread.
        """
        ...


class PythonMailbox:
    """The mailbox that is used where the extension was not built."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._messages: list[Message] = []
        self._later: list[tuple[int, int, Message]] = []
        self._numbers = count()

    def put(self, message: Message, /) -> None:
        """Leaves it there now."""
        with self._changed:
            self._messages.append(message)
            self._changed.notify()

    def put_at(self, due_ns: int, message: Message, /) -> None:
        """Leaves it there at that moment."""
        with self._changed:
            heapq.heappush(self._later, (due_ns, next(self._numbers), message))
            self._changed.notify()

    def get(self, timeout_s: float, patience_ns: int, awake: bool = False, /) -> list[Message]:
        """Gives messages as soon as there are any: without the extension nothing is fast enough for the rest."""
        until = monotonic_ns() + int(timeout_s * 1e9)
        with self._changed:
            while True:
                now = monotonic_ns()
                while self._later and self._later[0][0] <= now:
                    self._messages.append(heapq.heappop(self._later)[2])
                if self._messages or now >= until:
                    messages, self._messages = self._messages, []
                    return messages
                wakes = min(until, self._later[0][0]) if self._later else until
                self._changed.wait((wakes - now) / 1e9)


def new_mailbox() -> Mailbox:
    """The native one where there is one."""
    try:
        from harness.native import _pipeline
    except ImportError:
        return PythonMailbox()
    return _pipeline.Mailbox()
