"""The change of mAP from one set of detections to another, and whether it is more than chance.

What is chance is asked of the images: they are drawn again and again with replacement (a paired bootstrap, Efron 1979),
and each time both mAPs are computed from matches that were made once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from harness.accuracy.coco_results import CocoResults
from harness.accuracy.evaluate import Accuracy, Evaluator, evaluate
from harness.accuracy.ground_truth import GroundTruth
from harness.errors import LogError

if TYPE_CHECKING:
    from harness.accuracy.pycocotools_evaluator import ClassMatches

Floats = npt.NDArray[np.float64]
CONFIDENCE = 0.95
_RECALLS = np.linspace(0, 1, 101)  # COCO's recall thresholds
_MOST_DRAWS, _FEWEST_DRAWS = 1000, 200
_WORK = 100_000_000  # drawn detections, a few seconds


@dataclass(frozen=True)
class Part:
    """What one class or one image has to do with the change.

    Attributes:
        name: of the class or the image.
        before, after: a class's AP; an image's part of the mAP, whose sum over the images is the mAP but for COCO's
            interpolation.
        low, high: the confidence interval of a class's change; None of an image's.
    """

    name: str
    before: float
    after: float
    low: float | None = None
    high: float | None = None

    @property
    def change(self) -> float:
        """After − before."""
        return self.after - self.before

    @property
    def significant(self) -> bool:
        """Whether its interval leaves out 0."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class Change:
    """The change from one log to another.

    Attributes:
        before, after: the accuracy of each over the same images.
        low, high: the interval that the change of the mAP lies in with 95 % confidence.
        classes: every class, the largest change first.
        images: the images that changed most, likewise.
        images_differing: in how many images the detections differ at all.
        draws: how many times the images were drawn.
    """

    before: Accuracy
    after: Accuracy
    low: float
    high: float
    classes: tuple[Part, ...]
    images: tuple[Part, ...]
    images_differing: int
    draws: int

    @property
    def mAP(self) -> float:  # noqa: N802 -- the field's own name
        """After − before."""
        return self.after.mAP - self.before.mAP

    @property
    def significant(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0


def change(
    truth: GroundTruth, before: CocoResults, after: CocoResults, *, evaluator: Evaluator, most_images: int = 20
) -> Change:
    """Compares over the images that both have.

    Raises:
        LogError: they have none in common.
    """
    from harness.accuracy.pycocotools_evaluator import match_boxes

    image_ids = np.intersect1d(before.image_ids, after.image_ids)
    if not len(image_ids):
        raise LogError("the two have no images in common", where=str(truth.path))
    there = truth.restricted(image_ids)
    accuracies, kept = [], []
    for results in (before, after):
        accuracies.append(evaluate(truth, results, image_ids, evaluator=evaluator))
        kept.append(results.rows[np.isin(results.rows[:, 0], image_ids)])
    matches = [match_boxes(there, rows, image_ids) for rows in kept]
    draws = int(np.clip(_WORK / max(1, *map(len, kept)), _FEWEST_DRAWS, _MOST_DRAWS))
    weights = np.random.default_rng(0).multinomial(len(image_ids), np.full(len(image_ids), 1 / len(image_ids)), draws)
    aps = [_class_aps(each, image_ids, weights.astype(np.float64)) for each in matches]
    changes = aps[1] - aps[0]
    low, high = _interval(np.nanmean(aps[1], axis=0) - np.nanmean(aps[0], axis=0))
    return Change(
        before=accuracies[0],
        after=accuracies[1],
        low=low,
        high=high,
        classes=_classes(truth, accuracies, [each.category for each in matches[0]], changes),
        images=_images(truth, image_ids, matches)[:most_images],
        images_differing=_differing(image_ids, *kept),
        draws=draws,
    )


def _class_aps(matches: list[ClassMatches], image_ids: npt.NDArray[np.int64], weights: Floats) -> Floats:
    """(K, B) AP of each class in each draw; NaN where a draw has none of its objects.

    Args:
        weights: (B, I) how often each image was drawn.
    """
    aps = np.full((len(matches), len(weights)), np.nan)
    for k, of_class in enumerate(matches):
        total = weights[:, np.searchsorted(image_ids, of_class.object_images)].sum(axis=1)
        drawn = weights[:, np.searchsorted(image_ids, of_class.images)]
        counted = np.cumsum(drawn, axis=1)
        by_threshold = []
        for hits, ignored in zip(of_class.hits, of_class.ignored, strict=True):
            at = np.flatnonzero(hits)
            so_far = counted if not ignored.any() else np.cumsum(drawn * ~ignored, axis=1)
            by_threshold.append(_average_precision(np.cumsum(drawn[:, at], axis=1), so_far[:, at], total))
        aps[k] = np.where(total > 0, np.mean(by_threshold, axis=0), np.nan)
    return aps


def _average_precision(hits: Floats, counted: Floats, total: Floats) -> Floats:
    """(B,) COCO's AP: precision, made falling, at the recalls 0, 0.01, … 1.

    Args:
        hits, counted: (B, H) hits and detections up to each hit.
        total: (B,) objects to find.
    """
    precision = hits / np.maximum(counted, 1)
    falling = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    # how many of the recalls are reached with each hit
    reached = np.searchsorted(_RECALLS, hits / np.maximum(total, 1)[:, np.newaxis], side="right")
    reached[hits == 0] = 0
    steps = np.diff(reached, axis=1, prepend=0)
    return np.asarray((falling * steps).sum(axis=1) / len(_RECALLS))


def _interval(changes: Floats) -> tuple[float, float]:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.nanquantile(changes, (tail, 1 - tail))
    return float(low), float(high)


def _classes(
    truth: GroundTruth, accuracies: list[Accuracy], categories: list[int], changes: Floats
) -> tuple[Part, ...]:
    names = dict(zip(truth.category_ids.tolist(), truth.category_names, strict=True))
    before, after = (dict(each.per_class) for each in accuracies)
    parts = [
        Part(names[category], before[names[category]], after[names[category]], *_interval(of_class))
        for category, of_class in zip(categories, changes, strict=True)
    ]
    return tuple(sorted(parts, key=lambda part: -abs(part.change)))


def _images(
    truth: GroundTruth, image_ids: npt.NDArray[np.int64], matches: list[list[ClassMatches]]
) -> tuple[Part, ...]:
    before, after = (_image_parts(each, image_ids) for each in matches)
    names = truth.file_names or tuple(map(str, truth.ids_in_file.tolist()))
    name_of = dict(zip(truth.image_ids.tolist(), names, strict=True))
    order = np.argsort(-abs(after - before), kind="stable")
    return tuple(
        Part(name_of[int(image_ids[i])], float(before[i]), float(after[i])) for i in order if before[i] != after[i]
    )


def _image_parts(matches: list[ClassMatches], image_ids: npt.NDArray[np.int64]) -> Floats:
    """(I,) each image's part of the mAP: the precision at each of its hits, over the objects of the class."""
    parts = np.zeros(len(image_ids))
    for of_class in matches:
        places = np.searchsorted(image_ids, of_class.images)
        for hits, ignored in zip(of_class.hits, of_class.ignored, strict=True):
            at = np.flatnonzero(hits)
            precision = np.arange(1, len(at) + 1) / np.cumsum(~ignored)[at]
            share = precision / (len(of_class.hits) * len(of_class.object_images) * len(matches))
            parts += np.bincount(places[at], weights=share, minlength=len(image_ids))
    return parts


def _differing(image_ids: npt.NDArray[np.int64], before: Floats, after: Floats) -> int:
    """In how many images the detections are not the same."""

    def by_image(rows: Floats) -> list[bytes]:
        rows = rows[np.lexsort(rows.T[::-1])]  # by image, then by everything else
        begins = np.searchsorted(rows[:, 0], image_ids)
        ends = np.searchsorted(rows[:, 0], image_ids, side="right")
        return [rows[begin:end].tobytes() for begin, end in zip(begins, ends, strict=True)]

    return sum(one != other for one, other in zip(by_image(before), by_image(after), strict=True))
