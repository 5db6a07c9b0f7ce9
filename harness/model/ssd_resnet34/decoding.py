"""The parameters of a decode, which every decoder of SSD-ResNet34 takes and checks alike."""

from __future__ import annotations

import numpy as np

from harness.records import Decoding

DECODING = Decoding(score_threshold=0.05, iou_threshold=0.5, max_detections=200)
"""Of the MLPerf reference, with the corrected NMS."""

BEST_PER_CLASS = 200
"""Candidates per class that reach NMS: the ``max_num`` of the MLPerf reference's decoder."""


def check_parameters(score_threshold: float, iou_threshold: float, max_detections: int, nms: str) -> None:
    """Refuses parameters outside their range.

    Raises:
        ValueError: names the parameter and its range.
    """
    if not 0.0 < score_threshold < 1.0:
        raise ValueError(f"score_threshold: expected a number above 0 and below 1; got {score_threshold!r}")
    if not 0.0 <= iou_threshold <= 1.0:
        raise ValueError(f"iou_threshold: expected a number in [0, 1]; got {iou_threshold!r}")
    if not isinstance(max_detections, (int, np.integer)) or not 1 <= max_detections < 2**31:
        raise ValueError(f"max_detections: expected a whole number from 1; got {max_detections!r}")
    if nms not in ("corrected", "reference"):
        raise ValueError(f"nms: expected 'corrected' or 'reference'; got {nms!r}")
