"""Classes that are lost, merged or exchanged."""

from __future__ import annotations

import numpy as np
import pytest

from harness.accuracy.ground_truth import GroundTruth
from harness.accuracy.log import AccuracyLog
from harness.doctor.class_use import ClassUse, class_causes, class_use, exchanged_classes
from harness.doctor.evidence import evidence_of_log
from harness.doctor.reading import Reading, Readings
from harness.doctor.trial import Trial
from tests.support.made_logs import detector_log
from tests.support.planted_mistakes import DEFECTS, Plant


@pytest.fixture(scope="module")
def healthy() -> tuple[AccuracyLog, GroundTruth]:
    return detector_log(images=80)


def use_of(healthy: tuple[AccuracyLog, GroundTruth], plant: Plant) -> tuple[ClassUse, GroundTruth, Reading]:
    log, truth = plant(*healthy)
    readings = Readings.of(evidence_of_log(log, truth, "auto"))
    trial = Trial.of(readings, images=None, best=60)
    return class_use(trial, readings.default), truth, readings.default


def test_a_healthy_log_uses_its_classes_well(healthy: tuple[AccuracyLog, GroundTruth]) -> None:
    use, truth, reading = use_of(healthy, lambda log, truth: (log, truth))
    assert [*class_causes(use, truth)] == []
    assert exchanged_classes(use, truth, reading) is None
    assert use.usual > 0.3
    assert use.objects.sum() == len(truth.boxes)


def test_a_lost_class_is_named(healthy: tuple[AccuracyLog, GroundTruth]) -> None:
    use, truth, _ = use_of(healthy, DEFECTS["person lost"].plant)
    (cause,) = class_causes(use, truth)
    assert cause.name == "classes-never-given"
    assert cause.problem == "a class is never given: person"


def test_a_class_that_is_written_as_another_is_named_with_that(healthy: tuple[AccuracyLog, GroundTruth]) -> None:
    use, truth, _ = use_of(healthy, DEFECTS["truck merged into car"].plant)
    (cause,) = class_causes(use, truth)
    assert cause.name == "classes-merged"
    assert cause.problem == "classes are merged: truck is given as car"


def test_exchanged_classes_are_put_right(healthy: tuple[AccuracyLog, GroundTruth]) -> None:
    # two that are common here
    use, truth, reading = use_of(healthy, DEFECTS["person and bicycle exchanged"].plant)
    choice = exchanged_classes(use, truth, reading)
    assert choice is not None
    assert choice.problem == "classes are given for each other: bicycle as person, person as bicycle"
    ids = truth.category_ids
    assert choice.read(np.array([ids[0], ids[1], ids[2], 12])).tolist() == [1, 0, 2, -1]
