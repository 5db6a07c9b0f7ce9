"""Mistakes that differ from image to image, looked for image by image: turned, scaled by some size, another image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from harness.accuracy.ground_truth import GroundTruth
from harness.doctor.box_choices import TURNS, unit_choices
from harness.doctor.choices import Choice, Geometry, Sizes
from harness.doctor.evidence import Floats, Ints
from harness.doctor.matching import Objects, match, own_precision, pairs_of
from harness.doctor.order_choices import ORDER_ADVICE
from harness.doctor.reading import Read, Reading, Readings
from harness.doctor.trial import Trial

CLEARLY = 0.2
"""Average precision within an image by which another reading must be better to be believed of that image."""
_CELLS = 3
_CANDIDATES = 20
_FEWEST_TURNED, _SOME_TURNED = 2, 0.004  # at most 1 of 1200 healthy images fits a turn so much better
_SOME_RESIZED = 0.05  # 0.2 % of healthy images fit some of 80 sizes better by chance, 40 % and more of resized ones
_PLACES_CLEAR = 0.2


def turned_images(readings: Readings, trial: Trial, reading: Reading) -> Choice | None:
    """Some images' boxes are turned or mirrored, as by EXIF's orientation; None if not."""
    gains = _gains(trial, reading, [turn for _, _, turn in TURNS])
    clear = (gains > CLEARLY).sum(axis=1)
    chosen = int(clear.argmax())
    if clear[chosen] < max(_FEWEST_TURNED, _SOME_TURNED * gains.shape[1]):
        return None
    name, what, turn = TURNS[chosen]
    whole = Trial.of(readings, images=None, best=trial.best)
    better = _gains(whole, reading, [turn])[0] > 0
    places = reading.read(whole.evidence).images[better]
    base = reading.frame.read
    return Choice(
        f"{name}-some",
        "frame",
        f"boxes of some images are {what}",
        "decode images without applying EXIF's orientation, or turn the boxes back with the image",
        _where(places, base, turn),
    )


def resized_images(readings: Readings, trial: Trial, reading: Reading) -> Choice | None:
    """Every image's boxes are scaled by the size of some other image; None if not."""
    divided = other_sizes(readings.evidence.truth)
    for name, what, variants in (
        ("divided-by-other-image", "divided", divided),
        ("multiplied-by-other-image", "scaled", [multiplied_by(undo) for undo in divided]),
    ):
        gains = _gains(trial, reading, variants)
        if (gains.max(axis=0) > CLEARLY).mean() > _SOME_RESIZED:
            whole = Trial.of(readings, images=None, best=trial.best)
            every = _gains(whole, reading, variants)
            which = np.full(len(readings.evidence.truth.image_ids), -1)
            places = reading.read(whole.evidence).images
            which[places] = np.where((every.max(axis=0) > 0) & (places >= 0), every.argmax(axis=0), -1)
            base = reading.units.read
            advice = unit_choices(readings.evidence.kind)[1].advice
            text = f"boxes were {what} by the size of another image, a different one for each"
            return Choice(name, "units", text, advice, _each(which, base, variants))
    return None


def unknown_order(readings: Readings, trial: Trial, reading: Reading) -> Choice | None:
    """The order of images that lie in none of the known ones.

    None if no place is far better than the others for enough images, as where the annotations are of other images.
    """
    read = reading.read(trial.evidence)
    found = best_places(read, trial.images, trial.objects, len(readings.evidence.truth.category_ids))
    clear = found.clear[trial.objects.counts[found.places[found.clear]] >= 3]
    likely = (trial.objects.counts[found.places] >= 3).sum()
    if len(clear) < 5 or len(clear) < _PLACES_CLEAR * likely:
        return None
    table = np.full(int(readings.evidence.images.max()) + 1, -1)
    table[trial.evidence.images[clear]] = found.places[clear]
    return Choice(
        "order-unknown",
        "order",
        "the samples are counted in another order than the annotations' (none of the usual sorted ones)",
        f"{ORDER_ADVICE}; use the annotations file of the run itself, not a sorted copy",
        lambda places: table[places],
    )


def _gains(trial: Trial, reading: Reading, variants: list[Geometry]) -> Floats:
    """(V, I) by how much each variant fits each image better than the reading does."""
    read = reading.read(trial.evidence)
    sizes = Sizes.at(trial.evidence.truth, read.places)
    found = fits(read, trial.images, trial.objects, [lambda boxes, sizes: boxes, *variants], sizes)
    return np.asarray(found[1:] - found[0])


def _where(places: Ints, base: Callable[..., Floats], turn: Geometry) -> Geometry:
    def read(boxes: Floats, sizes: Sizes) -> Floats:
        boxes = base(boxes, sizes)
        return np.where(np.isin(sizes.places, places)[:, np.newaxis], turn(boxes, sizes), boxes)

    return read


def _each(which: Ints, base: Callable[..., Floats], variants: list[Geometry]) -> Geometry:
    def read(boxes: Floats, sizes: Sizes) -> Floats:
        boxes = base(boxes, sizes)
        result = boxes.copy()
        for k, variant in enumerate(variants):
            mine = which[sizes.places] == k
            if mine.any():
                result[mine] = variant(boxes[mine], Sizes(sizes.own[mine], sizes.places[mine], sizes.all))
        return result

    return read


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
