"""The two ways from raw outputs to answers: a native pool beside the sessions, and Python where the inference was."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from time import monotonic_ns
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.accuracy_record import FIELDS, encode_into
from harness.cpu_quota import usable_cores
from harness.pipeline.counters import COLUMNS, LAYOUT, tally
from harness.pipeline.finite import check_all, check_first
from harness.pipeline.mailbox import new_mailbox
from harness.pipeline.postprocess import (
    BATCH_NS,
    REHEARSAL,
    Answer,
    DecodeSetup,
    Failure,
    Postprocess,
)
from harness.pipeline.pulse import Pulse
from harness.records import Detections, RawOutputs

LEAST_POSTED = 16
NOTHING = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32))


def new_postprocess(
    setup: DecodeSetup, pulse: Pulse, sessions: int, *, inline: bool, batches: bool, every_value: bool
) -> Postprocess:
    """The native one, where there are the extension and a native decoder, or nothing to decode; else Python's.

    Args:
        sessions: how many there are.
        inline: `finish` is used, rather than `post` and `collect`.
        batches: nobody waits for a single answer, as in Offline.
        every_value: look for NaN and infinity in every value of float outputs, at about 1 ms a sample; else in the
            first value of each output.
    """
    if setup.decode is None or setup.image_decoder is not None:
        try:
            return NativePostprocess(setup, pulse, sessions, inline=inline, batches=batches, every_value=every_value)
        except ImportError:
            pass
    return PythonPostprocess(setup, pulse, sessions, batches=batches, every_value=every_value)


class NativePostprocess:
    """Native code decodes, writes and keeps, in a pool or where the inference was; see ``harness/native/pipeline``.

    Raises:
        ImportError: the extension was not built.
    """

    beside = True

    def __init__(
        self, setup: DecodeSetup, pulse: Pulse, sessions: int, *, inline: bool, batches: bool, every_value: bool
    ) -> None:
        from harness.native import _pipeline

        same = (_pipeline.COLUMNS, getattr(_pipeline, "FIELDS", None)) == (COLUMNS, FIELDS)
        if not same or not hasattr(_pipeline, "Decoded"):
            raise ImportError("the extension is of another version")
        cores = usable_cores()
        threads = 0 if inline or setup.image_decoder is None else min(cores, 2 * sessions)
        self.most_pending = max(LEAST_POSTED, sessions + 2 * threads)
        self.mailbox = _pipeline.Mailbox()
        self._native = _pipeline.Postprocess(
            decoder=setup.image_decoder,
            explain=lambda outputs, sample_index: _decode(setup, outputs, sample_index),
            mailbox=self.mailbox,
            cells=pulse.cells(),
            rows=[pulse.row(session) for session in range(sessions)],
            layout=LAYOUT,
            from_start=batches,
            threads=threads,
            score_threshold=setup.parameters.score_threshold,
            iou_threshold=setup.parameters.iou_threshold,
            max_detections=setup.parameters.max_detections,
            reference_nms=setup.parameters.nms == "reference",
            image_sizes=setup.image_sizes,
            label_ids=[0, *setup.label_ids] if setup.label_ids else [],
            every_value=every_value,
            ring_after_s=BATCH_NS / 1e9 if batches else 0.0,
            ring_at=self.most_pending // 2 if batches else 1,
        )
        self.decoded = _pipeline.Decoded
        self.prepare = self._native.prepare
        self.post = self._native.post
        self.finish = self._native.finish
        self.answered = self._native.answered
        self.records = self._native.records
        self.close = self._native.close

    @property
    def pending(self) -> int:
        """How many are posted and not collected."""
        return self._native.pending

    def collect(self) -> tuple[Sequence[Answer], Sequence[Failure]]:
        """Takes what the pool has done."""
        answers, failures = self._native.collect()
        return answers, [
            Failure(session, sample_id, index, issued, f"output {k} has NaN or infinity in it")
            for session, sample_id, index, issued, k in failures
        ]


def _decode(setup: DecodeSetup, outputs: RawOutputs, sample_index: int) -> Detections:
    if setup.decode is None:
        return NOTHING
    if setup.image_sizes:
        return setup.decode(outputs, image_size=setup.image_sizes[sample_index])
    return setup.decode(outputs)


class PythonDecoded(NamedTuple):
    """The detections of an image, and when they were made."""

    outputs: RawOutputs
    detections: Detections
    decoding_ns: int
    decoded_ns: int


class PythonPostprocess:
    """Decoders that are Python: each sample is decoded where its inference was, on its session's thread."""

    beside = False
    decoded = PythonDecoded

    def __init__(self, setup: DecodeSetup, pulse: Pulse, sessions: int, *, batches: bool, every_value: bool) -> None:
        self.mailbox = new_mailbox()
        self.most_pending = max(LEAST_POSTED, sessions)
        self._setup = setup
        self._check = check_all if every_value else check_first
        self._max_detections = setup.parameters.max_detections
        # label 0 is background and never an answer
        self._label_ids = None if setup.label_ids is None else np.array([0, *setup.label_ids], "<f4")
        self._spare: list[tuple[npt.NDArray[np.float32], int]] = []
        self._done: list[tuple[int, tuple[int, ...], npt.NDArray[np.float32], int, int]] = []
        self._collected = self._done
        self._records = [array("q") for _ in range(sessions)]
        self._tallies = [tally(pulse.cells(), pulse.row(session), from_start=batches) for session in range(sessions)]

    @property
    def pending(self) -> int:
        """How many are decoded and not collected."""
        return len(self._done)

    def prepare(self, outputs: RawOutputs, sample_index: int) -> PythonDecoded:
        """Decodes the outputs on the calling thread."""
        self._check(outputs)
        decoding_ns = monotonic_ns()
        detections = _decode(self._setup, outputs, sample_index)
        return PythonDecoded(outputs, detections, decoding_ns, monotonic_ns())

    def post(self, *sample: Any) -> None:
        """Writes the accuracy record, and decodes where that was not done yet."""
        session, sample_id, index, issued, started, inferred, outputs = sample
        done = outputs if isinstance(outputs, PythonDecoded) else self.prepare(outputs, index)
        if session == REHEARSAL:
            return
        rows, address = self._spare.pop() if self._spare else self._new_rows()
        size = encode_into(rows, index, done.detections)
        if self._label_ids is not None and size:
            rows[: len(done.detections), FIELDS - 1] = self._label_ids[done.detections.labels]
        record = (sample_id, index, issued, started, inferred, done.decoding_ns, done.decoded_ns, 0)
        self._done.append((session, record, rows, address, size))

    def finish(self, *sample: Any) -> Answer:
        """Decodes and writes."""
        self.post(*sample)
        answers, _ = self.collect()
        return answers[0] if answers else (REHEARSAL, 0, 0)

    def _new_rows(self) -> tuple[npt.NDArray[np.float32], int]:
        rows = np.zeros((self._max_detections, FIELDS), "<f4")
        return rows, rows.ctypes.data  # asking for the address takes longer than filling it

    def collect(self) -> tuple[Sequence[Answer], Sequence[Failure]]:
        """Takes what is written."""
        self._collected, self._done = self._done, []
        return [(record[0], address, size) for _, record, _, address, size in self._collected], ()

    def answered(self) -> None:
        """Records and counts the samples."""
        now = monotonic_ns()
        for session, record, rows, address, _ in self._collected:
            self._records[session].extend(record)
            self._tallies[session].add(self._records[session], 1, now)
            self._spare.append((rows, address))
        self._collected = []

    def records(self, session: int) -> npt.NDArray[np.int64]:
        """Gives the samples of a session."""
        return np.frombuffer(self._records[session], np.int64).reshape(-1, len(COLUMNS))

    def close(self) -> None:
        """Does nothing: there are no threads."""
