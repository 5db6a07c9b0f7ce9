"""A lane: one session, the thread that runs it if it blocks, and the samples that it has."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from time import monotonic_ns
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from harness.errors import HarnessError, Stalled, named_line
from harness.pipeline.counters import BEFORE_SAMPLES, CURRENT
from harness.pipeline.devices import DeviceSlot, pin
from harness.pipeline.dispatch import Retired
from harness.pipeline.postprocess import Postprocess
from harness.pipeline.pulse import Pulse
from harness.records import RawOutputs
from harness.sessions.protocol import AsynchronousSession, Completion, Completions, Session, Tensor

Sample = tuple[int, int, int]
"""A sample to process: (LoadGen's id, index in the dataset, the ns it was issued at)."""
OpenSession = Callable[[DeviceSlot], Session]
REMEMBERED = 4  # samples


class LaneFailed(Exception):
    """A sample failed on a lane."""

    def __init__(self, slot: DeviceSlot, sample_index: int, what: str) -> None:
        super().__init__(what)
        self.slot = slot
        self.sample_index = sample_index


def what_failed(error: BaseException) -> str:
    """An error of a session or a decoder in one line."""
    return error.what if isinstance(error, HarnessError) else named_line(error)


class SessionThread:
    """Runs a blocking session on the thread that calls `serve`; its next image waits there, so that it never does.

    Args:
        prepare: what is done to the outputs on this thread, before the next run.
        in_flight: 2: one at work and one waiting.
    """

    def __init__(self, session: Session, prepare: Callable[[RawOutputs, int], Any], in_flight: int) -> None:
        self._session = session
        self._prepare = prepare
        self.in_flight = in_flight
        self._images: SimpleQueue[tuple[int, Tensor, Completions, int] | None] = SimpleQueue()
        self._ended = False

    def submit(self, tag: int, images: Tensor, completions: Completions, sample_index: int) -> None:
        """As `AsynchronousSession.submit`; `prepare` is told of which sample the image is."""
        self._images.put((tag, images, completions, sample_index))

    def serve(self) -> None:
        """Runs one image after the other until `end`, or until one fails: a device that failed is left alone."""
        while (work := self._images.get()) is not None and not self._ended:
            tag, images, completions, sample_index = work
            started = ended = monotonic_ns()
            try:
                outputs = self._session.run(images)
                ended = monotonic_ns()
                outputs = self._prepare(outputs, sample_index)
            except BaseException as error:  # noqa: BLE001 - whoever drives the sessions is told
                self._ended = True
                outputs = cast(Any, error)
            completions.put(Completion(tag, outputs, started, ended))

    def end(self) -> None:
        """Ends `serve` after the image that it is at."""
        self._ended = True
        self._images.put(None)


class Lane:
    """One session as the thread that drives all of them sees it.

    Attributes:
        slot: where it runs.
        session: what was opened.
        driven: what the samples are submitted to: the session, if it is asynchronous, else a `SessionThread` around it,
            which `Inline` never serves: it runs the session itself.
        in_flight: how many images it is given at once.
        flights: tag → the sample, of those that it has, in the order in which they were submitted.
        row: where its row of counters begins.
        took_ns: what the last sample took, or the fastest one of a rehearsal; 0: not known.
        recent_ns: what the last few took.
    """

    def __init__(
        self,
        slot: DeviceSlot,
        session: Session,
        driven: AsynchronousSession | SessionThread,
        postprocess: Postprocess,
        thread: threading.Thread | None = None,
    ) -> None:
        self.slot = slot
        self.session = session
        self.driven = driven
        self.row = Pulse.row(slot.index)
        self.in_flight = max(1, driven.in_flight)
        self.flights: dict[int, Sample] = {}
        self.took_ns = 0
        self.recent_ns: deque[int] = deque(maxlen=REMEMBERED)
        self._postprocess = postprocess
        self._thread = thread

    def took(self, took_ns: int) -> None:
        """A sample took so long."""
        self.took_ns = took_ns
        self.recent_ns.append(took_ns)

    def records(self) -> npt.NDArray[np.int64]:
        """(samples, columns) int64 in the order of `COLUMNS`; not a copy, so for a lane that has ended its work."""
        return self._postprocess.records(self.slot.index)

    def close(self) -> None:
        """Ends its thread and closes its session."""
        if isinstance(self.driven, SessionThread):
            self.driven.end()
        if self._thread is not None:
            self._thread.join()
        self.session.close()


def open_lanes(
    slots: Sequence[DeviceSlot],
    open_session: OpenSession,
    postprocess: Postprocess,
    in_flight: int,
    pulse: Pulse,
    *,
    do_without_after_s: float | None = None,
) -> tuple[list[Lane], list[Retired]]:
    """Opens all sessions at once, each on a thread pinned to its cores, which goes on to run it if it blocks.

    Args:
        in_flight: how many images a blocking session is given at once.
        pulse: told which sessions are being opened.
        do_without_after_s: those that cannot be opened, or that are left when none was opened for so long, are done
            without as long as there is another one; None: all are needed.

    Returns:
        The sessions that are open, and those that are not.

    Raises:
        BaseException: the first error of opening a session, after the others have been closed.
    """
    opened: dict[int, Lane | BaseException] = {}
    cells = pulse.cells()
    one_more = threading.Semaphore(0)

    def open_one(slot: DeviceSlot) -> None:
        try:
            pin(slot.cores)
            session = open_session(slot)
            # a decoder that is Python is run where the inference is
            asynchronous = hasattr(session, "submit") and postprocess.beside
            driven = session if asynchronous else SessionThread(session, _prepare(session, postprocess), in_flight)
            opened[slot.index] = Lane(slot, session, cast(Any, driven), postprocess, threading.current_thread())
        except BaseException as error:  # noqa: BLE001 - raised again below
            opened[slot.index] = error
            driven = None
        cells[Pulse.row(slot.index) + CURRENT] = 0
        one_more.release()
        if isinstance(driven, SessionThread):
            driven.serve()

    for slot in slots:
        cells[Pulse.row(slot.index) + CURRENT] = BEFORE_SAMPLES
        threading.Thread(target=open_one, args=(slot,), name=slot.name, daemon=True).start()
    for _ in slots:
        if not one_more.acquire(timeout=do_without_after_s):
            break  # those that are left are given up
    late = Stalled(f"not open after {do_without_after_s or 0:g} s")
    results = [(slot, opened.get(slot.index, late)) for slot in slots]
    lanes = [result for _, result in results if isinstance(result, Lane)]
    errors = [(slot, result) for slot, result in results if isinstance(result, BaseException)]
    if errors and (do_without_after_s is None or not lanes):
        for lane in lanes:
            lane.close()
        postprocess.close()
        raise errors[0][1]
    return lanes, [Retired(slot, None, what_failed(error)) for slot, error in errors]


def _prepare(session: Session, postprocess: Postprocess) -> Callable[[RawOutputs, int], Any]:
    """What is done to the outputs before the session's next run.

    A session that uses its arrays again has them decoded at once: to copy them takes as long, and leaves the decoding
    to another thread, which finds them in no cache of its own.
    """
    gives_new_ones = getattr(session, "new_outputs", False)
    return _kept if postprocess.beside and gives_new_ones else postprocess.prepare


def _kept(outputs: RawOutputs, sample_index: int) -> RawOutputs:
    return outputs
