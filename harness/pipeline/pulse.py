"""What a test tells of itself in shared memory while it runs: its threads write, another process reads.

Every number has one writer, so that none needs a lock; a reader never holds up the threads that write.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from harness.pipeline.counters import CURRENT, DONE, FIRST, HISTOGRAM, LAST, ROW, STAGES_AT

BEAT, SUBMITTED, COMMON = 0, 1, 2
"""Places after the lanes' rows: signs of life outside the samples; samples that LoadGen has issued."""
WAY, CALLED, LOST, NODE_ROW = 0, 1, 2, 3
"""Places in the row of a cluster's node, after those: the ns of its calls' way there and back, and of the calls
altogether; 1 when it was lost."""

Counts = npt.NDArray[np.int64]


class SlotState(NamedTuple):
    """One session as the watcher sees it: samples done, and the index of the sample in work (None: idle).

    A negative index is no sample's: the session is being opened or rehearsed.
    """

    done: int
    sample: int | None


@dataclass(frozen=True)
class Counters:
    """A test at one moment, over S sessions; times are of the monotonic clock, which both processes share.

    Attributes:
        submitted: samples issued by LoadGen.
        done: (S,) samples answered.
        at_work: (S,) 1 + the index of the sample that the session is at; 0: idle; below 0: before the samples.
        first_ns, last_ns: (S,) the moments of its first issue and of its last answer; 0 before the first answer.
        stages_ns: (S, 5) its summed time in queue, inference, wait, postprocess and complete.
        histogram: (B,) latencies of all sessions' answers, in the buckets of `harness.pipeline.counters`.
        nodes: (N, 3) of a cluster's nodes: ns on the way there and back, ns of all calls, and 1 where it was lost.
    """

    submitted: int
    done: Counts
    at_work: Counts
    first_ns: Counts
    last_ns: Counts
    stages_ns: Counts
    histogram: Counts
    nodes: Counts


class AtWork:
    """How long each session has been at its sample.

    Args:
        most_s: of the time between two looks that counts: where who looks was held up itself, no session hangs for it.
    """

    def __init__(self, most_s: float = math.inf) -> None:
        self._most_s = most_s
        self._clock_s = self._looked_s = 0.0
        self._since: list[tuple[SlotState, float]] = []

    def seconds(self, states: Sequence[SlotState], now: float) -> list[float]:
        """Of each session, for how long its state has been seen to be this one; 0 for one that is idle.

        Args:
            states: the sessions' now.
            now: of a clock in seconds.
        """
        self._clock_s += min(now - self._looked_s, self._most_s) if self._since else 0.0
        self._looked_s, clock_s = now, self._clock_s
        before = self._since or [(state, clock_s) for state in states]
        self._since = [
            (state, since if state == last else clock_s) for state, (last, since) in zip(states, before, strict=True)
        ]
        return [clock_s - since if state.sample is not None else 0.0 for state, since in self._since]


class Pulse:
    """The shared memory: a row of int64 cells for each session and each node, and two cells for the whole test.

    Picklable while a child process is being spawned; both sides then see the same memory.

    Args:
        nodes: of a cluster; 0: the sessions are in the test's own process.
    """

    def __init__(self, slots: int, nodes: int = 0) -> None:
        self._slots = slots
        # RawArray maps a file of its own; no name is left behind whatever ends either process.
        self._shared = get_context("spawn").RawArray("q", ROW * slots + COMMON + NODE_ROW * nodes)

    def __getstate__(self) -> dict[str, object]:
        return {"_slots": self._slots, "_shared": self._shared}

    def cells(self) -> memoryview:
        """The int64 cells themselves, for the hot path; session k's row begins at `row(k)`."""
        return memoryview(self._shared).cast("B").cast("q")

    @staticmethod
    def row(slot: int) -> int:
        """Where a session's row begins."""
        return ROW * slot

    def node_row(self, node: int) -> int:
        """Where a node's row begins."""
        return ROW * self._slots + COMMON + NODE_ROW * node

    @property
    def submitted_cell(self) -> int:
        """The cell that counts the samples LoadGen has issued; written by LoadGen's thread."""
        return ROW * self._slots + SUBMITTED

    def beat(self) -> None:
        """Says "still working" outside the samples, as while loading."""
        self._shared[ROW * self._slots + BEAT] += 1

    def _rows(self) -> Counts:
        return np.frombuffer(self._shared, np.int64)[: ROW * self._slots].reshape(self._slots, ROW)

    @property
    def done(self) -> int:
        """Samples answered by all sessions."""
        return int(self._rows()[:, DONE].sum())

    @property
    def total(self) -> int:
        """Grows with every sign of life."""
        return self.done + int(self._shared[ROW * self._slots + BEAT])

    def slots(self) -> list[SlotState]:
        """Every session's state."""
        rows = self._rows()
        return [
            SlotState(done, at - 1 if at > 0 else at or None)
            for done, at in zip(rows[:, DONE].tolist(), rows[:, CURRENT].tolist(), strict=True)
        ]

    def counters(self) -> Counters:
        """All of it, copied; about 1 ms for 256 sessions."""
        rows = self._rows()
        return Counters(
            submitted=int(self._shared[self.submitted_cell]),
            done=rows[:, DONE].copy(),
            at_work=rows[:, CURRENT].copy(),
            first_ns=rows[:, FIRST].copy(),
            last_ns=rows[:, LAST].copy(),
            stages_ns=rows[:, STAGES_AT:HISTOGRAM].copy(),
            histogram=rows[:, HISTOGRAM:].sum(axis=0),
            nodes=np.frombuffer(self._shared, np.int64)[self.node_row(0) :].reshape(-1, NODE_ROW).copy(),
        )
