"""How queries reach sessions: `inline` has the way on LoadGen's own thread, `session_queue` the other one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from harness.pipeline.devices import DeviceSlot
from harness.pipeline.postprocess import Answer
from harness.sessions.protocol import Tensor


class Respond(Protocol):
    """Hands answers to LoadGen."""

    def __call__(self, answers: Sequence[Answer], *, to_nobody: bool = False) -> None:
        """LoadGen has copied them when it returns.

        Args:
            to_nobody: do all but hand them over.
        """
        ...


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
