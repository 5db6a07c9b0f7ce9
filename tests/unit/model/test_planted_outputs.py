"""Outputs with planted objects are the decoder's inverse."""

from __future__ import annotations

import numpy as np
import pytest

from harness.model import NativeDecoder, NumpyDecoder
from harness.model.protocol import Decoder
from harness.model.registry import load_model
from harness.model.ssd_resnet34.heads import OUTPUTS
from harness.records import Detections

MODEL = load_model("ssd_resnet34")
DECODERS: dict[str, Decoder] = {"native": NativeDecoder(), "numpy": NumpyDecoder()}
OBJECTS = Detections(
    np.array(
        [[0.1, 0.1, 0.35, 0.4], [0.5, 0.5, 0.9, 0.95], [0.7, 0.1, 0.73, 0.15], [0.02, 0.6, 0.98, 0.8]], np.float32
    ),
    np.array([0.95, 0.8, 0.6, 0.55], np.float32),
    np.array([1, 80, 17, 44], np.int32),
)
NOTHING = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32))


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize(
    ("kind", "box_error", "score_error"),
    # an int8 step of a logit is 0.15, so its half moves a score of 0.5 by 0.019
    [
        ({"quantized": False}, 1e-6, 1e-6),
        ({"quantized": True}, 0.01, 0.02),
        ({"quantized": True, "tiled": True}, 0.01, 0.02),
    ],
    ids=["float32", "int8", "tiled"],
)
def test_decoding_gives_the_objects_back(
    decoder: str, kind: dict[str, bool], box_error: float, score_error: float
) -> None:
    found = DECODERS[decoder].decode(MODEL.example_outputs(0, objects=OBJECTS, **kind))
    assert found.labels.tolist() == OBJECTS.labels.tolist()
    np.testing.assert_allclose(found.boxes, OBJECTS.boxes, atol=box_error)
    np.testing.assert_allclose(found.scores, OBJECTS.scores, atol=score_error)


def test_an_image_without_objects_decodes_to_nothing() -> None:
    for quantized in (False, True):
        assert len(DECODERS["native"].decode(MODEL.example_outputs(0, quantized=quantized, objects=NOTHING))) == 0


def test_outputs_are_the_callers_own() -> None:
    first = MODEL.example_outputs(0, quantized=False, objects=OBJECTS)
    np.asarray(first[0])[:] = 0
    assert [output.shape for output in first] == [spec.shape for spec in OUTPUTS]
    assert len(DECODERS["native"].decode(MODEL.example_outputs(0, quantized=False, objects=NOTHING))) == 0


def test_every_object_of_a_crowd_gets_a_prior_box_of_its_own() -> None:
    # far apart, so that NMS leaves them: 100 squares of 2 %
    corners = np.stack(np.meshgrid(np.arange(10) / 10, np.arange(10) / 10), -1).reshape(-1, 2)
    boxes = np.concatenate([corners, corners + 0.02], axis=1).astype(np.float32)
    crowd = Detections(boxes, np.linspace(0.99, 0.5, 100, dtype=np.float32), np.full(100, 3, np.int32))
    found = DECODERS["native"].decode(MODEL.example_outputs(0, quantized=True, objects=crowd))
    assert len(found) == 100
