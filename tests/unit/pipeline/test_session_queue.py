"""Samples reach sessions: inline, or through the queue, whose sessions block or are asynchronous."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any

import numpy as np
import pytest

from harness.accuracy_record import FIELDS
from harness.model.registry import load_model
from harness.pipeline import postprocessors, session_queue
from harness.pipeline.balance import Balance
from harness.pipeline.counters import COLUMNS
from harness.pipeline.devices import DeviceSlot
from harness.pipeline.dispatch import Dispatcher
from harness.pipeline.finite import check_all, check_first
from harness.pipeline.inline import Inline
from harness.pipeline.lane import REMEMBERED, LaneFailed
from harness.pipeline.mailbox import MANY
from harness.pipeline.postprocess import Answer, DecodeSetup
from harness.pipeline.postprocessors import new_postprocess
from harness.pipeline.pulse import Pulse
from harness.pipeline.session_queue import SessionQueue
from harness.records import Decoding, Detections, QuantizedTensor
from harness.sessions.protocol import Completion, Completions, SessionRequest
from harness.sessions.simulated import open_session
from tests.support.threads_left import no_thread_left

TENSORS = {index: np.full((1, 3, 2, 2), index, np.uint8) for index in range(50)}


def one_detection(_: Any) -> Detections:
    """Something whose record holds the sample's index."""
    return Detections(np.zeros((1, 4), np.float32), np.ones(1, np.float32), np.ones(1, np.int32))


class FakeSession:
    """Sleeps, and fails or hangs as told."""

    input: Any = None
    outputs: Any = ()

    def __init__(
        self,
        seconds: float = 0.0,
        fails_on: int | None = None,
        fails_from: int | None = None,
        hangs_on: int | None = None,
    ) -> None:
        self._seconds = seconds
        self._fails_on = fails_on
        self._fails_from = fails_from
        self._hangs_on = hangs_on
        self.runs = 0
        self.wake = threading.Event()
        self.threads: set[int] = set()
        self.closed = 0
        self.before_run: Callable[[], object] = lambda: None

    def run(self, images: Any) -> Any:
        self.before_run()
        self.threads.add(threading.get_ident())
        self.runs += 1
        if images[0, 0, 0, 0] == self._fails_on or (self._fails_from is not None and self.runs >= self._fails_from):
            raise RuntimeError("device lost")
        if images[0, 0, 0, 0] == self._hangs_on:
            self.wake.wait()
        time.sleep(self._seconds)
        return [images]

    def close(self) -> None:
        self.closed += 1

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


class FakeDevice(FakeSession):
    """An asynchronous one: a thread of its own takes one image after the other."""

    new_outputs = True

    def __init__(self, *args: Any, in_flight: int = 2, **options: Any) -> None:
        super().__init__(*args, **options)
        self.in_flight = in_flight
        self.most = 0
        self._images: SimpleQueue[Any] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def submit(self, tag: int, images: Any, completions: Completions) -> None:
        self._images.put((tag, images, completions))
        self.most = max(self.most, self._images.qsize())

    def _work(self) -> None:
        while (work := self._images.get()) is not None:
            tag, images, completions = work
            began = time.monotonic_ns()
            outputs: Any
            try:
                outputs = self.run(images)
            except RuntimeError as error:
                outputs = error
            completions.put(Completion(tag, outputs, began, time.monotonic_ns()))

    def close(self) -> None:
        super().close()
        self._images.put(None)
        self._thread.join()


class Bench:
    """What dispatchers need, and what came out.

    Args:
        decode: a Python decoder; None: none, and the native postprocessing.
    """

    def __init__(self, sessions: Sequence[FakeSession], *, batches: bool = False, decode: Any = one_detection) -> None:
        self.sessions = sessions
        self.batches = batches
        self.decode = decode
        self.sent: list[int] = []
        self.slots = [DeviceSlot(k, "fake") for k in range(len(sessions))]
        self.pulse = Pulse(len(sessions))
        self.completed: list[tuple[int, int]] = []
        self.failures: list[BaseException] = []
        self.failed = threading.Event()

    def respond(self, answers: Sequence[Answer], *, to_nobody: bool = False) -> None:
        self.sent.append(len(answers))
        for sample_id, address, size in answers:
            index = -1
            if self.decode is not None:
                assert size == 4 * FIELDS
                index = int(ctypes.c_float.from_address(address).value)
            self.completed.append((sample_id, index))

    def place(self, *, inline: bool) -> tuple[Any, ...]:
        setup = DecodeSetup(self.decode, Decoding(0.05, 0.5, 200))
        batches, lanes = self.batches, len(self.slots)
        postprocess = new_postprocess(setup, self.pulse, lanes, inline=inline, batches=batches, every_value=False)
        return TENSORS, postprocess, self.respond, self.fail, self.pulse

    def open_session(self, slot: DeviceSlot) -> Any:
        return self.sessions[slot.index]

    def fail(self, error: BaseException) -> None:
        self.failures.append(error)
        self.failed.set()

    def wait_for(self, samples: int, *, seconds: float) -> None:
        """Until so many are completed, which they are within these seconds."""
        deadline = time.monotonic() + seconds
        while len(self.completed) < samples:
            assert time.monotonic() < deadline
            time.sleep(0.001)

    def queue(self, **options: Any) -> SessionQueue:
        return SessionQueue(self.slots, self.open_session, *self.place(inline=False), batches=self.batches, **options)

    def inline(self) -> Inline:
        return Inline(self.slots[0], self.open_session, *self.place(inline=True))


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
    assert len(inline.rehearse(TENSORS[0], 2)) == 1
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
    bench = Bench([FakeSession(0.01), FakeSession(1.0)])
    queue = bench.queue()
    queue.submit(range(42), range(42))
    queue.close()
    fast, slow = (len(lane.records()) for lane in queue.lanes)
    assert fast + slow == 42
    assert fast > 5 * slow


@pytest.mark.parametrize("kind", [FakeSession, FakeDevice])
def test_a_rehearsal_runs_on_every_session_at_once_and_may_fail(kind: type[FakeSession]) -> None:
    bench = Bench([kind(0.02) for _ in range(8)])
    all_at_work = threading.Barrier(8, timeout=60)
    for session in bench.sessions:
        session.before_run = all_at_work.wait
    queue = bench.queue()
    seconds = queue.rehearse(TENSORS[0], 3)
    assert len(seconds) == 8
    assert all(each >= 0.02 for each in seconds)
    assert [session.runs for session in bench.sessions] == [3] * 8
    assert not bench.completed
    assert all(len(lane.records()) == 0 for lane in queue.lanes)
    queue.close()

    bench = Bench([kind(), kind(fails_on=0), kind()])
    queue = bench.queue()
    with pytest.raises(LaneFailed, match="RuntimeError: device lost") as caught:
        queue.rehearse(TENSORS[0], 2, 7)
    assert (caught.value.slot.index, caught.value.sample_index) == (1, 7)
    queue.close()
    assert [session.closed for session in bench.sessions] == [1, 1, 1]


@pytest.mark.parametrize("kind", ["queue", "inline"])
def test_a_failing_sample_is_told_with_its_index_and_its_device(kind: str) -> None:
    bench = Bench([FakeSession(fails_on=7)])
    dispatcher = getattr(bench, kind)()
    dispatcher.submit(range(20), range(20))
    assert bench.failed.wait(60)
    [error] = bench.failures
    assert isinstance(error, LaneFailed)
    assert (error.sample_index, error.slot.name, str(error)) == (7, "fake#0", "RuntimeError: device lost")
    assert bench.pulse.slots()[0].sample == 7


def test_a_session_that_cannot_be_opened_ends_the_others() -> None:
    bench = Bench([FakeSession(), FakeSession()])

    def open_session(slot: DeviceSlot) -> Any:
        if slot.index == 1:
            raise OSError("no such device")
        return bench.open_session(slot)

    with no_thread_left(), pytest.raises(OSError, match="no such device"):
        SessionQueue(bench.slots, open_session, *bench.place(inline=False))
    assert bench.sessions[0].closed == 1


def test_a_rehearsal_is_timed_and_not_recorded() -> None:
    bench = Bench([FakeSession(0.01)])
    inline = bench.inline()
    began = time.monotonic()
    [fastest] = inline.rehearse(TENSORS[0], 3)
    assert 0.01 <= fastest <= (time.monotonic() - began) / 3
    assert len(inline.lanes[0].records()) == 0
    assert not bench.completed


def test_a_big_query_is_shared_by_the_workers_and_each_of_its_samples_processed_once() -> None:
    bench = Bench([FakeSession(), FakeSession(), FakeSession()])
    queue = bench.queue()
    queue.submit(range(10_000), [k % 50 for k in range(10_000)])
    queue.close()
    assert sorted(bench.completed) == [(k, k % 50) for k in range(10_000)]
    assert not bench.failures


def slow_and_fast(fast: FakeSession) -> tuple[Bench, SessionQueue]:
    """A session that says it needs an hour for what the other does in a microsecond."""
    bench = Bench([FakeSession(), fast])
    queue = bench.queue(retire=True)
    queue.lanes[0].took_ns, queue.lanes[1].took_ns = 3600 * 10**9, 1000
    return bench, queue


def test_a_much_slower_session_leaves_the_last_samples_to_the_others() -> None:
    bench, queue = slow_and_fast(FakeSession())
    queue.submit(range(1000), [k % 50 for k in range(1000)])
    queue.close()
    assert sorted(bench.completed) == [(k, k % 50) for k in range(1000)]
    assert [session.runs for session in bench.sessions] == [0, 1000]


def test_a_session_is_not_slow_for_one_sample_that_was_held_up() -> None:
    bench = Bench([FakeSession(), FakeSession()])
    queue = bench.queue()
    one, other = queue.lanes
    balance = Balance(queue.lanes)
    for lane in queue.lanes:
        for _ in range(REMEMBERED):
            lane.took(2_000_000)
    one.took(60_000_000)
    assert balance.next(1) is one  # in Server it would get no further query, and never be known to be fast again
    for _ in range(REMEMBERED):
        one.took(60_000_000)
    assert balance.next(1) is other
    queue.close()


def test_sessions_that_all_became_slow_do_not_wait_for_each_other() -> None:
    bench = Bench([FakeSession(0.003) for _ in range(4)])
    queue = bench.queue()
    for lane in queue.lanes:
        lane.took_ns = 1000  # of the rehearsal
    queue.submit(range(100), [k % 50 for k in range(100)])
    bench.wait_for(100, seconds=60)
    queue.close()


def test_a_much_slower_session_takes_over_from_one_that_fails() -> None:
    bench, queue = slow_and_fast(FakeSession(fails_from=11))
    queue.submit(range(200), [k % 50 for k in range(200)])
    bench.wait_for(200, seconds=60)
    queue.close()
    assert sorted(bench.completed) == [(k, k % 50) for k in range(200)]
    assert [session.runs for session in bench.sessions] == [190, 11]


@pytest.mark.parametrize("decode", [one_detection, None])
def test_answers_go_in_batches_where_nobody_waits_for_one_and_none_is_forgotten(decode: Any) -> None:
    bench = Bench([FakeSession(), FakeDevice()], batches=True, decode=decode)
    queue = bench.queue()
    queue.submit(range(5000), [k % 50 for k in range(5000)])
    queue.close()
    assert sum(bench.sent) == len(bench.completed) == 5000
    assert 1 < max(bench.sent) <= 2 * MANY
    for lane in queue.lanes:
        records = lane.records()
        assert (records[:, -1] >= records[:, -2]).all()  # completed when they were sent


@pytest.mark.parametrize("decode", [one_detection, None])
def test_an_answer_that_somebody_waits_for_is_sent_at_once(decode: Any) -> None:
    bench = Bench([FakeSession(0.002)], decode=decode)
    queue = bench.queue()
    for sample in range(20):
        queue.submit([sample], [sample])
        bench.wait_for(sample + 1, seconds=60)
    queue.close()
    assert bench.sent == [1] * 20


def test_a_single_answer_is_sent_when_there_is_nothing_more_to_do() -> None:
    bench = Bench([FakeSession()], batches=True)
    queue = bench.queue()
    queue.submit([1], [1])
    bench.wait_for(1, seconds=60)
    queue.close()


@pytest.mark.parametrize("samples", [40, 1000])
def test_a_session_that_fails_is_retired_and_its_sample_processed_by_another(samples: int) -> None:
    with no_thread_left():
        bench = Bench([FakeSession(0.0001), FakeSession(0.0001, fails_from=5), FakeSession(0.0001)])
        one, failing, other = bench.sessions
        fails = threading.Event()
        failing.before_run = lambda: failing.runs == 4 and fails.set()
        for session in (one, other):  # they leave it its five samples
            session.before_run = lambda session=session: session.runs < 3 or fails.wait(60)  # type: ignore[misc]
        queue = bench.queue(retire=True)
        queue.submit(range(samples), [k % 50 for k in range(samples)])
        while len(bench.completed) < samples:
            assert not bench.failures
            time.sleep(0.001)
        [gone] = queue.retired
        assert (gone.slot.index, gone.reason) == (1, "RuntimeError: device lost")
        assert len(queue.rehearse(TENSORS[0], 1)) == 2
        queue.close()
    assert sorted(bench.completed) == [(k, k % 50) for k in range(samples)]
    assert [session.closed for session in bench.sessions] == [1, 0, 1]


def test_a_session_that_hangs_is_retired_and_what_it_gives_later_is_dropped() -> None:
    bench = Bench([FakeSession(0.001), FakeSession(hangs_on=7), FakeSession(0.001)])
    queue = bench.queue(retire=True, hang_s=0.2)
    queue.submit(range(50), range(50))
    bench.wait_for(50, seconds=60)
    if queue.retired:  # unless another session took sample 7
        assert queue.retired[0].sample_index == 7
        assert queue.retired[0].reason == "no answer for 0.2 s"
    bench.sessions[1].wake.set()
    queue.close()
    time.sleep(0.05)
    assert sorted(bench.completed) == [(k, k) for k in range(50)]
    assert not bench.failures


def test_a_queue_that_was_held_up_itself_retires_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    ahead_s, looked = 0, threading.Semaphore(0)
    monkeypatch.setattr(session_queue, "monotonic", lambda: time.monotonic() + ahead_s)
    bench = Bench([FakeSession(hangs_on=3), FakeSession(hangs_on=3)])
    queue = bench.queue(retire=True, hang_s=60)
    retire_hanging = queue._retire_hanging

    def look(seconds: Sequence[float]) -> None:
        retire_hanging(seconds)
        looked.release()

    monkeypatch.setattr(queue, "_retire_hanging", look)
    queue.submit([1, 2], [3, 3])
    while [state.sample for state in bench.pulse.slots()] != [3, 3]:
        time.sleep(0.001)
    assert looked.acquire(timeout=60)
    assert looked.acquire(timeout=60)
    ahead_s = 3600  # as after a process was stopped for an hour
    assert looked.acquire(timeout=60)
    assert looked.acquire(timeout=60)
    for session in bench.sessions:
        session.wake.set()
    bench.wait_for(2, seconds=60)
    queue.close()
    assert not queue.retired
    assert not bench.failures


def test_the_last_session_that_fails_is_a_failure() -> None:
    bench = Bench([FakeSession(fails_from=3), FakeSession(fails_from=3)])
    queue = bench.queue(retire=True)
    queue.submit(range(50), range(50))
    assert bench.failed.wait(60)
    assert len(queue.retired) == 1
    assert isinstance(bench.failures[0], LaneFailed)


def test_the_last_session_that_hangs_is_a_failure() -> None:
    bench = Bench([FakeSession(hangs_on=3)])
    bench.queue(retire=True, hang_s=0.1).submit(range(10), range(10))
    assert bench.failed.wait(60)
    assert str(bench.failures[0]) == "no answer for 0.1 s"
    bench.sessions[0].wake.set()


def test_nan_in_a_float_output_fails_the_sample() -> None:
    good, bad = np.zeros((1, 2, 2, 2), np.float32), np.zeros((1, 2, 2, 2), np.float32)
    bad[0, 1, 1, 1] = np.nan
    check_first([good, bad])
    check_all([good, good])
    with pytest.raises(ValueError, match="output 1 has NaN or infinity in it"):
        check_all([good, bad])
    with pytest.raises(ValueError, match="output 0 has NaN or infinity in it"):
        check_first([np.full((1, 2), np.inf, np.float32)])
    check_all([QuantizedTensor(np.zeros((1, 2), np.int8), 0.1, 0)])


def test_a_queue_that_is_too_long_holds_up_whoever_fills_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_queue, "MOST_WAITING", 5)
    bench = Bench([FakeSession(0.001)])
    queue = bench.queue()
    waiting = []
    for k in range(40):
        queue.submit([k], [k])
        waiting.append(k + 1 - len(bench.completed))
    queue.close()
    assert max(waiting) <= 8
    assert len(bench.completed) == 40


def test_a_session_that_cannot_be_opened_is_done_without_where_that_is_wanted() -> None:
    bench = Bench([FakeSession(), FakeSession(), FakeSession()])
    bench.sessions[0].wake.clear()

    def open_session(slot: DeviceSlot) -> Any:
        if slot.index == 0:
            bench.sessions[0].wake.wait()
        if slot.index == 1:
            raise OSError("no such device")
        return bench.open_session(slot)

    queue = SessionQueue(bench.slots, open_session, *bench.place(inline=False), retire=True, open_s=0.2)
    gone = [(retired.slot.index, retired.sample_index, retired.reason) for retired in queue.retired]
    assert gone == [(0, None, "not open after 0.2 s"), (1, None, "OSError: no such device")]
    assert len(queue.rehearse(TENSORS[0], 2)) == 1
    queue.submit(range(50), range(50))
    bench.wait_for(50, seconds=60)
    bench.sessions[0].wake.set()
    queue.close()
    assert sorted(bench.completed) == [(k, k) for k in range(50)]
    assert [session.closed for session in bench.sessions] == [0, 0, 1]


@pytest.mark.parametrize("kind", [FakeSession, FakeDevice])
def test_a_session_that_hangs_in_a_rehearsal_is_named_or_done_without(kind: type[FakeSession]) -> None:
    bench = Bench([kind(), kind(hangs_on=0)])
    queue = bench.queue(retire=True)
    assert len(queue.rehearse(TENSORS[0], 3, 7, hang_s=0.2)) == 1
    assert [(gone.slot.index, gone.sample_index, gone.reason) for gone in queue.retired] == [
        (1, 7, "no answer for 0.2 s")
    ]
    bench.sessions[1].wake.set()
    queue.close()

    bench = Bench([kind(hangs_on=0)])
    queue = bench.queue(retire=True)
    with pytest.raises(LaneFailed, match=r"no answer for 0\.2 s") as caught:
        queue.rehearse(TENSORS[0], 3, 7, hang_s=0.2)
    assert (caught.value.slot.index, caught.value.sample_index) == (0, 7)
    bench.sessions[0].wake.set()
    queue.close()


@pytest.mark.parametrize("kind", ["queue", "inline"])
def test_who_watches_sees_a_session_before_its_first_sample(kind: str) -> None:
    bench = Bench([FakeSession()])
    seen: list[Any] = []
    session = bench.sessions[0]
    run = session.run

    def watched(images: Any) -> Any:
        seen.append(bench.pulse.slots()[0].sample)
        return run(images)

    session.run = watched  # type: ignore[method-assign]
    dispatcher = getattr(bench, kind)()
    dispatcher.rehearse(TENSORS[0], 3)
    dispatcher.submit([1], [4])
    bench.wait_for(1, seconds=60)
    dispatcher.close()
    assert seen == [-2, -3, -4, 4]
    assert bench.pulse.slots()[0].sample is None


def test_the_last_answers_of_a_query_wait_for_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postprocessors, "BATCH_NS", 3600 * 10**9)
    model = load_model("ssd_resnet34")
    decoder: Any = model.decoder("native")
    setup = DecodeSetup(decoder.decode, model.decoding, decoder.image_decoder)
    bench = Bench([])
    pulse = Pulse(1)
    queue = SessionQueue(
        [DeviceSlot(0, "simulated")],
        lambda slot: open_session(SessionRequest.of(model, None, options={"latency_ms": 1, "quantized": False})),
        {0: np.zeros(model.input.shape, np.uint8)},
        new_postprocess(setup, pulse, 1, inline=False, batches=True, every_value=True),  # decoding takes a while
        lambda answers, **_: bench.completed.extend((sample_id, size) for sample_id, _, size in answers),
        bench.fail,
        pulse,
        batches=True,
    )
    queue.submit(range(3), [0] * 3)
    bench.wait_for(3, seconds=60)
    queue.close()
    assert not bench.failures
