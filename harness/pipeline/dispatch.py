"""How queries reach the lanes: inline on LoadGen's own thread, or through a queue for the first free session."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from time import monotonic_ns
from typing import Protocol, TypeVar, cast

from harness.pipeline.devices import DeviceSlot, pin
from harness.pipeline.lane import Lane

T = TypeVar("T")
OpenLane = Callable[[DeviceSlot], Lane]
Job = Callable[[Lane], None]


class Dispatcher(Protocol):
    """Takes queries from LoadGen and gives them to lanes."""

    lanes: list[Lane]

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
        self._on_failure = on_failure

    def submit(self, sample_ids: Sequence[int], sample_indices: Sequence[int]) -> None:
        issued = monotonic_ns()
        try:
            for sample_id, index in zip(sample_ids, sample_indices, strict=True):
                self.lanes[0].process(sample_id, index, issued)
        except BaseException as error:  # noqa: BLE001 - LoadGen aborts the process when a callback raises
            self._on_failure(error)

    def on_each(self, work: Callable[[Lane], T]) -> list[T]:
        return [work(self.lanes[0])]

    def close(self) -> None:
        self.lanes[0].close()


class SessionQueue:
    """One worker thread a session, pinned to its cores; the first free one takes the next sample.

    A slow device therefore costs its own share and holds nobody up. Decoding happens on the worker and so hides behind
    the other workers' inference.

    Raises:
        BaseException: the first error of opening a session, after the other workers have ended.
    """

    def __init__(
        self, slots: Sequence[DeviceSlot], open_lane: OpenLane, on_failure: Callable[[BaseException], None]
    ) -> None:
        self.lanes: list[Lane] = []
        self._queue: SimpleQueue[tuple[int, int, int] | Job | None] = SimpleQueue()
        self._on_failure = on_failure
        self._barrier = threading.Barrier(len(slots))
        opened: SimpleQueue[Lane | BaseException] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, args=(slot, open_lane, opened), name=slot.name, daemon=True)
            for slot in slots
        ]
        for thread in self._threads:
            thread.start()
        results = [opened.get() for _ in slots]
        self.lanes = sorted((r for r in results if isinstance(r, Lane)), key=lambda lane: lane.slot.index)
        for result in results:
            if isinstance(result, BaseException):
                self.close()
                raise result

    def _work(self, slot: DeviceSlot, open_lane: OpenLane, opened: SimpleQueue[Lane | BaseException]) -> None:
        try:
            pin(slot.cores)
            lane = open_lane(slot)
        except BaseException as error:  # noqa: BLE001 - raised again by the constructor
            opened.put(error)
            return
        opened.put(lane)
        take, process = self._queue.get, lane.process
        try:
            while (item := take()) is not None:
                if isinstance(item, tuple):
                    process(*item)
                else:
                    item(lane)
        except BaseException as error:  # noqa: BLE001 - a thread has nobody to raise to
            self._on_failure(error)

    def submit(self, sample_ids: Sequence[int], sample_indices: Sequence[int]) -> None:
        issued, put = monotonic_ns(), self._queue.put
        for sample_id, index in zip(sample_ids, sample_indices, strict=True):
            put((sample_id, index, issued))

    def on_each(self, work: Callable[[Lane], T]) -> list[T]:
        done: SimpleQueue[tuple[int, T | None, BaseException | None]] = SimpleQueue()

        def job(lane: Lane) -> None:
            self._barrier.wait()  # nobody takes a second job before each has one
            try:
                done.put((lane.slot.index, work(lane), None))
            except BaseException as error:  # noqa: BLE001 - raised again below
                done.put((lane.slot.index, None, error))

        for _ in self.lanes:
            self._queue.put(job)
        results = sorted((done.get() for _ in self.lanes), key=lambda result: result[0])
        for _, _, error in results:
            if error is not None:
                raise error
        return [cast(T, value) for _, value, _ in results]

    def close(self) -> None:
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()
        for lane in self.lanes:
            lane.close()
