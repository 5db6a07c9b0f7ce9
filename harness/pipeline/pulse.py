"""Signs of life of a test in shared memory: written by its workers, read by the process that watches."""

from __future__ import annotations

from multiprocessing import get_context
from typing import NamedTuple


class SlotState(NamedTuple):
    """One session as the watcher sees it: samples done, and the index of the sample in work (None: idle)."""

    done: int
    sample: int | None


class Pulse:
    """Two counters a session and one for everything else; each has one writer, so that none needs a lock.

    Picklable while a child process is being spawned; both sides then see the same memory.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        # RawArray maps a file of its own; no name is left behind whatever ends either process.
        self._shared = get_context("spawn").RawArray("q", 2 * slots + 1)

    def __getstate__(self) -> dict[str, object]:
        return {"_slots": self._slots, "_shared": self._shared}

    def cells(self) -> memoryview:
        """The int64 counters themselves, for the hot path: ``[k]`` counts the samples that session k has done;
        ``[slots + k]`` is 1 + the index of the sample it works on, 0 when idle."""
        return memoryview(self._shared).cast("B").cast("q")

    def beat(self) -> None:
        """Says "still working" outside the samples, as while loading."""
        self._shared[2 * self._slots] += 1

    @property
    def done(self) -> int:
        """Samples done by all sessions."""
        return sum(self._shared[: self._slots])

    @property
    def total(self) -> int:
        """Grows with every sign of life."""
        return self.done + int(self._shared[2 * self._slots])

    def slots(self) -> list[SlotState]:
        """Every session's state."""
        return [
            SlotState(self._shared[k], None if (sample := self._shared[self._slots + k]) == 0 else sample - 1)
            for k in range(self._slots)
        ]
