"""Queries inline: on LoadGen's own thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import monotonic, monotonic_ns
from typing import cast

from harness.pipeline.counters import BEFORE_SAMPLES, CURRENT
from harness.pipeline.devices import DeviceSlot, pin
from harness.pipeline.dispatch import Respond, Retired
from harness.pipeline.finite import check_all
from harness.pipeline.lane import Lane, LaneFailed, OpenSession, SessionThread, what_failed
from harness.pipeline.postprocess import REHEARSAL, Postprocess
from harness.pipeline.pulse import Pulse
from harness.pipeline.warm_run import WarmRun
from harness.records import QuantizedTensor, RawOutput, RawOutputs
from harness.sessions.protocol import AsynchronousSession, Tensor


class Inline:
    """One session on the thread that issues: a hand-off would cost SingleStream more than it brings.

    Args:
        warm_ahead: use `WarmRun` for a session that says that it leaves the host idle.
    """

    def __init__(
        self,
        slot: DeviceSlot,
        open_session: OpenSession,
        tensors: Mapping[int, Tensor],
        postprocess: Postprocess,
        respond: Respond,
        on_failure: Callable[[BaseException], None],
        pulse: Pulse,
        *,
        warm_ahead: bool = False,
    ) -> None:
        pin(slot.cores)
        self._cells, self._current = pulse.cells(), pulse.row(slot.index) + CURRENT
        self._cells[self._current] = BEFORE_SAMPLES
        session = open_session(slot)
        self._cells[self._current] = 0
        self.lanes = [Lane(slot, session, SessionThread(session, postprocess.prepare, 1), postprocess)]
        self.retired: list[Retired] = []
        self._run: Callable[[Tensor], RawOutputs] = session.run
        if warm_ahead and getattr(session, "host_idle", False) and hasattr(session, "submit"):
            self._run = WarmRun(cast(AsynchronousSession, session), postprocess.mailbox, self._warm)
        self._example: RawOutputs | None = None
        self._tensors = tensors
        self._postprocess = postprocess
        self._respond = respond
        self._on_failure = on_failure

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

    def rehearse(self, tensor: Tensor, runs: int, sample_index: int = 0, *, hang_s: float = 120) -> list[float]:
        """Runs them on the calling thread."""
        seconds = []
        try:
            for run in range(1, runs + 1):
                self._cells[self._current] = BEFORE_SAMPLES - run
                began = monotonic()
                outputs = self._run(tensor)
                self._postprocess.finish(REHEARSAL, REHEARSAL, 0, 0, 0, 0, outputs)
                seconds.append(monotonic() - began)
                check_all(outputs)
                self._example = self._example or _copied(outputs)
        except Exception as error:
            raise LaneFailed(self.lanes[0].slot, sample_index, what_failed(error)) from error
        self._cells[self._current] = 0
        return [min(seconds)]

    def _warm(self) -> None:
        """Goes a sample's way to its answer. The outputs are old ones, and copies: those to come stay cold."""
        if self._example is not None:
            _, address, size = self._postprocess.finish(REHEARSAL, REHEARSAL, 0, 0, 0, 0, self._example)
            self._respond(((0, address, size),), to_nobody=True)
            self._postprocess.answered()

    def settle(self) -> None:
        """Has nothing to wait for."""

    def close(self) -> None:
        """Closes the session."""
        self._postprocess.close()
        self.lanes[0].session.close()


def _copied(outputs: RawOutputs) -> list[RawOutput]:
    """The outputs in arrays of their own, for a session that uses its arrays again."""
    return [
        QuantizedTensor(output.data.copy(), output.scale, output.zero_point, output.layout)
        if isinstance(output, QuantizedTensor)
        else output.copy()
        for output in outputs
    ]
