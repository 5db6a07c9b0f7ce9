"""A lane: one session and everything that a sample goes through on it: run → decode → answer."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from time import monotonic_ns
from typing import Protocol

import numpy as np
import numpy.typing as npt

from harness.errors import HarnessError
from harness.pipeline.devices import DeviceSlot
from harness.pipeline.finite import check_all, check_first
from harness.pipeline.pulse import Pulse
from harness.pipeline.tally import COLUMNS, CURRENT, tally
from harness.records import Detections
from harness.sessions.protocol import Session

Tensor = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
Decode = Callable[..., Detections]
"""From raw outputs to detections; ``image_size`` is given where the model needs it."""
Sample = tuple[int, int, int]
"""A sample to process: (LoadGen's id, index in the dataset, the ns it was issued at)."""

HELD_MOST = 64
HELD_NS = 100_000
FAST_NS = 50_000
"""A sample that took longer than this is answered at once, together with those held before it."""


class Answers(Protocol):
    """One lane's answers on their way to LoadGen."""

    def put(self, sample_id: int, sample_index: int, detections: Detections) -> None:
        """Takes an answer; copies what it keeps. At most `HELD_MOST` are put between two calls of `send`."""
        ...

    def send(self) -> None:
        """Hands over all that were put since."""
        ...


class LaneFailed(Exception):
    """A sample failed on a lane; the cause is its ``__cause__``."""

    def __init__(self, slot: DeviceSlot, sample_index: int, what: str) -> None:
        super().__init__(what)
        self.slot = slot
        self.sample_index = sample_index


class TakenBack(Exception):
    """The lane was retired while it worked: its sample belongs to another one now."""


class Lane:
    """One session with its decoder and its records. Used by one thread at a time, but for `take_back`.

    Args:
        slot: where it runs.
        session: closed with the lane.
        decode: raw outputs → detections.
        tensors: sample index → (1, 3, H, W) tensor, for the samples now in memory.
        answers: this lane's way to LoadGen.
        pulse: told of every sample.
        image_sizes: sample index → width and height of its image, for a decoder that needs them; else empty.
        hold: answers of a fast session may wait for each other, `HELD_NS` at most: handing one over costs more than
            such a session's whole sample. For Offline only, where nobody waits for a single answer.
        check_every_value: look for NaN and infinity in every value of every float output, at about 1 ms a sample;
            else in every value of rehearsals, and in the first value of each output of the other samples.
    """

    def __init__(
        self,
        slot: DeviceSlot,
        session: Session,
        decode: Decode,
        tensors: Mapping[int, Tensor],
        answers: Answers,
        pulse: Pulse,
        *,
        image_sizes: Sequence[tuple[int, int]] = (),
        hold: bool = False,
        check_every_value: bool = False,
    ) -> None:
        self.slot = slot
        self.session = session
        self._decode = decode
        self._image_sizes = image_sizes
        self._tensors = tensors
        self._answers = answers
        self._fast_ns = FAST_NS if hold else 0
        self._floats = any(spec.dtype == "float32" for spec in session.outputs)
        self._check = check_all if check_every_value else check_first
        self._cells = pulse.cells()
        self._current = pulse.row(slot.index) + CURRENT
        # Offline's samples are all issued at once: there a latency says more without the wait
        self._tally = tally(self._cells, pulse.row(slot.index), from_start=hold)
        self._records = array("q")
        self._held_since_ns = 0
        self._at_work: list[Sample] = []
        self.held = 0
        """Answers that wait for `send`."""
        self.took_ns = 0
        """What the last sample took, or the fastest one of a rehearsal."""

    def process(self, sample: Sample) -> None:
        """One sample, from its tensor to its answer, which may be held.

        Raises:
            LaneFailed: whatever failed, with the sample and the device.
            TakenBack: the sample was given to another lane meanwhile.
        """
        sample_id, sample_index, issued = sample
        cells, at_work = self._cells, self._at_work
        cells[self._current] = sample_index + 1
        at_work.append(sample)
        try:
            started = monotonic_ns()
            outputs = self.session.run(self._tensors[sample_index])
            inferred = monotonic_ns()
            if self._floats:
                self._check(outputs)
            sizes = self._image_sizes
            detections = self._decode(outputs, image_size=sizes[sample_index]) if sizes else self._decode(outputs)
            decoded = monotonic_ns()
            if not at_work or at_work.pop() is not sample:
                raise TakenBack
            self._answers.put(sample_id, sample_index, detections)
            self._records.extend((sample_id, sample_index, issued, started, inferred, decoded, decoded))
            if not self.held:
                self._held_since_ns = decoded
            self.held += 1
            self.took_ns = took_ns = decoded - started
            if took_ns >= self._fast_ns or decoded - self._held_since_ns > HELD_NS or self.held == HELD_MOST:
                self.send()
        except TakenBack:
            raise
        except Exception as error:
            text = error.what if isinstance(error, HarnessError) else f"{type(error).__name__}: {error}"
            raise LaneFailed(self.slot, sample_index, text) from error
        cells[self._current] = 0

    @property
    def current(self) -> Sample | None:
        """The sample it is at."""
        at_work = self._at_work[:]
        return at_work[0] if at_work else None

    def send(self) -> None:
        """Hands over the held answers."""
        self._answers.send()
        self._tally.add(self._records, self.held, monotonic_ns())
        self.held = 0

    def take_back(self) -> Sample | None:
        """Takes the sample from a lane that failed or hangs, and hands over what it held.

        Whoever gets the sample, this or the lane itself, is the one that answers it.
        """
        try:
            sample = self._at_work.pop()
        except IndexError:
            return None
        self._cells[self._current] = 0
        if self.held:
            self.send()
        return sample

    def rehearse(self, tensor: Tensor, runs: int) -> float:
        """Inference and decoding, answered to nobody and recorded nowhere; gives the seconds of the fastest run.

        Raises:
            ValueError: an output with a NaN or an infinity.
        """
        fastest_ns = 0
        rehearsed = {"image_size": self._image_sizes[0]} if self._image_sizes else {}
        for _ in range(runs):
            started = monotonic_ns()
            outputs = self.session.run(tensor)
            self._decode(outputs, **rehearsed)
            elapsed_ns = monotonic_ns() - started
            fastest_ns = min(fastest_ns or elapsed_ns, elapsed_ns)
            if self._floats:
                check_all(outputs)
        self.took_ns = fastest_ns
        return fastest_ns / 1e9

    def records(self) -> npt.NDArray[np.int64]:
        """(samples, 7) int64 in the order of `COLUMNS`; not a copy, so for a lane that has ended its work."""
        return np.frombuffer(self._records, np.int64).reshape(-1, len(COLUMNS))

    def close(self) -> None:
        """Closes the session."""
        self.session.close()
