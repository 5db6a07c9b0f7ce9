"""The objects of the annotations as a device would find them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.accuracy.annotated_objects import annotated_objects
from harness.accuracy.ground_truth import GroundTruth, read_ground_truth
from tests.support.made_logs import coco_document, written


@pytest.fixture
def truth(tmp_path: Path) -> GroundTruth:
    boxes = [(100, 90, [10, 20, 30, 40]), (100, 1, [0, 0, 50, 100]), (99, 3, [5, 5, 10, 10]), (100, 3, [1, 1, 0, 5])]
    document = coco_document([(100, 200), (100, 100)], boxes)
    document["annotations"][2]["iscrowd"] = 1
    return read_ground_truth(written(tmp_path / "instances.json", document))


def test_objects_are_normalised_best_first_with_contiguous_labels(truth: GroundTruth) -> None:
    found = annotated_objects(truth, 0, 1.0)
    boxes = {
        label: box.tolist() for label, box in zip(found.labels.tolist(), found.boxes, strict=True)
    }  # category ids 1, 3, 90 are labels 1, 2, 3
    assert boxes[1] == [0, 0, 0.5, 0.5]
    np.testing.assert_allclose(boxes[3], [0.1, 0.1, 0.4, 0.3])
    assert len(found) == 2  # not the one without an area
    assert found.scores[0] >= found.scores[1] >= 0.5


def test_crowds_are_left_out(truth: GroundTruth) -> None:
    assert len(annotated_objects(truth, 1, 1.0)) == 0


def test_a_share_is_a_part_of_a_larger_one_and_always_the_same(tmp_path: Path) -> None:
    boxes = [(100, 3, [float(k), 0.0, 5.0, 5.0]) for k in range(200)]
    truth = read_ground_truth(written(tmp_path / "instances.json", coco_document([(300, 300)], boxes)))
    half, most = (annotated_objects(truth, 0, share) for share in (0.5, 0.9))
    assert 70 < len(half) < 130
    assert {tuple(box) for box in half.boxes.tolist()} < {tuple(box) for box in most.boxes.tolist()}
    np.testing.assert_array_equal(annotated_objects(truth, 0, 0.5).boxes, half.boxes)
