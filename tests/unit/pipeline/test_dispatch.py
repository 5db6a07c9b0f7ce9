"""Samples reach sessions: inline, or by the first free worker."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from harness.pipeline.devices import DeviceSlot
from harness.pipeline.dispatch import Dispatcher, Inline, SessionQueue
from harness.pipeline.lane import COLUMNS, Lane, LaneFailed
from harness.pipeline.pulse import Pulse
from harness.records import Detections

NOTHING = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32))
TENSORS = {index: np.full((1, 3, 2, 2), index, np.uint8) for index in range(50)}


class FakeSession:
    """Sleeps, and fails on one sample."""

    input: Any = None
    outputs: Any = ()

    def __init__(self, seconds: float = 0.0, fails_on: int | None = None) -> None:
        self._seconds = seconds
        self._fails_on = fails_on
        self.threads: set[int] = set()
        self.closed = 0

    def run(self, images: Any) -> Any:
        self.threads.add(threading.get_ident())
        if images[0, 0, 0, 0] == self._fails_on:
            raise RuntimeError("device lost")
        time.sleep(self._seconds)
        return [images]

    def close(self) -> None:
        self.closed += 1

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


class FakeAnswers:
    """Notes what was completed, and how many at a time."""

    def __init__(self, completed: list[tuple[int, int]]) -> None:
        self.completed = completed
        self.held: list[tuple[int, int]] = []
        self.sent: list[int] = []

    def put(self, sample_id: int, sample_index: int, detections: Detections) -> None:
        self.held.append((sample_id, sample_index))

    def send(self) -> None:
        self.sent.append(len(self.held))
        self.completed += self.held
        self.held.clear()


class Bench:
    """What lanes need, and what came out."""

    def __init__(self, sessions: list[FakeSession], hold: bool = False) -> None:
        self.sessions = sessions
        self.hold = hold
        self.answers: list[FakeAnswers] = []
        self.slots = [DeviceSlot(k, "fake") for k in range(len(sessions))]
        self.pulse = Pulse(len(sessions))
        self.completed: list[tuple[int, int]] = []
        self.failures: list[BaseException] = []
        self.failed = threading.Event()

    def open_lane(self, slot: DeviceSlot) -> Lane:
        answers = FakeAnswers(self.completed)
        self.answers.append(answers)
        session = self.sessions[slot.index]
        return Lane(slot, session, lambda _: NOTHING, TENSORS, answers, self.pulse, hold=self.hold)

    def fail(self, error: BaseException) -> None:
        self.failures.append(error)
        self.failed.set()

    def queue(self, **options: Any) -> SessionQueue:
        return SessionQueue(self.slots, self.open_lane, self.fail, **options)

    def inline(self) -> Inline:
        return Inline(self.slots[0], self.open_lane, self.fail)


@pytest.mark.parametrize("kind", ["queue", "inline"])
def test_every_sample_completes_once_and_has_one_record(kind: str) -> None:
    bench = Bench([FakeSession()])
    dispatcher: Dispatcher = getattr(bench, kind)()
    dispatcher.submit(range(100, 150), range(50))
    dispatcher.close()
    assert sorted(bench.completed) == [(100 + k, k) for k in range(50)]
    records = dispatcher.lanes[0].records()
    assert records.shape == (50, len(COLUMNS))
    assert (np.diff(records[:, 2:], axis=1) >= 0).all()  # issued ≤ started ≤ … ≤ completed
    assert bench.pulse.done == 50
    assert bench.pulse.slots()[0].sample is None
    assert bench.sessions[0].closed == 1
    assert not bench.failures


def test_inline_stays_on_the_issuing_thread_and_a_queue_gives_each_session_its_own() -> None:
    bench = Bench([FakeSession()])
    inline = bench.inline()
    inline.submit([1], [1])
    assert inline.on_each(lambda lane: lane.slot.index) == [0]
    assert bench.sessions[0].threads == {threading.get_ident()}

    bench = Bench([FakeSession(0.001), FakeSession(0.001)])
    queue = bench.queue()
    queue.submit(range(20), range(20))
    queue.close()
    threads = [session.threads for session in bench.sessions]
    assert [len(t) for t in threads] == [1, 1]
    assert threads[0].isdisjoint(threads[1])
    assert threading.get_ident() not in threads[0] | threads[1]


def test_a_slow_session_holds_nobody_up() -> None:
    bench = Bench([FakeSession(0.002), FakeSession(0.02)])
    queue = bench.queue()
    queue.submit(range(44), range(44))
    queue.close()
    fast, slow = (len(lane.records()) for lane in queue.lanes)
    assert fast + slow == 44
    assert fast > 5 * slow


def test_work_on_each_lane_runs_once_on_each_thread_and_may_fail() -> None:
    bench = Bench([FakeSession() for _ in range(3)])
    queue = bench.queue()
    assert queue.on_each(lambda lane: lane.slot.index) == [0, 1, 2]

    def fail_on_one(lane: Lane) -> None:
        if lane.slot.index == 1:
            raise RuntimeError("one")

    with pytest.raises(RuntimeError, match="one"):
        queue.on_each(fail_on_one)
    queue.close()


@pytest.mark.parametrize("kind", ["queue", "inline"])
def test_a_failing_sample_is_told_with_its_index_and_its_device(kind: str) -> None:
    bench = Bench([FakeSession(fails_on=7)])
    dispatcher = getattr(bench, kind)()
    dispatcher.submit(range(20), range(20))
    assert bench.failed.wait(5)
    [error] = bench.failures
    assert isinstance(error, LaneFailed)
    assert (error.sample_index, error.slot.name, str(error)) == (7, "fake#0", "RuntimeError: device lost")
    assert bench.pulse.slots()[0].sample == 7


def test_a_session_that_cannot_be_opened_ends_the_others() -> None:
    bench = Bench([FakeSession(), FakeSession()])

    def open_lane(slot: DeviceSlot) -> Lane:
        if slot.index == 1:
            raise OSError("no such device")
        return bench.open_lane(slot)

    before = threading.active_count()
    with pytest.raises(OSError, match="no such device"):
        SessionQueue(bench.slots, open_lane, bench.fail)
    assert threading.active_count() == before
    assert bench.sessions[0].closed == 1


def test_a_rehearsal_is_timed_and_not_recorded() -> None:
    bench = Bench([FakeSession(0.01)])
    lane = bench.open_lane(bench.slots[0])
    assert 0.01 <= lane.rehearse(TENSORS[0], 3) < 0.1
    assert len(lane.records()) == 0
    assert not bench.completed


def test_a_record_costs_little_and_pulse_counts_other_signs_of_life() -> None:
    pulse = Pulse(2)
    pulse.beat()
    cells: Callable[[], memoryview] = pulse.cells
    cells()[0] += 3
    assert (pulse.done, pulse.total) == (3, 4)
