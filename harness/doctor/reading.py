"""Reading a log by one choice at every stage, and how well what is read fits the annotations."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from harness.accuracy.coco_results import CocoResults
from harness.doctor.box_choices import format_choices, frame_choices, unit_choices
from harness.doctor.choices import READING_STEPS, Choice, Sizes, Stage
from harness.doctor.evidence import Evidence, Floats, Ints
from harness.doctor.label_choices import label_choices
from harness.doctor.matching import Matches, Objects, Pairs, average_precision, match, objects_of, pairs_of
from harness.doctor.order_choices import order_choices, score_choices


@dataclass(frozen=True)
class Reading:
    """The choice at every stage, by its name."""

    order: str
    format: str
    units: str
    frame: str
    labels: str
    scores: str

    def at(self, stage: Stage) -> str:
        """The name of the choice."""
        name: str = getattr(self, stage)
        return name

    def differences(self, other: Reading) -> list[Stage]:
        """The stages at which two readings differ."""
        return [stage for stage in READING_STEPS if self.at(stage) != other.at(stage)]


@dataclass(frozen=True, eq=False)
class Read:
    """Detections as a reading has them.

    Attributes:
        places: (N,) int64, −1 for none.
        boxes: (N, 4) float64, top, left, bottom, right, normalised.
        categories: (N,) int64, index, −1 for none.
        scores: (N,) float64.
        images: (I,) int64, the places looked at.
    """

    places: Ints
    boxes: Floats
    categories: Ints
    scores: Floats
    images: Ints


class Readings:
    """Every reading of a log."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        made = (
            *order_choices(evidence),
            *format_choices(evidence.kind),
            *unit_choices(evidence.kind),
            *frame_choices(evidence.kind),
            *label_choices(evidence),
            *score_choices(),
        )
        self.choices: Mapping[Stage, dict[str, Choice]] = {
            stage: {choice.name: choice for choice in made if choice.stage == stage} for stage in READING_STEPS
        }
        self.default = Reading(**{stage: next(iter(self.choices[stage])) for stage in READING_STEPS})

    def singles(self) -> list[Reading]:
        """The default with one other choice, each."""
        return [
            replace(self.default, **{stage: name})
            for stage in READING_STEPS
            for name in self.choices[stage]
            if name != self.default.at(stage)
        ]

    def with_choice(self, reading: Reading, choice: Choice) -> Reading:
        """The reading with a choice of its own at that choice's stage."""
        self.choices[choice.stage][choice.name] = choice
        return replace(reading, **{choice.stage: choice.name})

    def mistakes(self, reading: Reading) -> list[Choice]:
        """The choices other than the default, in the order of the stages."""
        return [self.choices[stage][reading.at(stage)] for stage in reading.differences(self.default)]

    def read(self, reading: Reading, evidence: Evidence | None = None) -> Read:
        """The detections of the evidence, or of a part of it."""
        evidence = self.evidence if evidence is None else evidence
        chosen = {stage: self.choices[stage][reading.at(stage)].read for stage in READING_STEPS}
        places = chosen["order"](evidence.places)
        sizes = Sizes.at(evidence.truth, places)
        boxes = evidence.numbers
        with np.errstate(all="ignore"):
            for stage in ("format", "units", "frame"):
                boxes = chosen[stage](boxes, sizes)
        categories = chosen["labels"](evidence.labels)
        return Read(places, boxes, categories, chosen["scores"](evidence.scores), chosen["order"](evidence.images))

    def results(self, reading: Reading) -> CocoResults:
        """What an evaluator takes; detections of unknown images or categories are left out."""
        return as_results(self.read(reading), self.evidence)


def as_results(read: Read, evidence: Evidence) -> CocoResults:
    """Detections in pixels, with ids; those of unknown images or categories are left out."""
    truth = evidence.truth
    known = (read.places >= 0) & (read.categories >= 0) & np.isfinite(read.boxes).all(axis=1)
    places = read.places[known]
    top, left, bottom, right = read.boxes[known].T
    width, height = truth.widths[places], truth.heights[places]
    rows = np.empty((len(places), 7))
    rows[:, 0] = truth.image_ids[places]
    rows[:, 1], rows[:, 2] = left * width, top * height
    rows[:, 3], rows[:, 4] = (right - left) * width, (bottom - top) * height
    rows[:, 5] = read.scores[known]
    rows[:, 6] = truth.category_ids[read.categories[known]]
    images = read.images[read.images >= 0]
    return CocoResults(rows, truth.image_ids[np.unique(images)], "coco")


@dataclass(eq=False)
class Trial:
    """A sample of the images, on which readings are tried.

    Attributes:
        readings: what may be read.
        evidence: the sampled images' detections, each image's best ones.
        images: (N,) the number of each detection's image in the sample.
        objects: what there is to find in the annotations' images.
        best: how many detections an image has at most.
    """

    readings: Readings
    evidence: Evidence
    images: Ints
    objects: Objects
    best: int
    _pairs: dict[str, Pairs] = field(default_factory=dict)

    @classmethod
    def of(cls, readings: Readings, *, images: int, best: int, seed: int = 0) -> Trial:
        """A sample of so many images, and of each so many of its best detections."""
        evidence = readings.evidence
        there = np.unique(evidence.images)
        if len(there) > images:
            there = np.sort(np.random.default_rng(seed).choice(there, images, replace=False))
        kept = np.flatnonzero(np.isin(evidence.places, there))
        order = kept[np.lexsort((-evidence.scores[kept], evidence.places[kept]))]
        places = evidence.places[order]
        begins = np.append(True, np.diff(places) != 0) if len(places) else np.zeros(0, bool)
        ranks = np.arange(len(places)) - np.maximum.accumulate(np.where(begins, np.arange(len(places)), 0))
        order = order[ranks < best]
        part = replace(
            evidence,
            images=there,
            places=evidence.places[order],
            numbers=evidence.numbers[order],
            scores=evidence.scores[order],
            labels=evidence.labels[order],
        )
        return cls(readings, part, np.searchsorted(there, part.places), objects_of(evidence.truth), best)

    def pairs(self, order: str) -> Pairs:
        """Of the sample's detections and the objects of the images that this order gives them."""
        if order not in self._pairs:
            read = self.readings.choices["order"][order].read
            self._pairs[order] = pairs_of(self.objects, read(self.evidence.places), read(self.evidence.images))
        return self._pairs[order]

    def forget(self, order: str) -> None:
        """Drops what is kept of an order."""
        self._pairs.pop(order, None)

    def parts(self, reading: Reading) -> Floats:
        """Each sampled image's part of the average precision of a reading."""
        read = self.readings.read(reading, self.evidence)
        pairs = self.pairs(reading.order)
        matches = match(self.objects, pairs, read.boxes, read.categories)
        return average_precision(matches, read.scores, self.images, len(self.evidence.images), pairs.total)

    def matches(self, reading: Reading, *, any_class: bool = False) -> Matches:
        """What each of the sample's detections fits best."""
        read = self.readings.read(reading, self.evidence)
        return match(self.objects, self.pairs(reading.order), read.boxes, None if any_class else read.categories)


def significance(parts: Floats, others: Floats) -> float:
    """By how many standard errors the sum of the first exceeds that of the second, over the images they share."""
    difference = parts - others
    spread = float(np.sqrt(np.sum((difference - difference.mean()) ** 2)))
    total = float(difference.sum())
    if spread == 0:  # the same in every image
        return math.copysign(math.inf, total) if total else 0.0
    return total / spread
