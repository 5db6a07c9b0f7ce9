"""The postprocessor of SSD-ResNet34 in NumPy. It says what is right; `NativeDecoder` says the same, fast.

What is computed in which precision is part of the definition, so that every decoder finds the same candidates in the
same order: see docs/explanation/postprocessor.md.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from harness.model.numpy_nms import suppress
from harness.model.protocol import ImageSize
from harness.model.ssd_resnet34.decoding import BEST_PER_CLASS, DECODING, check_parameters
from harness.model.ssd_resnet34.heads import NUM_CLASSES, OUTPUTS
from harness.model.ssd_resnet34.priors import prior_boxes
from harness.model.ssd_resnet34.raw_outputs import as_float32, check_raw_outputs
from harness.records import Detections, Nms, RawOutputs

Floats = npt.NDArray[np.float32]


class NumpyDecoder:
    """Decodes the twelve raw outputs of SSD-ResNet34. Implements `harness.model.protocol.Decoder`."""

    def decode(
        self,
        outputs: RawOutputs,
        *,
        image_size: ImageSize | None = None,
        score_threshold: float = DECODING.score_threshold,
        iou_threshold: float = DECODING.iou_threshold,
        max_detections: int = DECODING.max_detections,
        nms: Nms = DECODING.nms,
    ) -> Detections:
        """Detections of one image, best first; equal scores by anchor index, then by label.

        Args:
            outputs: the twelve of `heads.OUTPUTS`, each a float32 array or a `QuantizedTensor`.
            image_size: of no consequence: boxes are normalised, and the aspect ratio is not kept.
            score_threshold: in (0, 1), compared as float32; a detection's score is above it.
            iou_threshold: in [0, 1], compared as float32.
            max_detections: over all classes together; 200 a class reach NMS whatever it is.
            nms: "corrected" clamps the overlap at 0, adds 1e-5 to the union and keeps IoU ≤ the threshold, as
                FuriosaAI's published native postprocessor does; "reference" does none of that and keeps IoU < the
                threshold, as the MLPerf reference does.

        Raises:
            ValueError: an output or a parameter that is not acceptable; the message names it.
        """
        check_parameters(score_threshold, iou_threshold, max_detections, nms)
        check_raw_outputs(outputs)
        tensors = [as_float32(output, spec) for output, spec in zip(outputs, OUTPUTS, strict=True)]
        half = len(tensors) // 2
        scores = np.concatenate([softmax(t.reshape(NUM_CLASSES, -1)) for t in tensors[:half]], axis=1)
        boxes = corners(np.concatenate([t.reshape(4, -1) for t in tensors[half:]], axis=1))
        candidates = scores > np.float32(score_threshold)
        candidates[0] = False
        candidates &= np.isfinite(boxes).all(axis=1)

        anchors, labels = [], []
        for label in np.flatnonzero(candidates.any(axis=1)):
            of_class = np.flatnonzero(candidates[label])
            best = of_class[np.argsort(-scores[label, of_class], kind="stable")[:BEST_PER_CLASS]]
            kept = best[suppress(boxes[best], np.float32(iou_threshold), nms)]
            anchors.append(kept)
            labels.append(np.full(len(kept), label))
        return _best_first(boxes, scores, anchors, labels, max_detections)


def softmax(logits: Floats) -> Floats:
    """Softmax over axis 0 of (81, N), in float64, rounded to float32.

    NaN counts as −inf. Classes at +inf share the probability evenly; an anchor whose classes are all −inf has none.
    """
    values = np.where(np.isnan(logits), -np.inf, logits.astype(np.float64))
    top = values.max(axis=0)
    with np.errstate(invalid="ignore"):  # inf − inf
        terms = np.exp(np.where(values == top, 0.0, values - top))
    terms[:, top == -np.inf] = 0.0
    total = terms.sum(axis=0)
    return np.asarray(terms / np.where(total == 0.0, 1.0, total), np.float32)


def corners(deltas: Floats) -> Floats:
    """(15130, 4) left, top, right, bottom from (4, 15130) box outputs, in float64, rounded to float32.

    centre = prior centre + 0.1 · t · prior size and size = prior size · exp(0.2 · t), as in the MLPerf reference. A box
    that is not finite comes out as it is; its anchor is no candidate.
    """
    priors, deltas = prior_boxes().T.astype(np.float64), deltas.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        centre = priors[:2] + (0.1 * deltas[:2]) * priors[2:]
        half = 0.5 * (priors[2:] * np.exp(0.2 * deltas[2:]))
        return np.concatenate([centre - half, centre + half]).T.astype(np.float32)


def _best_first(
    boxes: Floats,
    scores: Floats,
    anchors: list[npt.NDArray[np.intp]],
    labels: list[npt.NDArray[np.intp]],
    max_detections: int,
) -> Detections:
    anchor = np.concatenate([*anchors, np.empty(0, np.intp)])
    label = np.concatenate([*labels, np.empty(0, np.intp)])
    score = scores[label, anchor]
    order = np.lexsort((label, anchor, -score))[:max_detections]
    return Detections(boxes[anchor[order]], score[order], label[order].astype(np.int32))
