"""Answers to LoadGen: detections encoded into buffers that are made once, and handed over several at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.accuracy_record import FIELDS, encode_into
from harness.pipeline.lane import HELD_MOST
from harness.records import Detections


class LoadGenAnswers:
    """One lane's way to LoadGen. Implements `harness.pipeline.lane.Answers`.

    Args:
        loadgen: the module ``mlperf_loadgen``.
        max_detections: of one image.
        most: answers held at once.
        label_ids: what is written for the labels 1, 2, …; None: the label itself.
    """

    def __init__(
        self, loadgen: Any, max_detections: int, most: int = HELD_MOST, label_ids: Sequence[int] | None = None
    ) -> None:
        self._respond, self._response = loadgen.QuerySamplesComplete, loadgen.QuerySampleResponse
        # one array: the system gives it memory as far as it is used
        self._buffers = list(np.zeros((most, max_detections, FIELDS), "<f4"))
        # asking an array for its address takes longer than filling it
        self._addresses = [buffer.ctypes.data for buffer in self._buffers]
        self._held: list[Any] = []
        # label 0 is background and never an answer
        self._label_ids = None if label_ids is None else np.array([0, *label_ids], "<f4")

    def put(self, sample_id: int, sample_index: int, detections: Detections) -> None:
        """Encodes a sample's detections into the next buffer and holds the response."""
        held = self._held
        at = len(held)
        size = encode_into(self._buffers[at], sample_index, detections)
        if self._label_ids is not None and size:
            self._buffers[at][: len(detections), 6] = self._label_ids[detections.labels]
        held.append(self._response(sample_id, self._addresses[at], size))

    def send(self) -> None:
        """Gives LoadGen the responses that are held."""
        # LoadGen copies inside the call, so the buffers are free after it.
        self._respond(self._held)
        self._held.clear()
