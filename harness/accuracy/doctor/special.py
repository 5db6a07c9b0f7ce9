"""Mistakes that differ from image to image, looked for image by image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from harness.accuracy.doctor.box_choices import TURNS, unit_choices
from harness.accuracy.doctor.by_image import CLEARLY, best_places, fits, multiplied_by, other_sizes
from harness.accuracy.doctor.choices import Choice, Geometry, Sizes
from harness.accuracy.doctor.evidence import Floats, Ints
from harness.accuracy.doctor.order_choices import ORDER_ADVICE
from harness.accuracy.doctor.reading import Reading, Readings, Trial

_FEWEST_TURNED, _SOME_TURNED = 2, 0.004  # at most 1 of 1200 healthy images fits a turn so much better
_SOME_RESIZED = 0.05  # 0.2 % of healthy images fit some of 80 sizes better by chance, 40 % and more of resized ones
_PLACES_CLEAR = 0.2
_EVERY_IMAGE = 1_000_000


def turned_images(readings: Readings, trial: Trial, reading: Reading) -> Choice | None:
    """Some images' boxes are turned or mirrored, as by EXIF's orientation; None if not."""
    gains = _gains(readings, trial, reading, [turn for _, _, turn in TURNS])
    clear = (gains > CLEARLY).sum(axis=1)
    chosen = int(clear.argmax())
    if clear[chosen] < max(_FEWEST_TURNED, _SOME_TURNED * gains.shape[1]):
        return None
    name, what, turn = TURNS[chosen]
    whole = Trial.of(readings, images=_EVERY_IMAGE, best=trial.best)
    better = _gains(readings, whole, reading, [turn])[0] > 0
    places = readings.read(reading, whole.evidence).images[better]
    base = readings.choices["frame"][reading.frame].read
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
        gains = _gains(readings, trial, reading, variants)
        if (gains.max(axis=0) > CLEARLY).mean() > _SOME_RESIZED:
            whole = Trial.of(readings, images=_EVERY_IMAGE, best=trial.best)
            every = _gains(readings, whole, reading, variants)
            which = np.full(len(readings.evidence.truth.image_ids), -1)
            places = readings.read(reading, whole.evidence).images
            which[places] = np.where((every.max(axis=0) > 0) & (places >= 0), every.argmax(axis=0), -1)
            base = readings.choices["units"][reading.units].read
            advice = unit_choices(readings.evidence.kind)[1].advice
            text = f"boxes were {what} by the size of another image, a different one for each"
            return Choice(name, "units", text, advice, _each(which, base, variants))
    return None


def unknown_order(readings: Readings, trial: Trial, reading: Reading) -> Choice | None:
    """The images lie in an order that is none of the known ones; None if they are not those of the annotations."""
    read = readings.read(reading, trial.evidence)
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


def _gains(readings: Readings, trial: Trial, reading: Reading, variants: list[Geometry]) -> Floats:
    """(V, I) by how much each variant fits each image better than the reading does."""
    read = readings.read(reading, trial.evidence)
    sizes = Sizes.at(readings.evidence.truth, read.places)
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
