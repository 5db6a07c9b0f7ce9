"""Which session gets the next sample."""

from __future__ import annotations

from collections.abc import Sequence

from harness.pipeline.lane import Lane

MUCH_SLOWER = 2  # times as slow as the fastest session
SHORT_TAIL_NS = 1_000_000  # not worth keeping a sample from a session for less than this


class Balance:
    """The sessions by how many images each has: the one with the fewest gets the next, of those the longest waiting.

    Attributes:
        lanes: those that may get samples.
    """

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self.lanes = list(lanes)
        self._free: list[dict[Lane, None]] = [{} for _ in range(max((lane.in_flight for lane in lanes), default=1))]
        self._free[0] = dict.fromkeys(lanes)
        self._fastest_ns = 0

    def got_one(self, lane: Lane) -> None:
        """The session has one image more."""
        images = len(lane.flights)
        self._free[images - 1].pop(lane, None)
        if images < lane.in_flight:
            self._free[images][lane] = None

    def lost_one(self, lane: Lane) -> None:
        """The session has one image less."""
        images = len(lane.flights)
        if images + 1 < lane.in_flight:
            self._free[images + 1].pop(lane, None)
        self._free[images][lane] = None

    def remove(self, lane: Lane) -> None:
        """The session gets no more samples."""
        self.lanes.remove(lane)
        for lanes in self._free:
            lanes.pop(lane, None)

    def next(self, left: int) -> Lane | None:
        """The session that gets the next of so many samples; None: they wait for one that is busy."""
        for lanes in self._free:
            for lane in lanes:
                if not self._leaves_the_last(lane, left):
                    return lane
        return None

    def _leaves_the_last(self, lane: Lane, left: int) -> bool:
        """Whether much faster sessions will have answered all that is left before this one would answer one more.

        All would wait for its last sample otherwise. Should they be retired or become slow, it is asked again. Sessions
        leave samples to faster ones only, so the fastest never does, and all that is left is answered.
        """
        if lane.took_ns < SHORT_TAIL_NS or lane.took_ns <= MUCH_SLOWER * self._fastest_ns:
            return False
        own_ns = min([lane.took_ns, *lane.recent_ns])  # a sample that was held up does not make its session a slow one
        took_ns = [max(other.took_ns, 1) for other in self.lanes]
        self._fastest_ns = min(took_ns)
        per_ns = sum(1 / ns for ns in took_ns if MUCH_SLOWER * ns < own_ns)
        return own_ns >= SHORT_TAIL_NS and left < own_ns * (len(lane.flights) + 1) * per_ns
