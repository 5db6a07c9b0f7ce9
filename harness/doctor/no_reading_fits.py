"""Causes for a log that fits the annotations in no known reading, by the part of the log that still fits."""

from __future__ import annotations

import numpy as np

from harness.doctor.cause import Cause
from harness.doctor.evidence import Evidence, Floats
from harness.doctor.matching import match
from harness.doctor.reading import Read, Reading, Readings
from harness.doctor.trial import Trial

_SURE = 6.0  # standard errors


def no_reading_fits(readings: Readings, trial: Trial) -> Cause:
    """The boxes alone are wrong, or the labels alone, or else the annotations are those of other images."""
    evidence = readings.evidence
    read = readings.default.read(trial.evidence)
    total = len(evidence.truth.image_ids)
    outside = np.unique(evidence.images[(evidence.images < 0) | (evidence.images >= total)])
    if len(outside) == 0:
        if _classes_agree(read, trial, evidence):
            return Cause(
                "boxes-unknown",
                "boxes are wrong in a way that is none of the known ones",
                "the classes in each image are the annotations', but no reading of the boxes fits",
                "see that boxes are decoded with the model's own grid or prior boxes: ssd-harness doctor model",
            )
        boxes = match(trial.objects, trial.pairs(readings.default.order), read.boxes, None).iou
        by_chance = _moved_boxes(read, trial, readings.default)
        if np.mean(boxes >= 0.7) > 3 * np.mean(by_chance >= 0.7) + 0.02:
            return Cause(
                "labels-unknown",
                "labels are wrong in a way that is none of the known ones",
                f"{100 * np.mean(boxes >= 0.7):.0f} % of the boxes lie on an object, but of another class",
                "see which list of classes the labels count",
            )
    if evidence.own_annotations:
        return Cause(
            "nothing-found",
            "what is detected has nothing to do with the objects in the images",
            "neither boxes nor classes agree with the run's own annotations better than with those of other images",
            "see that the model was trained on these classes, and how it is fed: ssd-harness doctor model --model FILE",
        )
    what = f"{len(outside)} of its images are not in the annotations" if len(outside) else "no reading of it fits them"
    return Cause(
        "wrong-annotations",
        "the annotations are not those of the log's images",
        f"the log has images {_span(evidence)}, the annotations {total}; {what}: neither boxes nor classes agree "
        "better than with the annotations of other images",
        "give the annotations file, and the --count, that the run had",
    )


def _span(evidence: Evidence) -> str:
    return f"{evidence.images.min()}..{evidence.images.max()}" if len(evidence.images) else "none"


def _classes_agree(read: Read, trial: Trial, evidence: Evidence) -> bool:
    """Whether the classes found in an image are those of its objects, more often than those of another image's."""
    objects, count = trial.objects, len(evidence.truth.category_ids)
    known = read.categories >= 0
    seen = np.zeros((len(read.images), count))
    np.maximum.at(seen, (trial.images[known], read.categories[known]), np.abs(read.scores[known]))
    there = np.zeros((len(objects.counts), count))
    there[np.repeat(np.arange(len(objects.counts)), objects.counts), objects.categories] = 1
    there -= there.mean(axis=0)  # what is common everywhere tells nothing
    of_image = there[read.images]
    own = (seen * of_image).sum(axis=1)
    other = np.mean([(seen * np.roll(of_image, step, axis=0)).sum(axis=1) for step in (1, 3, 7, 11)], axis=0)
    difference = own - other
    spread = difference.std() * np.sqrt(len(difference))
    return bool(spread > 0 and difference.sum() / spread > _SURE)


def _moved_boxes(read: Read, trial: Trial, reading: Reading) -> Floats:
    """IoU of boxes with the objects of their image after being mirrored, as a measure of chance."""
    mirrored = 1 - read.boxes[:, [2, 3, 0, 1]]
    return match(trial.objects, trial.pairs(reading.order), mirrored, None).iou
