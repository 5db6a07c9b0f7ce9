"""The parameters of a decode, which both decoders take and check alike."""

from __future__ import annotations

import numpy as np

from harness.model.protocol import ImageSize
from harness.records import Decoding


def chosen(
    default: Decoding,
    image_size: ImageSize | None,
    score_threshold: float | None,
    iou_threshold: float | None,
    max_detections: int | None,
) -> tuple[float, float, int, int, int]:
    """Score threshold, IoU threshold, most detections, width and height; 0 by 0 where the size is not known.

    Raises:
        ValueError: names the parameter and its range.
    """
    score = default.score_threshold if score_threshold is None else score_threshold
    iou = default.iou_threshold if iou_threshold is None else iou_threshold
    most = default.max_detections if max_detections is None else max_detections
    if not 0.0 < score < 1.0:
        raise ValueError(f"score_threshold: expected a number above 0 and below 1; got {score!r}")
    if not 0.0 <= iou <= 1.0:
        raise ValueError(f"iou_threshold: expected a number in [0, 1]; got {iou!r}")
    if not isinstance(most, (int, np.integer)) or not 1 <= most < 2**31:
        raise ValueError(f"max_detections: expected a whole number from 1; got {most!r}")
    width, height = image_size or (0, 0)
    if image_size is not None and not (0 < width < 2**31 and 0 < height < 2**31):
        raise ValueError(f"image_size: expected a width and a height in pixels; got {image_size!r}")
    return float(score), float(iou), int(most), int(width), int(height)
