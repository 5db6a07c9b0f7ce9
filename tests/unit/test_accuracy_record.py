"""What the LoadGen edge answers for a sample."""

from __future__ import annotations

import numpy as np
import pytest

from harness.accuracy_record import BYTES_PER_DETECTION, encode_detections
from harness.records import Detections


def detections(*found: tuple[float, ...]) -> Detections:
    table = np.array(found, dtype=np.float32).reshape(-1, 6)
    return Detections(boxes=table[:, :4], scores=table[:, 4], labels=table[:, 5].astype(np.int32))


def test_a_detection_is_its_sample_index_then_ymin_xmin_ymax_xmax_score_and_label() -> None:
    rows = encode_detections(3050, detections((0.125, 0.25, 0.5, 0.75, 0.875, 80), (-0.5, 0, 1.5, 1, 0.0625, 1)))
    assert rows.tolist() == [[3050, 0.25, 0.125, 0.75, 0.5, 0.875, 80], [3050, 0, -0.5, 1, 1.5, 0.0625, 1]]


def test_the_bytes_can_be_handed_to_loadgen_as_they_are() -> None:
    rows = encode_detections(1, detections((0, 0, 1, 1, 1, 1), (0, 0, 1, 1, 0.5, 2)))
    assert rows.dtype == np.float32
    assert rows.flags.c_contiguous
    assert rows.nbytes == 2 * BYTES_PER_DETECTION == 56


def test_an_image_without_detections_is_no_bytes() -> None:
    assert encode_detections(7, detections()).nbytes == 0


@pytest.mark.parametrize("index", [-1, 2**24 + 1])
def test_an_index_that_float32_would_round_to_another_image_is_refused(index: int) -> None:
    with pytest.raises(ValueError, match="float32"):
        encode_detections(index, detections())
