"""The postprocessor of the family in NumPy. It says what is right; `NativeDecoder` says the same, fast.

The best class of a place counts; its score (times the objectness, where there is one) is above the threshold, and so
is each factor. NMS goes class by class over boxes in pixels of the input. Scores are float32; boxes are computed in
float64 and rounded to float32 before they are compared, and again when they have become parts of the image.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from harness.model.numpy_nms import suppress
from harness.model.protocol import ImageSize
from harness.model.yolo.decoding import chosen
from harness.model.yolo.head import DECODINGS, STRIDES, Head
from harness.model.yolo.letterbox import placement
from harness.model.yolo.raw_outputs import Floats, Parts, parts_of
from harness.records import Detections, Nms, RawOutputs


class NumpyDecoder:
    """Decodes the raw outputs of one head. Implements `harness.model.protocol.Decoder`."""

    def __init__(self, head: Head) -> None:
        self.head = head
        self.decoding = DECODINGS[head.family]

    def decode(
        self,
        outputs: RawOutputs,
        *,
        image_size: ImageSize | None = None,
        score_threshold: float | None = None,
        iou_threshold: float | None = None,
        max_detections: int | None = None,
        nms: Nms = "corrected",
    ) -> Detections:
        """Detections of one image, best first; equal scores by place, then by label.

        Args:
            outputs: those of `Head.outputs`, each a float32 array or a `QuantizedTensor`.
            image_size: width and height of the original image; none: boxes are normalised to the input itself.
            score_threshold: in (0, 1), compared as float32; a detection's score is above it.
            iou_threshold: in [0, 1], compared as float32; of boxes of one class that overlap more, the best one stays.
            max_detections: over all classes together.
            nms: of no consequence: the references of the family have the corrected one.

        Raises:
            ValueError: an output or a parameter that is not acceptable; the message names it.
        """
        score_above, iou_most, most, width, height = chosen(
            self.decoding, image_size, score_threshold, iou_threshold, max_detections
        )
        parts = parts_of(outputs, self.head)
        labels, scores = best_classes(parts, np.float32(score_above))
        boxes = corners(parts.boxes, self.head)
        places = np.flatnonzero((scores > 0) & np.isfinite(boxes).all(axis=1))
        kept = []
        for label in np.unique(labels[places]):
            of_class = places[labels[places] == label]
            of_class = of_class[np.argsort(-scores[of_class], kind="stable")]
            kept.append(of_class[suppress(boxes[of_class], np.float32(iou_most), "corrected")])
        found = np.concatenate([*kept, np.empty(0, np.intp)]).astype(np.intp)
        found = found[np.lexsort((labels[found], found, -scores[found]))[:most]]
        parts_of_image = in_image(boxes[found], self.head, width, height)
        return Detections(parts_of_image, scores[found], labels[found].astype(np.int32) + 1)


def best_classes(parts: Parts, threshold: np.float32) -> tuple[npt.NDArray[np.intp], Floats]:
    """Of each place its best class, the first of several, and the score; 0 where that is not above the threshold.

    NaN counts as −inf.
    """
    class_scores = np.where(np.isnan(parts.scores), np.float32(-np.inf), parts.scores)
    labels = class_scores.argmax(axis=0)
    scores = class_scores.max(axis=0)
    above = scores > threshold
    if parts.objectness is not None:
        with np.errstate(invalid="ignore", over="ignore"):
            above &= parts.objectness > threshold
            scores = scores * parts.objectness
            above &= scores > threshold
    return labels, np.where(above, scores, np.float32(0))


def corners(boxes: Floats, head: Head) -> Floats:
    """(N, 4) left, top, right, bottom in pixels of the input, of (4, N) boxes as the head writes them.

    YOLOX: centre = (t + cell) · stride and size = exp(t) · stride, as in ``decode_outputs`` of its repository.
    """
    centres, sizes = boxes[:2].astype(np.float64), boxes[2:].astype(np.float64)
    with np.errstate(all="ignore"):
        if head.has_objectness:
            grid, strides = _cells(head)
            centres = (centres + grid) * strides
            sizes = np.exp(sizes) * strides
        return np.concatenate([centres - 0.5 * sizes, centres + 0.5 * sizes]).T.astype(np.float32)


def in_image(boxes: Floats, head: Head, width: int, height: int) -> Floats:
    """Boxes in pixels of the input → normalised to an image of that size; YOLO11's are clipped, as in its reference."""
    width, height = width or head.side, height or head.side
    gain, left, top, _, _ = placement(head.family, head.side, width, height)
    shift = np.array([left, top, left, top], np.float64)
    scale = np.array([gain * width, gain * height] * 2)
    found = ((boxes.astype(np.float64) - shift) / scale).astype(np.float32)
    return np.asarray(found.clip(0, 1)) if head.family == "yolo11" else found


def _cells(head: Head) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(2, N) column and row of each place's cell, and (N,) its stride."""
    grids, strides = [], []
    for cells, stride in zip(head.cells, STRIDES, strict=True):
        rows, columns = np.divmod(np.arange(cells**2), cells)
        grids.append(np.stack([columns, rows]))
        strides.append(np.full(cells**2, stride))
    return np.concatenate(grids, axis=1).astype(np.float64), np.concatenate(strides).astype(np.float64)
