"""A sample of a log's images, on which hundreds of readings are tried, and how well each fits the annotations."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from harness.doctor.choices import Choice
from harness.doctor.evidence import Evidence, Floats, Ints
from harness.doctor.matching import Matches, Objects, Pairs, average_precision, match, objects_of, pairs_of
from harness.doctor.reading import Reading, Readings


@dataclass(frozen=True, eq=False)
class Trial:
    """A sample of the images, on which readings are tried.

    Attributes:
        evidence: The sampled images' detections, each image's best ones.
        images: (N,) int64, the number of each detection's image in the sample.
        objects: What there is to find in the annotations' images.
        best: How many detections of an image are kept at most.
    """

    evidence: Evidence
    images: Ints
    objects: Objects
    best: int
    _pairs: dict[Choice, Pairs] = field(default_factory=dict)  # kept, since many readings share an order

    @classmethod
    def of(cls, readings: Readings, *, images: int | None, best: int, seed: int = 0) -> Trial:
        """A sample of so many images (None: all), and of each so many of its best detections."""
        evidence = readings.evidence
        there = np.unique(evidence.images)
        if images is not None and len(there) > images:
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
        return cls(part, np.searchsorted(there, part.places), objects_of(evidence.truth), best)

    def pairs(self, order: Choice) -> Pairs:
        """The sample's detections with the objects of the images that this order gives them."""
        if order not in self._pairs:
            self._pairs[order] = self._pairs_of(order)
        return self._pairs[order]

    def parts(self, reading: Reading) -> Floats:
        """Each sampled image's part of the average precision of a reading; see `average_precision`."""
        return self._parts(reading, self.pairs(reading.order))

    def parts_elsewhere(self, reading: Reading, step: int) -> Floats:
        """`parts` if every image's detections belonged to the image so many places further on: a measure of chance."""
        count, read = len(self.evidence.truth.image_ids), reading.order.read

        def moved(places: Ints) -> Ints:
            there = read(places)
            return np.where(there >= 0, (there + step) % count, -1)

        elsewhere = reading.with_choice(replace(reading.order, name="elsewhere", read=moved))
        return self._parts(elsewhere, self._pairs_of(elsewhere.order))

    def matches(self, reading: Reading, *, any_class: bool = False) -> Matches:
        """The object that each of the sample's detections fits best, of its own class or of any."""
        read = reading.read(self.evidence)
        return match(self.objects, self.pairs(reading.order), read.boxes, None if any_class else read.categories)

    def _pairs_of(self, order: Choice) -> Pairs:
        return pairs_of(self.objects, order.read(self.evidence.places), order.read(self.evidence.images))

    def _parts(self, reading: Reading, pairs: Pairs) -> Floats:
        read = reading.read(self.evidence)
        matches = match(self.objects, pairs, read.boxes, read.categories)
        return average_precision(matches, read.scores, self.images, len(self.evidence.images), pairs.total)


def significance(parts: Floats, others: Floats) -> float:
    """By how many standard errors the sum of the first exceeds that of the second, over the images they share."""
    difference = parts - others
    spread = float(np.sqrt(np.sum((difference - difference.mean()) ** 2)))
    total = float(difference.sum())
    if spread == 0:  # the same in every image
        return math.copysign(math.inf, total) if total else 0.0
    return total / spread
