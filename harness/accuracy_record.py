"""One detection as an MLPerf COCO accuracy log holds it; the LoadGen edge writes it, accuracy/ reads it.

Seven little-endian float32: qsl_idx, ymin, xmin, ymax, xmax, score, class. Boxes are normalised to the image. An
image's record is the concatenation of its detections, and empty if there are none (MLPerf Inference,
vision/classification_and_detection, ``PostProcessCoco``; the published SSD logs have this form).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from harness.records import Detections

FIELDS = 7
BYTES_PER_DETECTION = 4 * FIELDS
MAX_SAMPLE_INDEX = 2**24
"""float32 holds every whole number up to this one; a larger index would be rounded to another image's."""


def encode_detections(sample_index: int, detections: Detections) -> npt.NDArray[np.float32]:
    """The response of one sample.

    Args:
        sample_index: LoadGen's index of the image, 0..2²⁴.
        detections: of that image.

    Returns:
        (K, 7) float32, C-contiguous; ``nbytes`` is 0 when there are no detections.

    Raises:
        ValueError: the index cannot be written as a float32.
    """
    if not 0 <= sample_index <= MAX_SAMPLE_INDEX:
        raise ValueError(f"sample index {sample_index} is outside 0..{MAX_SAMPLE_INDEX}, float32 cannot hold it")
    boxes = detections.boxes
    rows = np.empty((len(boxes), FIELDS), dtype="<f4")
    rows[:, 0] = sample_index
    rows[:, 1:5:2] = boxes[:, 1::2]  # ymin, ymax
    rows[:, 2:5:2] = boxes[:, ::2]  # xmin, xmax
    rows[:, 5] = detections.scores
    rows[:, 6] = detections.labels
    return rows
