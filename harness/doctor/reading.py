"""Reading a log by one choice at every step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from harness.accuracy.coco_results import CocoResults
from harness.doctor.box_choices import format_choices, frame_choices, unit_choices
from harness.doctor.choices import READING_STEPS, UNDISPLACED, Choice, Sizes, Step
from harness.doctor.evidence import Evidence, Floats, Ints
from harness.doctor.label_choices import label_choices
from harness.doctor.order_choices import order_choices, score_choices


@dataclass(frozen=True, eq=False)
class Read:
    """Detections as a reading has them.

    Attributes:
        places: (N,) int64, the place of each detection's image in the annotations, −1 for none.
        boxes: (N, 4) float64, top, left, bottom, right, normalised to the image.
        categories: (N,) int64, index in the annotations' categories, −1 for none.
        scores: (N,) float64.
        images: (I,) int64, the places of the images that were looked at.
    """

    places: Ints
    boxes: Floats
    categories: Ints
    scores: Floats
    images: Ints


@dataclass(frozen=True)
class Reading:
    """The choice at every step."""

    order: Choice
    format: Choice
    units: Choice
    frame: Choice
    displacement: Choice
    labels: Choice
    scores: Choice

    def at(self, step: Step) -> Choice:
        """The choice at one step."""
        choice: Choice = getattr(self, step)
        return choice

    def with_choice(self, choice: Choice) -> Reading:
        """This reading with another choice at that choice's step."""
        return replace(self, **{choice.step: choice})

    def differences(self, other: Reading) -> list[Step]:
        """The steps at which two readings differ."""
        return [step for step in READING_STEPS if self.at(step) is not other.at(step)]

    def read(self, evidence: Evidence) -> Read:
        """The detections of the evidence, read by these choices."""
        places = self.order.read(evidence.places)
        sizes = Sizes.at(evidence.truth, places)
        boxes = evidence.numbers
        with np.errstate(all="ignore"):
            for choice in (self.format, self.units, self.frame, self.displacement):
                boxes = choice.read(boxes, sizes)
        images = self.order.read(evidence.images)
        return Read(places, boxes, self.labels.read(evidence.labels), self.scores.read(evidence.scores), images)


@dataclass(frozen=True, eq=False)
class Readings:
    """All known readings of a log. How boxes are displaced is estimated, and no choice of it is known beforehand.

    Attributes:
        evidence: The log.
        choices: The choices of each step, the right one first.
        default: The reading by the right choice at every step.
    """

    evidence: Evidence
    choices: Mapping[Step, tuple[Choice, ...]]
    default: Reading

    @classmethod
    def of(cls, evidence: Evidence) -> Readings:
        """The readings of this log."""
        choices: dict[Step, tuple[Choice, ...]] = {
            "order": tuple(order_choices(evidence)),
            "format": tuple(format_choices(evidence.kind)),
            "units": tuple(unit_choices(evidence.kind)),
            "frame": tuple(frame_choices(evidence.kind)),
            "displacement": (UNDISPLACED,),
            "labels": tuple(label_choices(evidence)),
            "scores": tuple(score_choices()),
        }
        return cls(evidence, choices, Reading(**{step: of_step[0] for step, of_step in choices.items()}))

    def singles(self) -> list[Reading]:
        """The readings that differ from the default at one step."""
        return [self.default.with_choice(choice) for step in READING_STEPS for choice in self.choices[step][1:]]

    def mistakes(self, reading: Reading) -> list[Choice]:
        """The choices of a reading that are not the default's, in the order of the steps."""
        return [reading.at(step) for step in reading.differences(self.default)]

    def read(self, reading: Reading) -> Read:
        """All detections of the log, read so."""
        return reading.read(self.evidence)

    def results(self, reading: Reading) -> CocoResults:
        """The log's detections, read so, as an evaluator takes them; see `as_results`."""
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
