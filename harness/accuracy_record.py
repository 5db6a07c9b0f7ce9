"""One detection as an MLPerf COCO accuracy log holds it: the writer for Python decoders, and the form for all readers.

Native decoders have the same bytes written by ``write_answer`` in ``native/pipeline/decode_pool.cpp``.

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
    rows = np.empty((len(detections), FIELDS), dtype="<f4")
    encode_into(rows, sample_index, detections)
    return rows


def encode_into(rows: npt.NDArray[np.float32], sample_index: int, detections: Detections) -> int:
    """`encode_detections` into the first rows of a C-contiguous (at least K, 7) float32 buffer; gives the bytes used.

    Raises:
        ValueError: the index cannot be written as a float32, or the buffer is too small.
    """
    if not 0 <= sample_index <= MAX_SAMPLE_INDEX:
        raise ValueError(f"sample index {sample_index} is outside 0..{MAX_SAMPLE_INDEX}, float32 cannot hold it")
    count = len(detections.scores)
    if not count:
        return 0
    boxes = detections.boxes
    used = rows[:count]
    used[:, 0] = sample_index
    used[:, 1:5:2] = boxes[:, 1::2]  # ymin, ymax
    used[:, 2:5:2] = boxes[:, ::2]  # xmin, xmax
    used[:, 5] = detections.scores
    used[:, 6] = detections.labels
    return count * BYTES_PER_DETECTION
