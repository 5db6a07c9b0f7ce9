"""Which classes a log gives at all, and for which objects: classes that are lost, merged or exchanged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from harness.accuracy.ground_truth import GroundTruth
from harness.doctor.cause import Cause
from harness.doctor.choices import Choice
from harness.doctor.evidence import Ints
from harness.doctor.matching import match
from harness.doctor.reading import Reading
from harness.doctor.trial import Trial

_ON_AN_OBJECT = 0.5  # IoU
_EXPECTED = 12.0
"""Detections that a class must be expected to have for none to be called a loss. In 19 sound published logs a class
that was never given had at most 9.5."""
_RARE_CLASS = 0.1  # quantile over the classes of detections an object, from which the expectation is made
_GIVEN_FOR = 0.4
"""Of the usual share of objects found: what another class must have of a class's objects to be given for it. Trucks are
found as cars at up to 0.5 of it in sound logs, every other class at less than 0.4."""
_ALONE, _GIVEN_FOR_ALONE = 3.0, 0.2  # half of that is enough if it is so many times what any third class has
_MOSTLY = 0.6  # of the share that another class has of its objects: a class with less is not given for its own
_FEWEST_OBJECTS, _FEWEST_FOUND = 5, 3
_SURE_ENOUGH = 0.35  # quantile of the scores of detections on their own objects, from which a detection counts here
_NAMED = 5  # classes in a sentence


@dataclass(frozen=True, eq=False)
class ClassUse:
    """How often each class is given, and on which objects.

    Attributes:
        objects: (C,) int64, how many objects of each class the recorded images have.
        given: (C,) int64, how many detections of each class there are.
        share: (C, C) float64, of the objects of a class (row), the share on which a sure detection of another class
            (column) lies.
    """

    objects: Ints
    given: Ints
    share: np.ndarray[tuple[int, int], np.dtype[np.float64]]

    @property
    def usual(self) -> float:
        """The share of its objects that a class usually finds: the median over the classes that are there and given."""
        own = np.diag(self.share)[(self.objects >= _FEWEST_OBJECTS) & (self.given > 0)]
        return float(np.median(own)) if len(own) else 0.0

    @property
    def lost(self) -> Ints:
        """The classes that are never given though many detections of them would be expected."""
        there = (self.objects >= _FEWEST_OBJECTS) & (self.given > 0)
        if not there.any():
            return np.zeros(0, np.int64)
        rate = float(np.quantile(self.given[there] / self.objects[there], _RARE_CLASS))
        return np.flatnonzero((self.given == 0) & (rate * self.objects >= _EXPECTED))

    def given_for(self, category: int) -> int | None:
        """The class whose detections lie on this one's objects as often as its own usually would; None if none does."""
        others = self.share[category].copy()
        others[category] = 0
        third, second = np.sort(others)[-2:] if len(others) > 1 else (0.0, 0.0)
        alone = second >= _ALONE * third and second >= _GIVEN_FOR_ALONE * self.usual
        enough = second > 0 and (alone or second >= _GIVEN_FOR * self.usual)
        several = second * self.objects[category] >= _FEWEST_FOUND
        return int(others.argmax()) if enough and several else None

    @property
    def exchanged(self) -> dict[int, int]:
        """Classes that are given on the objects of others only: what is given → what it should be."""
        meant = {}
        for category in np.flatnonzero(self.given > 0).tolist():
            given = self.given_for(category)
            if given is not None and self.share[category, category] < _MOSTLY * self.share[category, given]:
                meant[given] = category
        # each in another's place: a class that is only confused with another has no part in a circle
        return {given: right for given, right in meant.items() if given in meant.values() and right in meant}


def class_use(trial: Trial, reading: Reading) -> ClassUse:
    """How classes are used by the trial's detections, read so."""
    read = reading.read(trial.evidence)
    objects, count = trial.objects, len(trial.evidence.truth.category_ids)
    matches = match(objects, trial.pairs(reading.order), read.boxes, None)
    known = read.categories >= 0
    on_object = known & (matches.iou >= _ON_AN_OBJECT)
    own = on_object.copy()
    own[on_object] = read.categories[on_object] == objects.categories[matches.objects[on_object]]
    if own.any():  # confusions have lower scores than a class that is written as another
        on_object &= read.scores >= np.quantile(read.scores[own], _SURE_ENOUGH)
    pairs = np.unique(matches.objects[on_object] * count + read.categories[on_object])
    places = np.repeat(np.arange(len(objects.counts)), objects.counts)
    there = np.bincount(objects.categories[np.isin(places, read.images)], minlength=count)
    table = np.bincount(objects.categories[pairs // count] * count + pairs % count, minlength=count**2)
    share = table.reshape(count, count) / np.maximum(there, 1)[:, np.newaxis]
    return ClassUse(there, np.bincount(read.categories[known], minlength=count), share)


def exchanged_classes(use: ClassUse, truth: GroundTruth, reading: Reading) -> Choice | None:
    """The labels with classes put right that are given for each other; None if there are none."""
    exchanged = use.exchanged
    if not exchanged:
        return None
    table = np.arange(-1, len(truth.category_ids))  # by category + 1, so that −1 (none) stays
    for given, right in exchanged.items():
        table[given + 1] = right
    base = reading.labels.read

    def read(labels: Ints) -> Ints:
        right: Ints = table[base(labels) + 1]
        return right

    names = truth.category_names
    pairs = [f"{names[right]} as {names[given]}" for given, right in sorted(exchanged.items())]
    return Choice(
        "classes-exchanged",
        "labels",
        f"classes are given for each other: {_listed(pairs)}",
        "see the list of classes that the labels count; these are in each other's places",
        read,
    )


def class_causes(use: ClassUse, truth: GroundTruth) -> Iterator[Cause]:
    """Classes that are never given: those whose objects another class is given for, and those that are lost."""
    names = truth.category_names
    lost = use.lost.tolist()
    merged = {category: other for category in lost if (other := use.given_for(category)) is not None}
    if merged:
        shares = [
            f"{100 * use.share[category, other]:.0f} % of the {use.objects[category]} objects of {names[category]} "
            f"are found as {names[other]}"
            for category, other in merged.items()
        ]
        yield Cause(
            "classes-merged",
            f"classes are merged: {_listed([f'{names[k]} is given as {names[other]}' for k, other in merged.items()])}",
            f"{_listed(shares)}; a class usually finds {100 * use.usual:.0f} % of its own",
            "see the map from the model's classes to the categories: two of them have one target",
        )
    rest = [category for category in lost if category not in merged]
    if rest:
        counts = [f"{names[category]} ({use.objects[category]} objects)" for category in rest]
        what = "a class is never given" if len(rest) == 1 else f"{len(rest)} classes are never given"
        yield Cause(
            "classes-never-given",
            f"{what}: {_listed([names[category] for category in rest])}",
            f"not one detection of {_listed(counts)} in these images, nor another class in their places",
            "see that the model's classes are all mapped, and that none is taken for the background",
        )


def _listed(texts: list[str]) -> str:
    more = len(texts) - _NAMED
    return ", ".join(texts[:_NAMED]) + (f" and {more} more" if more > 0 else "")
