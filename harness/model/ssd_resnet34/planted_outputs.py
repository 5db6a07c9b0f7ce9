"""Raw outputs in which given objects are found: the decoder's inverse, for simulated devices that know the answers.

Every object is told by the one prior box that overlaps it best; everything else is background.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.model.ssd_resnet34.example_outputs import overlap, quantize, steps, tile_like_an_npu
from harness.model.ssd_resnet34.heads import FEATURE_MAPS, NUM_CLASSES, OUTPUTS
from harness.model.ssd_resnet34.priors import prior_boxes
from harness.records import Detections, QuantizedTensor, RawOutput

Floats = npt.NDArray[np.float64]

BACKGROUND_LOGIT = 9.5  # of background where nothing is
OTHER_LOGIT = -1.5  # of every class that is not there
HIGHEST_SCORE = 0.999  # a logit beyond this one's does not fit an int8 output

_FIRST = np.cumsum([0, *(m.grid**2 * m.anchors for m in FEATURE_MAPS)])  # prior box of each map; last, their number


def planted_outputs(objects: Detections, *, quantized: bool, tiled: bool = False) -> list[RawOutput]:
    """The twelve raw outputs of an image in which these objects are found.

    Decoding gives the objects back, but for those that non-maximum suppression takes, as exactly as the outputs' type
    allows: an int8 step of a centre is about 0.8 % of the prior box's size, one of a size 1.6 %.

    Args:
        objects: left < right and top < bottom; scores in (0, 1], labels in 1..80.
        quantized: int8 NCHW with a published model's scales, rather than float32 NCHW.
        tiled: int8 in the layout of an NPU.
    """
    priors = _best_priors(objects)
    logits, deltas = _logits(objects), _deltas(objects, priors)
    outputs = [_copy(output) for output in _background(quantized or tiled)]
    maps = len(FEATURE_MAPS)
    for k in range(maps):
        here = np.flatnonzero((priors >= _FIRST[k]) & (priors < _FIRST[k + 1]))
        at = priors[here] - _FIRST[k]
        _write(outputs[k], NUM_CLASSES, np.zeros(len(here), np.intp), at, np.zeros(len(here)))
        _write(outputs[k], NUM_CLASSES, objects.labels[here], at, logits[here])
        _write(outputs[k + maps], 4, np.arange(4)[:, None], at, deltas[:, here])
    if tiled:
        return [*tile_like_an_npu([output for output in outputs if isinstance(output, QuantizedTensor)])]
    return outputs


@functools.cache
def _background(quantized: bool) -> tuple[RawOutput, ...]:
    """The raw outputs of an image in which nothing is."""
    outputs = []
    for k, spec in enumerate(OUTPUTS):
        output = np.full(spec.shape, OTHER_LOGIT if k < len(FEATURE_MAPS) else 0, np.float32)
        if k < len(FEATURE_MAPS):
            output.reshape(NUM_CLASSES, -1)[0] = BACKGROUND_LOGIT
        outputs.append(output)
    return tuple(quantize(outputs)) if quantized else tuple(outputs)


def _copy(output: RawOutput) -> RawOutput:
    if isinstance(output, QuantizedTensor):
        return QuantizedTensor(output.data.copy(), output.scale, output.zero_point)
    return output.copy()


def _write(output: RawOutput, rows: int, row: npt.NDArray[Any], at: npt.NDArray[np.intp], values: Floats) -> None:
    """Real values into an output seen as (rows, prior boxes of its map)."""
    if isinstance(output, QuantizedTensor):
        output.data.reshape(rows, -1)[row, at] = steps(values, output.scale, output.zero_point)
    else:
        output.reshape(rows, -1)[row, at] = values


def _best_priors(objects: Detections) -> npt.NDArray[np.intp]:
    """(K,) indices of prior boxes: for each object, of those still free, the one that overlaps it best."""
    priors, taken = prior_boxes(), np.zeros(_FIRST[-1], np.bool_)
    best = np.empty(len(objects), np.intp)
    for k, box in enumerate(objects.boxes.astype(np.float64)):
        seen = overlap(priors, (box[:2] + box[2:]) / 2, box[2:] - box[:2])
        best[k] = np.argmax(np.where(taken, -1.0, seen))
        taken[best[k]] = True
    return best


def _deltas(objects: Detections, priors: npt.NDArray[np.intp]) -> Floats:
    """(4, K) box outputs: centre = prior centre + 0.1 · t · prior size and size = prior size · exp(0.2 · t), for t."""
    near = prior_boxes()[priors].astype(np.float64)
    boxes = objects.boxes.astype(np.float64)
    centres, sizes = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    shifts = (centres - near[:, :2]) / (0.1 * near[:, 2:])
    return np.concatenate([shifts, np.log(sizes / near[:, 2:]) / 0.2], axis=1).T


def _logits(objects: Detections) -> Floats:
    """(K,) logits that softmax turns into the scores, beside a background of 0 and 79 classes of `OTHER_LOGIT`."""
    scores = objects.scores.astype(np.float64).clip(max=HIGHEST_SCORE)
    others = 1.0 + (NUM_CLASSES - 2) * np.exp(OTHER_LOGIT)
    return np.asarray(np.log(scores / (1 - scores) * others))
