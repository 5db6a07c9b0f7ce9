"""A few runs on every session before they count."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from harness.pipeline.postprocess import REHEARSAL
from harness.sessions.protocol import Tensor


class Rehearsal:
    """The runs that are left on each session, and what came out of those that were.

    Args:
        tensor: what they run on.
        runs: how many each session has.
        sample_index: the sample whose tensor it is, to be named where a run fails.
        hang_s: a run that takes longer hangs.
    """

    def __init__(self, tensor: Tensor, runs: int, sample_index: int = 0, hang_s: float = 120) -> None:
        self.tensor = tensor
        self.hang_s = hang_s
        self.sample = REHEARSAL, sample_index, 0
        self.took_ns: dict[int, int] = {}
        """Slot → ns of its fastest run."""
        self._runs = runs
        self._left: dict[int, int] = {}
        self._errors: dict[int, BaseException] = {}
        self._done = threading.Event()

    def begin(self, slots: Iterable[int]) -> None:
        """These sessions take part."""
        self._left = dict.fromkeys(slots, self._runs)
        if not self._left:
            self._done.set()

    def end_one(self, slot: int, took_ns: int) -> bool:
        """A run took so long. Gives whether the session has another one to do."""
        self.took_ns[slot] = min(self.took_ns.get(slot, took_ns), took_ns)
        self._left[slot] -= 1
        if self._left[slot]:
            return True
        self._end(slot)
        return False

    def fail(self, slot: int, error: BaseException) -> None:
        """A run failed: this session does no more of them."""
        self._errors[slot] = error
        self._end(slot)

    def leave(self, slot: int) -> None:
        """The session was retired: it takes no part any more."""
        self.took_ns.pop(slot, None)
        self._end(slot)

    def _end(self, slot: int) -> None:
        del self._left[slot]
        if not self._left:
            self._done.set()

    def result(self) -> list[float]:
        """Waits for all, and gives the seconds of each session's fastest run.

        Raises:
            BaseException: the error of the first session that failed.
        """
        self._done.wait()
        for slot in sorted(self._errors):
            raise self._errors[slot]
        return [took_ns / 1e9 for _, took_ns in sorted(self.took_ns.items())]
