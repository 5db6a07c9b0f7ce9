"""The mistakes that exports and backends of the family make, each as another way to feed the model."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from harness.model.image_file import decode_image
from harness.model.probing import Floats, InputReading, OutputReading, OutputTraces
from harness.model.yolo.head import Family, Head
from harness.model.yolo.letterbox import letterbox, preprocess
from harness.model.yolo.numpy_decoder import best_classes, corners
from harness.model.yolo.raw_outputs import parts_of

_SUREST = 60
_SURE = 0.5


class YoloProbe:
    """Implements `harness.model.probing.Probe`."""

    def __init__(self, head: Head) -> None:
        self.head = head

    def inputs(self, dtype: str) -> list[InputReading]:
        """See `Probe.inputs`: pixels 0..1 or 0..255, RGB or BGR, the aspect kept (letterboxed) or not (stretched)."""
        rgb = self.head.family == "yolo11"
        expected, other = ("RGB", "BGR") if rgb else ("BGR", "RGB")
        colours = f"the model takes {other}, and is fed {expected}"
        advice = "exchange the first convolution's input channels 0 and 2"
        readings = [
            InputReading("as-expected", (), "", "", self._tensor(dtype, 1, swapped=False)),
            InputReading(other.lower(), ("colour order",), colours, advice, self._tensor(dtype, 1, swapped=True)),
        ]
        readings.append(
            InputReading(
                "stretched",
                ("aspect",),
                "the model takes images stretched to its square, and is fed letterboxed ones",
                "resize to the square without keeping the aspect, and leave the padding out when boxes are mapped back",
                functools.partial(_stretched, head=self.head, dtype=dtype),
                keeps_aspect=False,
            )
        )
        if dtype == "float32":
            factor, name = (255.0, "raw") if rgb else (1 / 255, "0-to-1")
            takes, fed = ("0..255", "0..1") if rgb else ("0..1", "0..255")
            problem = f"the model takes pixels {takes}, and is fed {fed}"
            remedy = "fold the factor of 255 into the first convolution"
            readings.append(
                InputReading(name, ("normalisation",), problem, remedy, self._tensor(dtype, factor, swapped=False))
            )
        return readings

    def outputs(self) -> list[list[OutputReading]]:
        """See `Probe.outputs`: the file's shapes decide how it is read."""
        return []

    def traces(self, outputs: Sequence[Floats]) -> OutputTraces:
        """See `Probe.traces`. There are no prior boxes, and no softmax."""
        parts = parts_of(list(outputs), self.head)
        _, scores = best_classes(parts, np.float32(1e-6))
        surest = np.argsort(-scores)[:_SUREST]
        boxes = corners(parts.boxes, self.head)[surest].astype(np.float64) / self.head.side
        return OutputTraces(
            background=float((scores < _SURE).mean()),
            entropy=None,
            confident=float((scores >= _SURE).sum()),
            size_ratio=None,
            agreement=_agreement(boxes),
            inside=float(np.mean((boxes > -0.1).all(axis=1) & (boxes < 1.1).all(axis=1))),
        )

    def _tensor(self, dtype: str, factor: float, *, swapped: bool) -> functools.partial[npt.NDArray[np.float32]]:
        return functools.partial(_tensor, head=self.head, dtype=dtype, factor=factor, swapped=swapped)


def stretched(encoded: bytes, family: Family, side: int) -> npt.NDArray[np.uint8]:
    """(side, side, 3) pixels whose aspect ratio is not kept, as another detector's preprocessing gives them."""
    image = decode_image(encoded, "RGB" if family == "yolo11" else "BGR")
    return letterbox(np.asarray(cv2.resize(image, (side, side)), np.uint8), family, side)


def _stretched(encoded: bytes, *, head: Head, dtype: str) -> npt.NDArray[np.uint8] | npt.NDArray[np.float32]:
    pixels = np.ascontiguousarray(stretched(encoded, head.family, head.side).transpose(2, 0, 1))
    if dtype == "uint8":
        return pixels
    return pixels.astype(np.float32) / np.float32(255 if head.family == "yolo11" else 1)


def _tensor(encoded: bytes, *, head: Head, dtype: str, factor: float, swapped: bool) -> npt.NDArray[np.float32]:
    tensor = preprocess(encoded, head, dtype)
    changed = tensor[::-1] if swapped else tensor
    return np.ascontiguousarray(changed if factor == 1 else changed * np.float32(factor), dtype)


def _agreement(boxes: npt.NDArray[np.float64]) -> float:
    """Mean over the boxes of the best IoU with another one: neighbouring places see the same object."""
    with np.errstate(all="ignore"):
        size = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:]) - np.maximum(boxes[:, None, :2], boxes[None, :, :2])
        overlap = size.clip(0).prod(axis=2)
        area = (boxes[:, 2:] - boxes[:, :2]).clip(0).prod(axis=1)
        iou = overlap / (area[:, None] + area - overlap)
    iou[np.eye(len(boxes), dtype=np.bool_) | ~np.isfinite(iou)] = 0
    return float(iou.max(axis=1).mean()) if len(boxes) else 0.0
