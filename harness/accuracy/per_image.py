"""How well each single image came out: what COCO's figures, which are over all images, do not say."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from harness.accuracy.coco_results import CocoResults
from harness.accuracy.ground_truth import GroundTruth

IOU = 0.5

Boxes = npt.NDArray[np.float64]


def image_precisions(truth: GroundTruth, results: CocoResults) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """The AP at IoU 0.5 of every image alone, all its categories together, and which detections found an object.

    The mean over the image's objects of the precision at the detection that found the object, 0 if none did. Detections
    are matched as COCOeval does: best score first, each to the free object of its category that it overlaps most; one
    on a crowd counts neither way.

    Returns:
        (I,) float64 in [0, 1], in the order of ``truth.image_ids``, NaN where an image has no object; and (N,) bool in
        the order of ``results.rows``.
    """
    of_box, of_row = _by_image(truth.box_image_ids), _by_image(results.rows[:, 0].astype(np.int64))
    precisions = np.full(len(truth.image_ids), np.nan)
    found = np.zeros(len(results), dtype=np.bool_)
    nothing = np.zeros(0, dtype=np.int64)
    for place, image in enumerate(truth.image_ids.tolist()):
        boxes, rows = of_box.get(image, nothing), of_row.get(image, nothing)
        rows = rows[np.argsort(-results.rows[rows, 5], kind="stable")]
        crowds = truth.crowds[boxes]
        hits, counted = _match(
            truth.boxes[boxes], truth.box_category_ids[boxes], crowds, results.rows[rows, 1:5], results.rows[rows, 6]
        )
        found[rows] = hits
        objects = int((~crowds).sum())
        if objects:
            among = np.cumsum(counted)
            precisions[place] = float((np.cumsum(hits)[hits] / among[hits]).sum()) / objects
    return precisions, found


def _match(
    boxes: Boxes, categories: npt.NDArray[np.int64], crowds: npt.NDArray[np.bool_], found: Boxes, labels: Boxes
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Per detection, best first: whether it found an object, and whether it counts at all."""
    hits, counted = np.zeros(len(found), dtype=np.bool_), np.ones(len(found), dtype=np.bool_)
    if not len(boxes) or not len(found):
        return hits, counted
    overlaps = np.where(labels[:, None] == categories[None, :], _overlaps(found, boxes, crowds), 0.0)
    free = ~crowds
    for k in np.flatnonzero(overlaps.max(axis=1) >= IOU):
        of_objects = np.where(free, overlaps[k], 0.0)
        best = int(of_objects.argmax())
        if of_objects[best] >= IOU:
            hits[k], free[best] = True, False
        elif (overlaps[k][crowds] >= IOU).any():
            counted[k] = False
    return hits, counted


def _overlaps(found: Boxes, boxes: Boxes, crowds: npt.NDArray[np.bool_]) -> Boxes:
    """(K, A) IoU of boxes x, y, width, height; with a crowd, the share of the detection that lies in it."""
    near = np.maximum(found[:, None, :2], boxes[None, :, :2])
    far = np.minimum(found[:, None, :2] + found[:, None, 2:], boxes[None, :, :2] + boxes[None, :, 2:])
    common = (far - near).clip(min=0).prod(axis=2)
    own, other = found[:, 2:].prod(axis=1)[:, None], boxes[:, 2:].prod(axis=1)[None, :]
    whole = np.where(crowds[None, :], own, own + other - common)
    return np.asarray(np.divide(common, whole, out=np.zeros_like(common), where=whole > 0))


def _by_image(image_ids: npt.NDArray[np.int64]) -> dict[int, npt.NDArray[np.int64]]:
    """Image id → the places where it stands, ascending."""
    order = np.argsort(image_ids, kind="stable")
    ids, starts = np.unique(image_ids[order], return_index=True)
    return dict(zip(ids.tolist(), np.split(order, starts[1:]), strict=False))
