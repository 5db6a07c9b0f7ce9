"""What can be wrong with some images only, or with each in its own way: turned, scaled by some size, another image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.accuracy.doctor.agreement import Objects, match, own_precision, pairs_of
from harness.accuracy.doctor.choices import Geometry, Sizes
from harness.accuracy.doctor.evidence import Floats, Ints
from harness.accuracy.doctor.reading import Read
from harness.accuracy.ground_truth import GroundTruth

CLEARLY = 0.2
"""Average precision within an image by which another reading must be better to be believed of that image."""
_CELLS = 3
_CANDIDATES = 20


def fits(read: Read, images: Ints, objects: Objects, variants: Sequence[Geometry], sizes: Sizes) -> Floats:
    """(V, I) average precision within each image if its boxes are read in each of the ways.

    Args:
        read: the detections.
        images: (N,) number of each detection's image, an index into ``read.images``.
        objects: what is there.
        variants: what to do to the boxes.
        sizes: of the images of the detections.
    """
    pairs = pairs_of(objects, read.places, read.images)
    totals = np.where(read.images >= 0, objects.counts[read.images], 0)
    with np.errstate(all="ignore"):
        return np.stack(
            [
                own_precision(
                    match(objects, pairs, variant(read.boxes, sizes), read.categories), read.scores, images, totals
                )
                for variant in variants
            ]
        )


@dataclass(frozen=True, eq=False)
class BestPlaces:
    """Which image of the annotations each image's detections fit best.

    Attributes:
        best, second: (I,) average precision within the image at the best place and at the next best.
        places: (I,) the best place.
    """

    best: Floats
    second: Floats
    places: Ints

    @property
    def clear(self) -> Ints:
        """The images for which one place is far better than every other."""
        return np.flatnonzero(self.best - self.second > CLEARLY)


def best_places(read: Read, images: Ints, objects: Objects, category_count: int) -> BestPlaces:
    """Looks for each image's place among all images of the annotations.

    Candidates are those with the most similar classes in the same parts of the picture; the boxes then decide.
    """
    width = category_count * _CELLS**2
    there = _features(
        objects.boxes,
        objects.categories,
        np.repeat(np.arange(len(objects.counts)), objects.counts),
        np.ones(len(objects.boxes)),
        len(objects.counts),
        width,
    )
    found = np.flatnonzero((read.categories >= 0) & np.isfinite(read.boxes).all(axis=1))
    weights = np.abs(read.scores[found]) ** 2
    seen = _features(read.boxes[found], read.categories[found], images[found], weights, len(read.images), width)
    count = min(_CANDIDATES, len(objects.counts))
    candidates = np.argpartition(-(seen @ there.T), count - 1, axis=1)[:, :count]
    scores = np.stack([_at(read, images, objects, candidates[:, k]) for k in range(count)], axis=1)
    order = np.argsort(-scores, axis=1, kind="stable")
    every = np.arange(len(scores))
    second = scores[every, order[:, 1]] if count > 1 else np.zeros(len(scores))
    return BestPlaces(scores[every, order[:, 0]], second, candidates[every, order[:, 0]])


def _features(boxes: Floats, categories: Ints, images: Ints, weights: Floats, count: int, width: int) -> Floats:
    """(count, width) of unit length: how much of each class is in each cell of the picture."""
    centre = ((boxes[:, :2] + boxes[:, 2:]) / 2 * _CELLS).clip(0, _CELLS - 1).astype(np.int64)
    place = (categories * _CELLS + centre[:, 0]) * _CELLS + centre[:, 1]
    table = np.bincount(images * width + place, weights=weights, minlength=count * width).reshape(count, width)
    table = np.sqrt(table).astype(np.float32)
    return np.asarray(table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-9))


def _at(read: Read, images: Ints, objects: Objects, places: Ints) -> Floats:
    pairs = pairs_of(objects, places[images], places)
    return own_precision(
        match(objects, pairs, read.boxes, read.categories), read.scores, images, objects.counts[places]
    )


def other_sizes(truth: GroundTruth, most: int = 40) -> list[Geometry]:
    """What undoes a division by another image's size, of each of the commonest sizes."""
    sizes = np.stack([truth.heights, truth.widths], axis=1)
    found, counts = np.unique(sizes, axis=0, return_counts=True)
    return [_divided_by(*size) for size in found[np.argsort(-counts, kind="stable")[:most]].tolist()]


def _divided_by(height: float, width: float) -> Geometry:
    size = np.array([height, width, height, width])
    return lambda boxes, sizes: boxes * size / sizes.own


def multiplied_by(undo: Geometry) -> Geometry:
    """The other way round: boxes that were multiplied by the size."""
    return lambda boxes, sizes: boxes * boxes / np.where(boxes == 0, 1, undo(boxes, sizes))
