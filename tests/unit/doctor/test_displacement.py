"""What is planted between boxes and objects is estimated, and its interval holds it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.accuracy.ground_truth import GroundTruth
from harness.accuracy.log import AccuracyLog
from harness.doctor.displaced_boxes import displaced_boxes, displacement, shift_note
from harness.doctor.displacement import Displacement
from harness.doctor.evidence import Floats, evidence_of_log
from harness.doctor.reading import Readings
from harness.doctor.trial import Trial
from tests.support.made_logs import detector_log


@pytest.fixture(scope="module")
def healthy() -> tuple[AccuracyLog, GroundTruth]:
    return detector_log(images=80)


def displaced(
    healthy: tuple[AccuracyLog, GroundTruth], shift: Floats, position: float, size: Floats
) -> tuple[Readings, Trial]:
    """A trial of the log with its boxes displaced so; y before x."""
    log, truth = healthy
    boxes = log.boxes.astype(np.float64)
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2 * size
    centre = 0.5 + position * (centre - 0.5) + shift
    moved = replace(log, boxes=np.concatenate([centre - half, centre + half], axis=1).astype(np.float32))
    readings = Readings.of(evidence_of_log(moved, truth, "contiguous"))
    return readings, Trial.of(readings, images=None, best=60)


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.02, -0.03), (0.0, 0.05)])
@pytest.mark.parametrize("size", [(1.0, 1.0), (1.3, 1.3), (0.8, 1.2)])
def test_a_shift_and_a_size_are_estimated(
    healthy: tuple[AccuracyLog, GroundTruth], shift: tuple[float, float], size: tuple[float, float]
) -> None:
    readings, trial = displaced(healthy, np.array(shift), 1.0, np.array(size))
    found = displacement(trial, readings.default)
    assert found is not None
    assert found.shift == pytest.approx(shift, abs=0.003)
    assert found.size == pytest.approx(size, rel=0.05)
    for axis in (0, 1):
        interval = found.interval("shift", axis)
        assert interval.low - 0.002 <= shift[axis] <= interval.high + 0.002
        assert interval.high - interval.low < 0.01


def test_coordinates_scaled_about_the_image_are_told_from_boxes_scaled_about_themselves(
    healthy: tuple[AccuracyLog, GroundTruth],
) -> None:
    for position, size, name in ((1.1, 1.1, "boxes-scaled"), (1.0, 1.2, "boxes-too-large"), (1.0, 1.0, None)):
        readings, trial = displaced(healthy, np.zeros(2), position, np.array([size, size]))
        choice = displaced_boxes(trial, readings.default)
        assert (choice and choice.name) == name


def test_undoing_a_displacement_gives_the_boxes_back() -> None:
    found = Displacement(np.array([0.02, -0.01]), np.array([1.1, 0.9]), np.array([1.3, 0.8]), np.zeros((0, 3, 2)), 0, 0)
    boxes = np.array([[0.2, 0.3, 0.4, 0.7], [0.0, 0.0, 1.0, 1.0]])
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2 * found.size
    centre = 0.5 + found.position * (centre - 0.5) + found.shift
    assert found.undo(np.concatenate([centre - half, centre + half], axis=1)) == pytest.approx(boxes)


def test_a_shift_too_small_to_be_wrong_is_a_note(healthy: tuple[AccuracyLog, GroundTruth]) -> None:
    readings, trial = displaced(healthy, np.array([0.0, 0.004]), 1.0, np.ones(2))
    assert displaced_boxes(trial, readings.default) is None
    note = shift_note(trial, readings.default)
    assert note is not None
    assert "of the width to the right" in note


def test_too_few_matches_give_no_estimate() -> None:
    readings, trial = displaced(detector_log(images=4), np.zeros(2), 1.0, np.ones(2))
    assert displacement(trial, readings.default) is None
