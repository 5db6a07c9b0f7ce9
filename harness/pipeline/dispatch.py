"""How queries reach sessions. Here: inline, on LoadGen's own thread; `session_queue` has the other way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic, monotonic_ns
from typing import Protocol

import numpy as np
import numpy.typing as npt

from harness.pipeline.counters import CURRENT
from harness.pipeline.devices import DeviceSlot, pin
from harness.pipeline.finite import check_all
from harness.pipeline.lane import Lane, LaneFailed, OpenSession, SessionThread, what_failed
from harness.pipeline.postprocess import REHEARSAL, Answer, Postprocess
from harness.pipeline.pulse import Pulse
from harness.sessions.protocol import Tensor

Respond = Callable[[Sequence[Answer]], None]
"""Hands answers to LoadGen, which has copied them when it returns."""


@dataclass(frozen=True)
class Retired:
    """A session that failed or hung, and was taken out of the run.

    Attributes:
        sample_index: the sample it was at, which another session then processed.
    """

    slot: DeviceSlot
    sample_index: int
    reason: str


class RecordedLane(Protocol):
    """A session, for those who write down what it did."""

    @property
    def slot(self) -> DeviceSlot:
        """Where it runs."""
        ...

    def records(self) -> npt.NDArray[np.int64]:
        """(samples, columns) int64 in the order of `harness.pipeline.counters.COLUMNS`, when it has ended its work."""
        ...


class Dispatcher(Protocol):
    """Takes queries from LoadGen and gives their samples to sessions."""

    @property
    def lanes(self) -> Sequence[RecordedLane]:
        """The sessions, by the indices of their slots."""
        ...

    retired: list[Retired]
    """Those that were taken out."""

    def submit(self, sample_ids: Sequence[int], sample_indices: Sequence[int]) -> None:
        """One query. Never raises: a failure goes to ``on_failure``."""
        ...

    def rehearse(self, tensor: Tensor, runs: int, sample_index: int = 0) -> list[float]:
        """Runs inference and decoding on every session at once, answered to nobody and recorded nowhere.

        A session that fails is retired where that is wanted and another one is left.

        Args:
            sample_index: the sample whose tensor it is.

        Returns:
            Of each session that is not retired, the seconds of its fastest run.

        Raises:
            LaneFailed: a session failed, or gave a NaN or an infinity.
        """
        ...

    def settle(self) -> None:
        """Returns when all that was answered is recorded too."""
        ...

    def close(self) -> None:
        """Ends the threads and closes the sessions, when every sample has been completed."""
        ...


class Inline:
    """One session on the thread that issues: a hand-off would cost SingleStream more than it brings."""

    def __init__(
        self,
        slot: DeviceSlot,
        open_session: OpenSession,
        tensors: Mapping[int, Tensor],
        postprocess: Postprocess,
        respond: Respond,
        on_failure: Callable[[BaseException], None],
        pulse: Pulse,
    ) -> None:
        pin(slot.cores)
        session = open_session(slot)
        self.lanes = [Lane(slot, session, SessionThread(session, postprocess.prepare, 1), postprocess)]
        self.retired: list[Retired] = []
        self._run = session.run
        self._tensors = tensors
        self._postprocess = postprocess
        self._respond = respond
        self._on_failure = on_failure
        self._cells, self._current = pulse.cells(), pulse.row(slot.index) + CURRENT

    def submit(self, sample_ids: Sequence[int], sample_indices: Sequence[int]) -> None:
        """Returns when LoadGen has the answers."""
        issued, cells, current, postprocess = monotonic_ns(), self._cells, self._current, self._postprocess
        for sample_id, index in zip(sample_ids, sample_indices, strict=True):
            cells[current] = index + 1
            try:
                started = monotonic_ns()
                outputs = self._run(self._tensors[index])
                answer = postprocess.finish(0, sample_id, index, issued, started, monotonic_ns(), outputs)
                self._respond((answer,))
                postprocess.answered()
            except BaseException as error:  # noqa: BLE001 - LoadGen aborts the process when a callback raises
                failure = LaneFailed(self.lanes[0].slot, index, what_failed(error))
                failure.__cause__ = error
                self._on_failure(failure)
                return
            cells[current] = 0

    def rehearse(self, tensor: Tensor, runs: int, sample_index: int = 0) -> list[float]:
        """Runs them on the calling thread."""
        seconds = []
        try:
            for _ in range(runs):
                began = monotonic()
                outputs = self._run(tensor)
                self._postprocess.finish(REHEARSAL, REHEARSAL, 0, 0, 0, 0, outputs)
                seconds.append(monotonic() - began)
                check_all(outputs)
        except Exception as error:
            raise LaneFailed(self.lanes[0].slot, sample_index, what_failed(error)) from error
        return [min(seconds)]

    def settle(self) -> None:
        """Has nothing to wait for."""

    def close(self) -> None:
        """Closes the session."""
        self._postprocess.close()
        self.lanes[0].session.close()
