"""Made-up raw outputs, the same for the same seed: for simulated devices, tests and measurements."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from harness.model.yolo.head import CLASSES, STRIDES, Head
from harness.records import QuantizedTensor, RawOutput

Scene = Literal["background", "typical", "crowded"]

CANDIDATES: dict[Scene, int] = {"background": 0, "typical": 300, "crowded": 3000}
"""Places whose score is above the thresholds of the family."""

_HIGHEST_BACKGROUND = 0.0005


def example_outputs(head: Head, seed: int, *, quantized: bool, scene: Scene = "typical") -> list[RawOutput]:
    """The raw outputs of an image with objects of 1/16 to 1/2 of its side, each seen by some ten places.

    Args:
        head: whose outputs.
        seed: any whole number from 0.
        quantized: int8 rather than float32, each output with its own scale and zero point.
        scene: how many candidates there are.
    """
    rng = np.random.default_rng([seed, head.places])
    count = CANDIDATES[scene]
    scores = rng.uniform(0, _HIGHEST_BACKGROUND, (CLASSES, head.places))
    objectness = rng.uniform(0, _HIGHEST_BACKGROUND, (1, head.places))
    centres, strides = _cells(head)
    boxes = np.concatenate([centres, np.tile(4.0 * strides, (2, 1))])
    places = rng.choice(head.places, min(count, head.places), replace=False)
    objects = max(1, count // 10)
    which = np.arange(len(places)) % objects
    sizes = head.side * rng.uniform(1 / 16, 1 / 2, (2, objects))
    middles = head.side * rng.uniform(0.1, 0.9, (2, objects))
    boxes[:2, places] = middles[:, which] + rng.normal(0, 2, (2, len(places)))
    boxes[2:, places] = sizes[:, which] * rng.uniform(0.95, 1.05, (2, len(places)))
    scores[rng.integers(0, CLASSES, objects)[which], places] = rng.uniform(0.05, 0.95, len(places))
    objectness[0, places] = rng.uniform(0.5, 1, len(places))
    if head.has_objectness:
        boxes[:2] = boxes[:2] / strides - (centres / strides - 0.5)
        boxes[2:] = np.log(boxes[2:] / strides)
    return _as_outputs(head, boxes, objectness, scores, quantized=quantized)


def quantize(output: npt.NDArray[np.float32]) -> QuantizedTensor:
    """An int8 output of its whole range, whose real 0 is exact."""
    low, high = min(0.0, float(output.min())), max(0.0, float(output.max()))
    scale = (high - low) / 255 or 1.0
    zero_point = int(np.clip(np.round(-128 - low / scale), -128, 127))
    return QuantizedTensor(np.clip(np.round(output / scale) + zero_point, -128, 127).astype(np.int8), scale, zero_point)


def _cells(head: Head) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(2, N) centre of each place's cell in pixels, and (N,) its stride."""
    centres, strides = [], []
    for cells, stride in zip(head.cells, STRIDES, strict=True):
        rows, columns = np.divmod(np.arange(cells**2), cells)
        centres.append((np.stack([columns, rows]) + 0.5) * stride)
        strides.append(np.full(cells**2, float(stride)))
    return np.concatenate(centres, axis=1), np.concatenate(strides)


def _as_outputs(
    head: Head,
    boxes: npt.NDArray[np.float64],
    objectness: npt.NDArray[np.float64],
    scores: npt.NDArray[np.float64],
    *,
    quantized: bool,
) -> list[RawOutput]:
    parts: list[npt.NDArray[Any]] = [boxes, objectness, scores] if head.has_objectness else [boxes, scores]
    if not head.split:
        whole = np.concatenate(parts)
        parts = [whole.T if head.has_objectness else whole]
    outputs = [np.ascontiguousarray(part[np.newaxis], np.float32) for part in parts]
    return [quantize(output) for output in outputs] if quantized else [*outputs]
