"""Every repair undoes its mistake, to the last digit that a float32 keeps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.accuracy.ground_truth import GroundTruth
from harness.accuracy.log import AccuracyLog
from harness.doctor.evidence import evidence_of_log
from harness.doctor.reading import Readings
from tests.support.made_logs import detector_log
from tests.support.planted_mistakes import DEFECTS, categories_of


@pytest.fixture(scope="module")
def healthy() -> tuple[AccuracyLog, GroundTruth]:
    return detector_log(images=40)


def repaired(name: str, healthy: tuple[AccuracyLog, GroundTruth]) -> list[str]:
    """The choices among those that the defect may be called by that give back the healthy detections."""
    log, truth = healthy
    harmed, annotations = DEFECTS[name].plant(log, truth)
    readings = Readings.of(evidence_of_log(harmed, annotations, "contiguous"))
    expected = Readings.of(evidence_of_log(log, truth, "contiguous")).read(readings.default)
    giving = []
    for reading in readings.singles():
        (choice,) = readings.mistakes(reading)
        if choice.name not in DEFECTS[name].names[0]:
            continue
        read = readings.read(reading)
        if (
            len(read.boxes) == len(expected.boxes)
            and np.allclose(read.boxes, expected.boxes, atol=2e-5)
            and np.array_equal(read.places, expected.places)
            and np.array_equal(read.categories, expected.categories)
        ):
            giving.append(choice.name)
    return giving


@pytest.mark.parametrize(
    "name",
    [
        "labels one too low",
        "labels one too high",
        "boxes as x1y1x2y2",
        "boxes as y1x1hw",
        "boxes as x1y1wh",
        "boxes as cxcywh",
        "boxes as cycxhw",
        "pixels",
        "pixels of 1200",
        "normalised twice",
        "scaled by 1200",
        "scaled by the size, of 1200",
        "sides exchanged",
        "the next image's size",
        "letterbox",
        "letterbox in the corner",
        "mirrored",
        "turned by 180",
        "turned clockwise",
        "id order",
        "text order",
        "samples from 1",
        "annotated images only",
    ],
)
def test_a_repair_undoes_its_mistake(name: str, healthy: tuple[AccuracyLog, GroundTruth]) -> None:
    assert repaired(name, healthy), f"no repair of {name} gives the healthy log back"


@pytest.mark.parametrize(
    ("reading", "labels"),
    [
        ("contiguous", lambda c, ids: c + 1),
        ("coco", lambda c, ids: ids[c]),
        ("auto", lambda c, ids: c + 1),
        ("auto", lambda c, ids: ids[c]),
    ],
)
def test_labels_are_read_as_they_are_said_to_be(
    reading: str, labels: object, healthy: tuple[AccuracyLog, GroundTruth]
) -> None:
    log, truth = healthy
    categories = categories_of(log, truth)
    written = replace(log, labels=labels(categories, truth.category_ids).astype(np.int32))  # type: ignore[operator]
    readings = Readings.of(evidence_of_log(written, truth, reading))  # type: ignore[arg-type]
    np.testing.assert_array_equal(readings.read(readings.default).categories, categories)


def test_every_choice_has_a_name_of_its_own_and_says_what_to_do(healthy: tuple[AccuracyLog, GroundTruth]) -> None:
    readings = Readings.of(evidence_of_log(*healthy, "auto"))
    every = [choice for step in readings.choices.values() for choice in step]
    assert len({choice.name for choice in every}) == len(every)
    for reading in readings.singles():
        (choice,) = readings.mistakes(reading)
        assert choice.problem
        assert choice.advice
