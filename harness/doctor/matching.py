"""A quick measure of how well detections fit the annotations: average precision over all classes together.

It stands in for the mAP while hundreds of readings are tried: milliseconds rather than a second, and it can be told
apart by images, which is what says whether a difference is more than chance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.accuracy.ground_truth import GroundTruth
from harness.doctor.evidence import Floats, Ints

IOU_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True, eq=False)
class Objects:
    """What is there to find, by the place of its image in the annotations; crowds are left out.

    Attributes:
        boxes: (G, 4) float64, top, left, bottom, right, normalised.
        categories: (G,) int64, index in the annotations' categories.
        first, counts: (I,) int64, where the objects of each place begin and how many they are.
    """

    boxes: Floats
    categories: Ints
    first: Ints
    counts: Ints


def objects_of(truth: GroundTruth) -> Objects:
    """The annotations' objects."""
    kept = ~truth.crowds
    by_id = np.argsort(truth.image_ids)
    places = by_id[np.searchsorted(truth.image_ids, truth.box_image_ids[kept], sorter=by_id)]
    order = np.argsort(places, kind="stable")
    places = places[order]
    x, y, width, height = truth.boxes[kept][order].T
    w, h = truth.widths[places], truth.heights[places]
    by_category = np.argsort(truth.category_ids)
    ids = truth.box_category_ids[kept][order]
    counts = np.bincount(places, minlength=len(truth.image_ids))
    return Objects(
        np.stack([y / h, x / w, (y + height) / h, (x + width) / w], axis=1),
        by_category[np.searchsorted(truth.category_ids, ids, sorter=by_category)],
        np.cumsum(counts) - counts,
        counts,
    )


@dataclass(frozen=True, eq=False)
class Pairs:
    """Every detection with every object of its image.

    Attributes:
        detections, objects: (P,) int64, in ascending order of the detection.
        total: how many objects are in the images looked at.
    """

    detections: Ints
    objects: Ints
    total: int


def pairs_of(objects: Objects, places: Ints, images: Ints) -> Pairs:
    """Pairs of detections at these places, −1 for none; ``images`` are the places looked at, with detections or not."""
    counts = np.where(places >= 0, objects.counts[places], 0)
    ends = np.cumsum(counts)
    within = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)
    detections = np.repeat(np.arange(len(places)), counts)
    inside = images[images >= 0]
    return Pairs(detections, objects.first[places[detections]] + within, int(objects.counts[inside].sum()))


def overlaps(boxes: Floats, others: Floats) -> Floats:
    """IoU of (P, 4) and (P, 4) boxes; 0 where a box has no area."""
    top, left, bottom, right = boxes.T
    top_other, left_other, bottom_other, right_other = others.T
    height = np.minimum(bottom, bottom_other) - np.maximum(top, top_other)
    width = np.minimum(right, right_other) - np.maximum(left, left_other)
    inside = (height > 0) & (width > 0)
    inside &= (bottom > top) & (right > left)
    overlap = np.where(inside, height * width, 0.0)
    union = (bottom - top) * (right - left) + (bottom_other - top_other) * (right_other - left_other) - overlap
    return np.where(inside, overlap / np.where(inside, union, 1.0), 0.0)


@dataclass(frozen=True, eq=False)
class Matches:
    """What each detection fits best.

    Attributes:
        iou: (N,) float64, with the best object of its class in its image; 0: none.
        objects: (N,) int64, that object.
    """

    iou: Floats
    objects: Ints


def match(objects: Objects, pairs: Pairs, boxes: Floats, categories: Ints | None) -> Matches:
    """The best object of every detection; of any class if ``categories`` is None."""
    detections, candidates = pairs.detections, pairs.objects
    if categories is not None:
        same = categories[detections] == objects.categories[candidates]
        detections, candidates = detections[same], candidates[same]
    iou, best = np.zeros(len(boxes)), np.full(len(boxes), -1)
    if len(detections):
        found = overlaps(boxes[detections], objects.boxes[candidates])
        order = np.lexsort((found, detections))
        last = np.flatnonzero(np.append(np.diff(detections[order]) != 0, True))
        chosen = order[last]
        iou[detections[chosen]], best[detections[chosen]] = found[chosen], candidates[chosen]
    return Matches(iou, best)


def average_precision(
    matches: Matches, scores: Floats, images: npt.NDArray[np.intp], image_count: int, total: int
) -> Floats:
    """The average precision of all classes together, as each image's part in it.

    Args:
        matches: of N detections.
        scores: (N,).
        images: (N,), 0..image_count − 1.
        total: how many objects there are to find.

    Returns:
        (image_count,) float64, whose sum is the average precision in [0, 1]: the mean precision at which objects are
        found, over the IoU thresholds.
    """
    parts = np.zeros(image_count)
    order = np.argsort(-scores, kind="stable")
    iou, objects, images = matches.iou[order], matches.objects[order], images[order]
    ranks = np.arange(1, len(order) + 1)
    for threshold in IOU_THRESHOLDS:
        found = np.flatnonzero(iou >= threshold)
        _, first = np.unique(objects[found], return_index=True)
        hits = np.sort(found[first])
        precision = np.arange(1, len(hits) + 1) / ranks[hits]
        parts += np.bincount(images[hits], weights=precision, minlength=image_count)
    return parts / (len(IOU_THRESHOLDS) * max(total, 1))


def own_precision(matches: Matches, scores: Floats, groups: Ints, totals: Ints) -> Floats:
    """The average precision within each group of detections by itself: of an image, or of a guess about one.

    Args:
        matches: of N detections.
        scores: (N,).
        groups: (N,), 0..M − 1.
        totals: (M,) how many objects each group's image has.

    Returns:
        (M,) float64 in [0, 1]; 0 where there is nothing to find.
    """
    order = np.lexsort((-scores, groups))
    iou, groups = matches.iou[order], groups[order]
    keys = groups * (int(matches.objects.max(initial=0)) + 1) + matches.objects[order]
    counts = np.bincount(groups, minlength=len(totals))
    ranks = np.arange(len(order)) - (np.cumsum(counts) - counts)[groups] + 1
    precision = np.zeros(len(totals))
    for threshold in IOU_THRESHOLDS:
        found = np.flatnonzero(iou >= threshold)
        _, first = np.unique(keys[found], return_index=True)
        hits = np.sort(found[first])
        of_group = np.bincount(groups[hits], minlength=len(totals))
        number = np.arange(len(hits)) - (np.cumsum(of_group) - of_group)[groups[hits]] + 1
        precision += np.bincount(groups[hits], weights=number / ranks[hits], minlength=len(totals))
    return np.asarray(precision / (len(IOU_THRESHOLDS) * np.maximum(totals, 1)))
