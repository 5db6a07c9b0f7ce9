"""How queries reach the lanes: inline on LoadGen's own thread, or through a queue for the first free session."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from operator import length_hint
from queue import Empty, SimpleQueue
from time import monotonic, monotonic_ns, sleep
from typing import Protocol, TypeVar, cast

from harness.pipeline.devices import DeviceSlot, pin
from harness.pipeline.lane import Lane, LaneFailed, Sample, TakenBack
from harness.pipeline.pulse import Pulse

T = TypeVar("T")
OpenLane = Callable[[DeviceSlot], Lane]
Job = Callable[[Lane], None]

BLOCK = 64  # a query of more samples goes to the workers as one block, not as so many entries of the queue
MUCH_SLOWER = 2  # times as slow as the fastest session
SHORT_TAIL_NS = 1_000_000  # nobody minds to wait for a sample that takes less
MOST_WAITING = 8192  # entries in the queue: LoadGen's thread then waits; it counts latencies from the scheduled moment


@dataclass(frozen=True, eq=False)
class Block:
    """A query's samples, which the workers share: each takes the next one as it is free.

    `next` of a zip of arrays runs no Python code, so the GIL makes it atomic, and nothing is stored for a sample but
    its two numbers.

    Attributes:
        samples: what is left of them.
        issued: runs out with the samples; its length hint says how many are left.
    """

    samples: Iterator[Sample]
    issued: repeat[int]

    @classmethod
    def of(cls, sample_ids: Sequence[int], sample_indices: Sequence[int], issued_ns: int) -> Block:
        """The samples of a query, issued at that time."""
        issued = repeat(issued_ns, len(sample_ids))
        return cls(zip(array("Q", sample_ids), array("Q", sample_indices), issued, strict=False), issued)


@dataclass(frozen=True)
class Retired:
    """A session that failed or hung, and was taken out of the run.

    Attributes:
        sample_index: the sample it was at, which another session then processed.
    """

    slot: DeviceSlot
    sample_index: int
    reason: str


class Dispatcher(Protocol):
    """Takes queries from LoadGen and gives them to lanes."""

    lanes: list[Lane]
    retired: list[Retired]

    def submit(self, sample_ids: Sequence[int], sample_indices: Sequence[int]) -> None:
        """One query. Never raises: a failure goes to ``on_failure``."""
        ...

    def on_each(self, work: Callable[[Lane], T]) -> list[T]:
        """Runs ``work`` on every lane at once, each on the thread that processes its samples."""
        ...

    def close(self) -> None:
        """Ends the threads and closes the sessions, when every sample has been completed."""
        ...


class Inline:
    """One lane on the thread that issues: a hand-off would cost SingleStream more than it brings."""

    def __init__(self, slot: DeviceSlot, open_lane: OpenLane, on_failure: Callable[[BaseException], None]) -> None:
        pin(slot.cores)
        self.lanes = [open_lane(slot)]
        self.retired: list[Retired] = []
        self._process = self.lanes[0].process
        self._on_failure = on_failure

    def submit(self, sample_ids: Sequence[int], sample_indices: Sequence[int]) -> None:
        """Takes the samples of a query, in order."""
        issued = monotonic_ns()
        try:
            for sample_id, index in zip(sample_ids, sample_indices, strict=True):
                self._process((sample_id, index, issued))
        except BaseException as error:  # noqa: BLE001 - LoadGen aborts the process when a callback raises
            self._on_failure(error)

    def on_each(self, work: Callable[[Lane], T]) -> list[T]:
        """Calls `work` with every lane, on the thread that uses it, and returns what each gave."""
        return [work(self.lanes[0])]

    def close(self) -> None:
        """Closes the lanes and their sessions."""
        self.lanes[0].close()


class SessionQueue:
    """One worker thread a session, pinned to its cores; the first free one takes the next sample.

    A slow device therefore costs its own share and holds nobody up: a much slower session leaves the last samples of
    Offline's one query to the others. Decoding happens on the worker, hidden behind the other workers' inference.

    Args:
        retire: a session that fails, or is at one sample for longer than ``hang_s``, is taken out and its sample goes
            to another one, as long as there is one; else the first failure goes to ``on_failure``, and hangs are for
            the process that watches.
        pulse: told of the samples that LoadGen issues.
        on_retired: told of a session that was taken out, by whichever thread found out.

    Raises:
        BaseException: the first error of opening a session, after the other workers have ended.
    """

    def __init__(
        self,
        slots: Sequence[DeviceSlot],
        open_lane: OpenLane,
        on_failure: Callable[[BaseException], None],
        *,
        retire: bool = False,
        hang_s: float = 120,
        pulse: Pulse | None = None,
        on_retired: Callable[[Retired], None] = lambda retired: None,
    ) -> None:
        self.lanes: list[Lane] = []
        self.retired: list[Retired] = []
        self._queue: SimpleQueue[Sample | Block | Job | None] = SimpleQueue()
        self._on_failure = on_failure
        pulse = pulse or Pulse(0)
        self._cells, self._submitted = pulse.cells(), pulse.submitted_cell
        self._retire = retire
        self._on_retired = on_retired
        self._hang_s = hang_s
        self._retiring = threading.Lock()
        self._closing = threading.Event()
        opened: SimpleQueue[Lane | BaseException] = SimpleQueue()
        self._threads = {
            slot.index: threading.Thread(target=self._work, args=(slot, open_lane, opened), name=slot.name, daemon=True)
            for slot in slots
        }
        for thread in self._threads.values():
            thread.start()
        results = [opened.get() for _ in slots]
        self.lanes = sorted((r for r in results if isinstance(r, Lane)), key=lambda lane: lane.slot.index)
        for result in results:
            if isinstance(result, BaseException):
                self.close()
                raise result
        if retire:
            self._threads[-1] = threading.Thread(target=self._watch, name="hang watch", daemon=True)
            self._threads[-1].start()

    def _work(self, slot: DeviceSlot, open_lane: OpenLane, opened: SimpleQueue[Lane | BaseException]) -> None:
        try:
            pin(slot.cores)
            lane = open_lane(slot)
        except BaseException as error:  # noqa: BLE001 - raised again by the constructor
            opened.put(error)
            return
        opened.put(lane)
        try:
            self._serve(lane)
        except TakenBack:
            return
        except LaneFailed as error:
            if not self._take_out(lane, str(error)):
                self._on_failure(error)
        except BaseException as error:  # noqa: BLE001 - a thread has nobody to raise to
            self._on_failure(error)

    def _serve(self, lane: Lane) -> None:
        take, take_now, process = self._queue.get, self._queue.get_nowait, lane.process
        while True:
            if lane.held:
                try:
                    item = take_now()
                except Empty:
                    lane.send()
                    item = take()
            else:
                item = take()
            if isinstance(item, tuple):
                process(item)
            elif item is None:
                if lane.held:
                    lane.send()
                return
            elif callable(item):
                item(lane)
            else:
                self._share(lane, item)

    def _share(self, lane: Lane, block: Block) -> None:
        process = lane.process
        much_ns = max(MUCH_SLOWER * min(it.took_ns for it in self.lanes), SHORT_TAIL_NS)
        if lane.took_ns > much_ns:
            self._leave_the_last(lane, block)
        for sample in block.samples:
            process(sample)
            if lane.took_ns > much_ns:
                self._leave_the_last(lane, block)

    def _leave_the_last(self, lane: Lane, block: Block) -> None:
        """Waits while much faster sessions will have answered all that is left before this one would answer one.

        All would wait for its last sample otherwise. Should they be retired or become slow, it goes on. Sessions wait
        for faster ones only, so the fastest never waits, and all that is left is answered.
        """
        while left := length_hint(block.issued):
            gone = self._gone()
            took = [it.took_ns for it in self.lanes if it.slot.index not in gone]
            per_ns = sum(1 / max(it, 1) for it in took if MUCH_SLOWER * it < lane.took_ns)
            if left >= lane.took_ns * per_ns:
                return
            sleep(lane.took_ns / 1e9 / 20)

    def _take_out(self, lane: Lane, reason: str) -> bool:
        """Retires the lane if that is wanted and it is not the last one; its sample goes back into the queue."""
        with self._retiring:
            if not self._retire or len(self.lanes) - len(self.retired) < 2:
                return False
            sample = lane.take_back()
            if sample is None:  # it failed after its answer was on the way, or was retired before
                return any(retired.slot is lane.slot for retired in self.retired)
            self.retired.append(Retired(lane.slot, sample[1], reason))
            self._queue.put(sample)
            self._on_retired(self.retired[-1])
            return True

    def _gone(self) -> set[int]:
        """The slots of the retired lanes."""
        return {retired.slot.index for retired in self.retired}

    def _watch(self) -> None:
        """Retires lanes that hang."""
        since: dict[int, tuple[Sample | None, float]] = {}
        while not self._closing.wait(min(0.25, self._hang_s / 4)):
            now = monotonic()
            for lane in self.lanes:
                sample, began = lane.current, now
                last = since.get(lane.slot.index)
                if last is not None and last[0] is sample:
                    began = last[1]
                since[lane.slot.index] = sample, began
                if sample is not None and now - began > self._hang_s:
                    reason = f"no answer for {self._hang_s:g} s"
                    if not self._take_out(lane, reason) and lane.current is sample:
                        self._on_failure(LaneFailed(lane.slot, sample[1], reason))

    def submit(self, sample_ids: Sequence[int], sample_indices: Sequence[int]) -> None:
        """Takes the samples of a query, in order."""
        issued, queue = monotonic_ns(), self._queue
        self._cells[self._submitted] += len(sample_ids)
        if len(sample_ids) > BLOCK:
            block = Block.of(sample_ids, sample_indices, issued)
            for _ in self.lanes:
                queue.put(block)
            return
        while queue.qsize() > MOST_WAITING:
            sleep(0.0005)
        for sample_id, index in zip(sample_ids, sample_indices, strict=True):
            queue.put((sample_id, index, issued))

    def on_each(self, work: Callable[[Lane], T]) -> list[T]:
        """Calls `work` with every lane, on the thread that uses it, and returns what each gave."""
        done: SimpleQueue[tuple[int, T | None, BaseException | None]] = SimpleQueue()
        count = len(self.lanes) - len(self.retired)
        barrier = threading.Barrier(count)

        def job(lane: Lane) -> None:
            barrier.wait()  # nobody takes a second job before each has one
            try:
                done.put((lane.slot.index, work(lane), None))
            except BaseException as error:  # noqa: BLE001 - raised again below
                done.put((lane.slot.index, None, error))

        for _ in range(count):
            self._queue.put(job)
        results = sorted((done.get() for _ in range(count)), key=lambda result: result[0])
        for _, _, error in results:
            if error is not None:
                raise error
        return [cast(T, value) for _, value, _ in results]

    def close(self) -> None:
        """A retired session is left as it is: whoever closes a device that hangs may hang too."""
        self._closing.set()
        gone = self._gone()
        for _ in self._threads:
            self._queue.put(None)
        for index, thread in self._threads.items():
            if index not in gone:
                thread.join()
        for lane in self.lanes:
            if lane.slot.index not in gone:
                lane.close()
