"""The ways in which a YOLO file may have been meant to be fed."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from harness.model.yolo.head import Head
from harness.model.yolo.letterbox import GREY
from harness.model.yolo.model import Yolo

WIDE = np.zeros((40, 80, 3), np.uint8)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_stretched_image_fills_the_square_and_a_letterboxed_one_does_not(dtype: str) -> None:
    model = Yolo(Head(split=True))
    readings = {reading.name: reading for reading in model.probe.inputs(dtype)}
    encoded = cv2.imencode(".png", WIDE)[1].tobytes()
    expected, stretched = readings["as-expected"], readings["stretched"]
    side = model.head.side
    assert expected.tensor(encoded).shape == stretched.tensor(encoded).shape == (3, side, side)
    assert expected.tensor(encoded).dtype == stretched.tensor(encoded).dtype == dtype
    assert expected.tensor(encoded).max() * (255 if dtype == "float32" else 1) == pytest.approx(GREY)
    assert stretched.tensor(encoded).max() == 0
    assert expected.keeps_aspect
    assert not stretched.keeps_aspect
    assert stretched.about == ("aspect",)
