"""A lane: one session and everything that a sample goes through on it: run → decode → complete."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from statistics import median
from time import monotonic_ns
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.errors import HarnessError
from harness.pipeline.devices import DeviceSlot
from harness.pipeline.pulse import Pulse
from harness.records import Detections, RawOutputs
from harness.sessions.protocol import Session

Tensor = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
Decode = Callable[[RawOutputs], Detections]
Complete = Callable[[int, int, Detections], None]
"""(LoadGen's sample id, sample index, what was found)."""

COLUMNS = ("sample_id", "sample_index", "issued_ns", "started_ns", "inferred_ns", "decoded_ns", "completed_ns")
"""Of a sample's record; times are of the monotonic clock."""


class LaneFailed(Exception):
    """A sample failed on a lane; the cause is its ``__cause__``."""

    def __init__(self, slot: DeviceSlot, sample_index: int, what: str) -> None:
        super().__init__(what)
        self.slot = slot
        self.sample_index = sample_index


class Lane:
    """One session with its decoder and its records. Used by one thread at a time.

    Args:
        slot: where it runs.
        session: closed with the lane.
        decode: raw outputs → detections.
        tensors: sample index → (1, 3, H, W) tensor, for the samples now in memory.
        complete: hands the answer over; must copy what it keeps.
        pulse: told of every sample.
    """

    def __init__(
        self,
        slot: DeviceSlot,
        session: Session,
        decode: Decode,
        tensors: Mapping[int, Tensor],
        complete: Complete,
        pulse: Pulse,
    ) -> None:
        self.slot = slot
        self.session = session
        self._decode = decode
        self._tensors = tensors
        self._complete = complete
        self._cells = pulse.cells()
        self._done = slot.index
        self._current = len(self._cells) // 2 + slot.index
        self._records = array("q")

    def process(self, sample_id: int, sample_index: int, issued_ns: int) -> None:
        """One sample, from its tensor to its completion.

        Raises:
            LaneFailed: whatever failed, with the sample and the device.
        """
        cells = self._cells
        cells[self._current] = sample_index + 1
        try:
            started = monotonic_ns()
            outputs = self.session.run(self._tensors[sample_index])
            inferred = monotonic_ns()
            detections = self._decode(outputs)
            decoded = monotonic_ns()
            self._complete(sample_id, sample_index, detections)
            completed = monotonic_ns()
        except Exception as error:
            text = error.what if isinstance(error, HarnessError) else f"{type(error).__name__}: {error}"
            raise LaneFailed(self.slot, sample_index, text) from error
        self._records.extend((sample_id, sample_index, issued_ns, started, inferred, decoded, completed))
        cells[self._done] += 1
        cells[self._current] = 0

    def time_runs(self, tensor: Tensor, runs: int) -> float:
        """Median seconds of one inference with its decoding over ``runs`` runs; nothing is completed or recorded."""
        seconds = []
        for _ in range(runs):
            started = monotonic_ns()
            self._decode(self.session.run(tensor))
            seconds.append((monotonic_ns() - started) / 1e9)
        return median(seconds)

    def records(self) -> npt.NDArray[np.int64]:
        """(samples, 7) int64 in the order of `COLUMNS`."""
        return np.frombuffer(self._records, np.int64).reshape(-1, len(COLUMNS)).copy()

    def close(self) -> None:
        """Closes the session."""
        self.session.close()


def describe_lane(lane: Lane) -> dict[str, Any]:
    """For the manifest."""
    return {"name": lane.slot.name, "device": lane.slot.device, "cores": list(lane.slot.cores)}
