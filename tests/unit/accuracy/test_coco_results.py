"""Detections in pixels, with image and category ids."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.accuracy.coco_results import (
    LabelMap,
    category_ids_of,
    is_coco_results,
    read_coco_results,
    results_of_log,
)
from harness.accuracy.evaluate import evaluate
from harness.accuracy.ground_truth import GroundTruth, read_ground_truth
from harness.accuracy.log import read_accuracy_log
from harness.errors import LogError, UsageError
from tests.support.made_logs import coco_document, log_text, rows, written


@pytest.fixture
def truth(tmp_path: Path) -> GroundTruth:
    document = coco_document([(640, 480), (320, 200)], [(99, 3, [1, 2, 30, 40])], category_ids=(90, 3, 7))
    return read_ground_truth(written(tmp_path / "a.json", document))


def test_boxes_are_scaled_by_their_own_images_size(tmp_path: Path, truth: GroundTruth) -> None:
    path = tmp_path / "log.json"
    path.write_text(
        log_text([(1, rows(1, (0.25, 0.5, 0.75, 1.0, 0.5, 1))), (0, rows(0, (0.25, 0.5, 0.75, 1.0, 0.25, 2)))])
    )
    results = results_of_log(read_accuracy_log(path), truth)
    assert results.rows.tolist() == [[99, 160, 50, 160, 100, 0.5, 90], [100, 320, 120, 320, 240, 0.25, 3]]
    assert results.image_ids.tolist() == [99, 100]
    assert results.labels == "contiguous"


def test_images_beyond_the_annotations_are_refused(tmp_path: Path, truth: GroundTruth) -> None:
    path = tmp_path / "log.json"
    path.write_text(log_text([(2, rows(2))]))
    with pytest.raises(LogError, match=r"image 2, the annotations' images are 0\.\.1"):
        results_of_log(read_accuracy_log(path), truth)


@pytest.mark.parametrize(
    ("found", "labels", "meaning", "expected"),
    [
        ([1, 2, 3], "contiguous", "contiguous", [90, 3, 7]),
        ([90, 3, 7], "coco", "coco", [90, 3, 7]),
        ([1, 3], "auto", "contiguous", [90, 7]),
        ([3, 7], "auto", "coco", [3, 7]),
        ([3], "contiguous", "contiguous", [7]),
        ([3], "coco", "coco", [3]),
        ([], "auto", "contiguous", []),
    ],
)
def test_labels_become_category_ids(
    truth: GroundTruth, found: list[int], labels: LabelMap, meaning: str, expected: list[int]
) -> None:
    how, ids = category_ids_of(np.array(found, dtype=np.int32), truth, labels, where="log")
    assert how == meaning
    assert ids.tolist() == expected


@pytest.mark.parametrize(
    ("found", "labels"), [([0], "contiguous"), ([4], "contiguous"), ([1], "coco"), ([1, 90], "auto"), ([-1], "auto")]
)
def test_an_unknown_label_is_an_error(truth: GroundTruth, found: list[int], labels: LabelMap) -> None:
    with pytest.raises(LogError, match="labels of"):
        category_ids_of(np.array(found, dtype=np.int32), truth, labels, where="log")


def test_labels_that_both_maps_know_are_not_guessed(truth: GroundTruth) -> None:
    with pytest.raises(UsageError, match="can be read both as"):
        category_ids_of(np.array([3], dtype=np.int32), truth, "auto", where="log")


def test_nothing_is_ambiguous_where_both_maps_are_the_same(tmp_path: Path) -> None:
    document = coco_document([(640, 480)], [], category_ids=(1, 2, 3))
    truth = read_ground_truth(written(tmp_path / "b.json", document))
    assert category_ids_of(np.array([3], dtype=np.int32), truth, "auto", where="log")[1].tolist() == [3]


def entry(**changes: Any) -> dict[str, Any]:
    return {"image_id": 99, "category_id": 7, "bbox": [1, 2.5, 3, 4], "score": 0.5, **changes}


def test_a_coco_results_file_is_recognised_and_read(tmp_path: Path, truth: GroundTruth) -> None:
    path = written(tmp_path / "results.json", [entry(), entry(image_id=100, score=1)])
    assert is_coco_results(path)
    results, _ = read_coco_results(path, truth)
    assert results.rows.tolist() == [[99, 1, 2.5, 3, 4, 0.5, 7], [100, 1, 2.5, 3, 4, 1, 7]]
    assert results.image_ids.tolist() == [99, 100]
    packed = tmp_path / "results.json.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert is_coco_results(packed)
    assert read_coco_results(packed, truth)[1] == read_coco_results(path, truth)[1]


def test_an_accuracy_log_is_not_taken_for_coco_results(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    path.write_text(log_text([(1, rows(1))]))
    assert not is_coco_results(path)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([entry(), entry(score=float("nan"))], "entry 2 holds a value that is not a finite number"),
        ([entry(image_id=98)], "entry 1 names an image"),
        ([entry(category_id=8)], "entry 1 names a category"),
        ([entry(bbox=[1, 2, 3])], "entry 1 is not"),
        ([entry(), {"image_id": 99}], "entry 2 is not"),
        ([entry(bbox=None)], "entry 1 is not"),
        ([entry(score="high")], "entry 1 is not"),
        ({"image_id": 99}, "not a list"),
    ],
)
def test_damaged_coco_results_are_refused(tmp_path: Path, truth: GroundTruth, entries: Any, message: str) -> None:
    with pytest.raises(LogError, match=message):
        read_coco_results(written(tmp_path / "results.json", entries), truth)


def test_coco_results_cut_anywhere_are_refused(tmp_path: Path, truth: GroundTruth) -> None:
    text = json.dumps([entry(), entry()])
    for length in range(len(text)):
        (tmp_path / "results.json").write_text(text[:length])
        with pytest.raises(LogError):
            read_coco_results(tmp_path / "results.json", truth)


@pytest.mark.parametrize("key", ["image_id", "category_id"])
@pytest.mark.parametrize("value", [99.5, "99", True, None])
def test_ids_are_whole_numbers_and_are_not_cut(tmp_path: Path, truth: GroundTruth, key: str, value: Any) -> None:
    with pytest.raises(LogError, match="entry 1 is not"):
        read_coco_results(written(tmp_path / "results.json", [entry(**{key: value})]), truth)


def test_results_of_images_with_huge_ids_are_exact(tmp_path: Path) -> None:
    huge = 2**60 + 1
    document = coco_document([(100, 100)] * 2, [(100, 1, [10, 10, 50, 50]), (99, 1, [40, 40, 20, 20])])
    ids = {100: huge, 99: huge + 1}
    for image in document["images"]:
        image["id"] = ids[image["id"]]
    for box in document["annotations"]:
        box["image_id"] = ids[box["image_id"]]
    truth = read_ground_truth(written(tmp_path / "annotations.json", document))
    found = [
        {"image_id": huge, "category_id": 1, "bbox": [10, 10, 50, 50], "score": 0.9},
        {"image_id": huge + 1, "category_id": 1, "bbox": [40, 40, 20, 20], "score": 0.9},
    ]
    results, _ = read_coco_results(written(tmp_path / "results.json", found), truth)
    assert evaluate(truth, results, truth.image_ids).mAP == pytest.approx(1)
    found[1]["image_id"] = huge + 2
    with pytest.raises(LogError, match=f"image_id {huge + 2}"):
        read_coco_results(written(tmp_path / "results.json", found), truth)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_results_in_another_encoding_are_recognised(tmp_path: Path, truth: GroundTruth, encoding: str) -> None:
    path = tmp_path / "results.json"
    path.write_bytes(json.dumps([entry()]).encode(encoding))
    assert is_coco_results(path)
    assert len(read_coco_results(path, truth)[0]) == 1


def test_an_empty_list_is_results_with_nothing_found(tmp_path: Path, truth: GroundTruth) -> None:
    path = tmp_path / "results.json"
    path.write_text("[]\n")
    assert is_coco_results(path)
    assert len(read_coco_results(path, truth)[0]) == 0
    path.write_text("[\n]\n")  # LoadGen's log of nothing
    assert not is_coco_results(path)
