"""The AP of one image alone is COCO's own where COCO sees only that image and one category."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.accuracy.coco_results import CocoResults
from harness.accuracy.ground_truth import GroundTruth, read_ground_truth
from harness.accuracy.per_image import image_precisions
from tests.support.made_logs import coco_document, written

SIZES = [(100, 100), (100, 100), (100, 100)]  # images 100, 99, 98


def truth_of(folder: Path, boxes: list[tuple[int, int, list[float]]], crowd: tuple[int, ...] = ()) -> GroundTruth:
    document = coco_document(SIZES, boxes)
    for k in crowd:
        document["annotations"][k]["iscrowd"] = 1
    return read_ground_truth(written(folder / "a.json", document))


def results(*rows: tuple[float, ...]) -> CocoResults:
    return CocoResults(np.array(rows, dtype=np.float64).reshape(-1, 7), np.array([100, 99, 98]), "coco")


def test_precision_is_counted_where_an_object_is_found(tmp_path: Path) -> None:
    truth = truth_of(tmp_path, [(100, 1, [0, 0, 10, 10]), (100, 1, [50, 50, 10, 10]), (99, 3, [0, 0, 10, 10])])
    found = results(
        (100, 0, 0, 10, 10, 0.9, 1),  # right: precision 1
        (100, 30, 30, 10, 10, 0.8, 1),  # nothing there
        (100, 50, 50, 10, 10, 0.7, 1),  # right: precision 2/3
        (99, 0, 0, 10, 10, 0.9, 1),  # of another category
    )
    precisions, right = image_precisions(truth, found)
    assert precisions[:2].tolist() == pytest.approx([(1 + 2 / 3) / 2, 0.0])
    assert np.isnan(precisions[2])
    assert right.tolist() == [True, False, True, False]


def test_an_object_is_found_once(tmp_path: Path) -> None:
    truth = truth_of(tmp_path, [(100, 1, [0, 0, 10, 10])])
    twice = results((100, 0, 0, 10, 10, 0.9, 1), (100, 0, 0, 10, 9, 0.95, 1))
    precisions, right = image_precisions(truth, twice)
    assert right.tolist() == [False, True]
    assert precisions[0] == 1.0


def test_detections_on_a_crowd_count_neither_way(tmp_path: Path) -> None:
    truth = truth_of(tmp_path, [(100, 1, [0, 0, 50, 50]), (100, 1, [60, 60, 20, 20])], crowd=(0,))
    found = results((100, 10, 10, 10, 10, 0.9, 1), (100, 60, 60, 20, 20, 0.8, 1))
    precisions, right = image_precisions(truth, found)
    assert precisions[0] == 1.0
    assert right.tolist() == [False, True]


def test_nothing_found_is_zero(tmp_path: Path) -> None:
    truth = truth_of(tmp_path, [(100, 1, [0, 0, 50, 50])])
    precisions, right = image_precisions(truth, results())
    assert precisions[0] == 0.0
    assert len(right) == 0
