"""How many samples per second all sessions do together: measured by a short burst through a queue as the test's own.

The fastest run of each session says nothing of that where sessions share cores, or work on several images at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from itertools import count
from time import monotonic
from typing import Any

from harness.pipeline.lane import Lane, LaneFailed
from harness.pipeline.postprocess import Answer, DecodeSetup
from harness.pipeline.postprocessors import new_postprocess
from harness.pipeline.pulse import Pulse
from harness.pipeline.session_queue import SessionQueue
from harness.sessions.protocol import Session, Tensor

LONG_ENOUGH_S = 0.4
"""A burst that takes less is followed by a longer one."""
GROWTH = 4
BURSTS = 3
SHORT_S = 5.0
"""A test that is to last less is not worth it."""
SLOW_S = 0.02
"""Where every session takes longer and has one image at a time, its own time says enough."""


def worth_a_burst(lanes: Sequence[Lane], latency_s: float) -> bool:
    """Whether the sessions' own times say too little."""
    return latency_s < SLOW_S or any(hasattr(lane.session, "submit") and lane.in_flight > 1 for lane in lanes)


def burst(
    lanes: Sequence[Lane],
    tensor: Tensor,
    setup: DecodeSetup,
    beat: Callable[[], None],
    *,
    batches: bool,
    in_flight: int,
    hang_s: float | None,
) -> float:
    """Samples per second of all sessions, which must be idle, answered to nobody and recorded nowhere.

    Args:
        tensor: what they run on.
        beat: told that it goes on.
        batches, in_flight, hang_s: as `SessionQueue` takes them; with None a session that hangs is for the process that
            watches.

    Raises:
        LaneFailed: a sample failed, or took longer than ``hang_s``.
    """
    answered = _Answered()
    pulse = Pulse(len(lanes))
    postprocess = new_postprocess(setup, pulse, len(lanes), inline=False, batches=batches, every_value=False)
    sessions: list[Any] = [_Lent(lane.session) for lane in lanes]
    queue = SessionQueue(
        [lane.slot for lane in lanes],
        lambda slot: sessions[slot.index],
        {0: tensor},
        postprocess,
        answered.respond,
        answered.fail,
        pulse,
        batches=batches,
        in_flight=in_flight,
        retire=hang_s is not None,
        hang_s=hang_s or 0,
        on_retired=lambda retired: answered.fail(LaneFailed(retired.slot, 0, retired.reason)),
    )
    numbers = count(1)

    def seconds_for(samples: int) -> float:
        began = monotonic()
        answered.expect(samples)
        queue.submit([next(numbers) for _ in range(samples)], [0] * samples)
        answered.wait(beat)
        return monotonic() - began

    try:
        samples = 2 * sum(lane.in_flight for lane in lanes)
        while (fastest_s := seconds_for(samples)) < LONG_ENOUGH_S:
            samples *= GROWTH
        # whatever else the machine does makes a burst slower, never faster; of slow devices one burst is enough
        repeats = BURSTS - 1 if fastest_s < GROWTH * LONG_ENOUGH_S else 0
        return samples / min([fastest_s, *(seconds_for(samples) for _ in range(repeats))])
    finally:
        if answered.error is None:
            queue.close()


class _Answered:
    """Counts the answers of a burst."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self._left = 0
        self._all = threading.Event()

    def expect(self, samples: int) -> None:
        self._all.clear()
        self._left = samples

    def wait(self, beat: Callable[[], None]) -> None:
        before = -1
        while not self._all.wait(0.25):
            if self._left != before:  # a session that hangs is for the process that watches
                before = self._left
                beat()
        if self.error is not None:
            raise self.error

    def respond(self, answers: Sequence[Answer], *, to_nobody: bool = False) -> None:
        self._left -= len(answers)
        if not self._left:
            self._all.set()

    def fail(self, error: BaseException) -> None:
        self.error = error
        self._all.set()


class _Lent:
    """A session that whoever has it does not close."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def close(self) -> None:
        """Leaves it open."""
