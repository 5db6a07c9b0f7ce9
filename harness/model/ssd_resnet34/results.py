"""What a person gets for one detected object: the names and fields of furiosa-models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.records import Detections


@dataclass
class LtrbBoundingBox:
    """A box in pixels of the original image; not clipped to it."""

    left: float
    top: float
    right: float
    bottom: float

    def __iter__(self) -> Iterator[float]:
        return iter((self.left, self.top, self.right, self.bottom))


@dataclass
class ObjectDetectionResult:
    """One detected object.

    Attributes:
        boundingbox: in pixels of the original image.
        score: in (0, 1].
        label: its class name.
        index: of the class, 1..80.
    """

    boundingbox: LtrbBoundingBox
    score: float
    label: str
    index: int


def as_results(detections: Detections, width: int, height: int, classes: Sequence[str]) -> list[ObjectDetectionResult]:
    """Detections of one image, best first, with boxes scaled to its width and height in pixels."""
    scale = (width, height, width, height)
    return [
        ObjectDetectionResult(
            LtrbBoundingBox(*(side * by for side, by in zip(box, scale, strict=True))), score, classes[label], label
        )
        for box, score, label in zip(
            detections.boxes.tolist(), detections.scores.tolist(), detections.labels.tolist(), strict=True
        )
    ]
