"""The objects of an annotations file as a device would find them, for simulated devices that know the answers."""

from __future__ import annotations

import numpy as np

from harness.accuracy.ground_truth import GroundTruth
from harness.records import Detections

SCORES = (0.5, 0.99)  # drawn between these


def annotated_objects(truth: GroundTruth, index: int, share: float) -> Detections:
    """The objects of one image, or a share of them, with made-up scores: the same for the same image and share.

    Crowds and boxes without an area are left out. A smaller share is a part of a larger one.

    Args:
        index: of the image in the annotations.
        share: of the objects, in (0, 1].
    """
    of_image = truth.box_image_ids == truth.image_ids[index]
    rng = np.random.default_rng(index)
    drawn, scores = rng.random(of_image.sum()), rng.uniform(*SCORES, of_image.sum())
    boxes = truth.boxes[of_image]
    kept = (drawn < share) & ~truth.crowds[of_image] & (boxes[:, 2:] > 0).all(axis=1)
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    sizes = (truth.widths[index], truth.heights[index]) * 2
    categories = truth.category_ids.tolist()
    labels = np.array([1 + categories.index(category) for category in truth.box_category_ids[of_image]], np.int32)
    order = np.argsort(-scores[kept], kind="stable")
    return Detections(
        (corners / sizes)[kept][order].astype(np.float32),
        scores[kept][order].astype(np.float32),
        labels[kept][order],
    )
