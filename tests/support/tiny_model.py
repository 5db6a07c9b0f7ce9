"""A detection model small enough for tests of everything that is not the model: one 4×4 map, one box an image.

The box is the input's first bytes: so what a test put in can be found again in LoadGen's accuracy log.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from harness.errors import ModelError
from harness.records import Decoding, Detections, TensorSpec

SIZE = 8


class TinyDecoder:
    def decode(self, outputs: Sequence[Any], **_: Any) -> Detections:
        scores = np.asarray(outputs[0], np.float32).reshape(-1)[:1]
        return Detections(np.array([[0.25, 0.25, 0.75, 0.75]], np.float32), scores, np.array([1], np.int32))


class TinyModel:
    name = "tests.support.tiny_model:MODEL"
    title = "Tiny"
    benchmarks = ("ssd-resnet34",)
    round = "v2.0"
    closed_division = "a model of tests"
    input = TensorSpec("image", (1, 3, SIZE, SIZE), "uint8")
    outputs = (TensorSpec("score", (1, 1, 4, 4), "float32"),)
    labels = ("background", "thing")
    decoding = Decoding(0.05, 0.5, 200)
    needs_image_size = False
    preprocess_key = "tiny"

    def tensor(self, encoded: bytes, dtype: str) -> Any:
        image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            raise ValueError("not an image")
        return np.ascontiguousarray(cv2.resize(image, (SIZE, SIZE)).transpose(2, 0, 1)).astype(dtype)

    def for_file(self, file: Path) -> TinyModel:
        return self

    def decoder(self, kind: str) -> TinyDecoder:
        return TinyDecoder()

    def example_outputs(self, seed: int, *, quantized: bool, tiled: bool = False) -> list[Any]:
        return [np.full((1, 1, 4, 4), 0.5, np.float32)]

    def default_file(self, precision: str, report: Callable[[str], None]) -> Path:
        raise ModelError("the tiny model has no file")


MODEL = TinyModel()
