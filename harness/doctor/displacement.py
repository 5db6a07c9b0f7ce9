"""How boxes lie to the objects that they match: moved, scaled or stretched, with an interval over the images.

The fit is iterative: detections are matched, the displacement estimated, undone, and the detections matched again, so
that an object which a displaced box hardly touches counts as well as one that the box covers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from harness.doctor.evidence import Floats, Ints
from harness.doctor.matching import Objects, Pairs, match

CONFIDENCE = 0.95
_DRAWS = 400
_ROUNDS = 8
_LEAST_IOU = (0.1, 0.2, 0.3, 0.4, 0.5)  # of a match, in the first rounds and from then on
_AT_THE_BORDER = 0.01  # objects so near to the image's border may have been cut there
_FEWEST_MATCHES = 40


@dataclass(frozen=True)
class Estimate:
    """An estimate with its confidence interval."""

    value: float
    low: float
    high: float

    def excludes(self, other: float) -> bool:
        """Whether the interval does not hold the other value."""
        return not self.low <= other <= self.high


@dataclass(frozen=True, eq=False)
class Displacement:
    """How boxes as written differ from objects, along y and along x.

    In units of the image's height or width, and counted from the image's middle, a box whose object has its centre at
    c lies at ``position · c + shift``, and its side is ``size`` times the object's.

    Attributes:
        shift: (2,) float64, down and to the right.
        position: (2,) float64, y and x; 1 if places are not scaled.
        size: (2,) float64, height and width; 1 if boxes are as large as their objects.
        draws: (D, 3, 2) float64, shift, position and size for random draws of the images.
        matches: How many pairs the estimate is over.
        images: How many images they are in.
    """

    shift: Floats
    position: Floats
    size: Floats
    draws: Floats
    matches: int
    images: int

    def interval(self, figure: Literal["shift", "position", "size"], axis: int) -> Estimate:
        """One figure along y (axis 0) or x (axis 1)."""
        rest = 50 * (1 - CONFIDENCE)
        low, high = np.percentile(self.draws[:, ("shift", "position", "size").index(figure), axis], [rest, 100 - rest])
        return Estimate(float(getattr(self, figure)[axis]), float(low), float(high))

    def undo(self, boxes: Floats) -> Floats:
        """(N, 4) boxes, top, left, bottom, right, as they would be without the displacement."""
        centre = (boxes[:, :2] + boxes[:, 2:]) / 2
        half = (boxes[:, 2:] - boxes[:, :2]) / 2 / self.size
        centre = (centre - 0.5 - self.shift) / self.position + 0.5
        return np.concatenate([centre - half, centre + half], axis=1)


NOTHING = Displacement(np.zeros(2), np.ones(2), np.ones(2), np.zeros((0, 3, 2)), 0, 0)


def displacement_of(
    boxes: Floats, categories: Ints, scores: Floats, images: Ints, image_count: int, objects: Objects, pairs: Pairs
) -> Displacement | None:
    """The displacement of detections against their objects; None if too few match.

    Args:
        boxes: (N, 4) float64, top, left, bottom, right, normalised.
        categories: (N,) of the detections.
        scores: (N,).
        images: (N,) number of each detection's image, 0..image_count − 1.
        image_count: how many images there are.
        objects: what is there.
        pairs: the detections with the objects of their images.
    """
    found = NOTHING
    for number in range(_ROUNDS):
        least = _LEAST_IOU[min(number, len(_LEAST_IOU) - 1)]
        undone = found.undo(boxes)
        matches = match(objects, pairs, undone, categories)
        chosen = _best_of_each_object(matches.objects, np.where(matches.iou >= least, scores, -np.inf))
        there = objects.boxes[matches.objects[chosen]]
        inner = ((there > _AT_THE_BORDER) & (there < 1 - _AT_THE_BORDER)).all(axis=1)
        chosen, there = chosen[inner], there[inner]
        if len(chosen) < _FEWEST_MATCHES:
            return None
        found = _fit(boxes[chosen], there, images[chosen], image_count)
    return found


def _best_of_each_object(objects: Ints, scores: Floats) -> Ints:
    """The detection of the highest score of each object that has one."""
    order = np.argsort(-scores, kind="stable")
    order = order[np.isfinite(scores[order])]
    _, first = np.unique(objects[order], return_index=True)
    return order[first]


def _fit(boxes: Floats, there: Floats, images: Ints, image_count: int) -> Displacement:
    centre, side = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    at, extent = (there[:, :2] + there[:, 2:]) / 2, there[:, 2:] - there[:, :2]
    # a large object's centre is known less well
    weight = 1 / np.maximum(extent, 0.02) ** 2
    middle = at - 0.5
    columns = np.stack(
        [
            weight,
            weight * middle,
            weight * middle**2,
            weight * (centre - 0.5),
            weight * middle * (centre - 0.5),
            np.ones_like(weight),
            np.log(side / extent),
        ]
    )
    sums = np.stack(
        [[np.bincount(images, weights=column[:, axis], minlength=image_count) for axis in (0, 1)] for column in columns]
    )  # (7, 2, I)
    rng = np.random.default_rng(0)
    weights = rng.multinomial(image_count, np.full(image_count, 1 / image_count), size=_DRAWS)
    draws = _solve(np.einsum("kai,di->kad", sums, weights.astype(np.float64)))
    shift, position, size = _solve(sums.sum(axis=2, keepdims=True))[0]
    return Displacement(shift, position, size, draws, len(boxes), len(np.unique(images)))


def _solve(sums: Floats) -> Floats:
    """(7, 2, D) sums → (D, 3, 2) shift, position, size."""
    n, x, xx, y, xy, count, log_size = sums
    position = (n * xy - x * y) / np.maximum(n * xx - x * x, 1e-12)
    return np.stack([(y - position * x) / n, position, np.exp(log_size / count)], axis=0).transpose(2, 0, 1)
