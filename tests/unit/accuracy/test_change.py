"""The change of mAP between two logs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.accuracy.change import _class_aps, change
from harness.accuracy.coco_results import CocoResults, results_of_log
from harness.accuracy.evaluate import evaluate
from harness.accuracy.ground_truth import GroundTruth
from harness.accuracy.pycocotools_evaluator import match_boxes
from harness.errors import LogError
from tests.support.made_logs import detector_log, random_dataset


@pytest.fixture(scope="module")
def detected() -> tuple[GroundTruth, CocoResults]:
    log, truth = detector_log(images=40)
    return truth, results_of_log(log, truth, "contiguous")


def without(results: CocoResults, lost: np.ndarray) -> CocoResults:
    return replace(results, rows=results.rows[~lost])


def test_the_same_detections_have_changed_by_exactly_nothing(detected: tuple[GroundTruth, CocoResults]) -> None:
    truth, results = detected
    shuffled = replace(results, rows=results.rows[np.random.default_rng(0).permutation(len(results))])
    found = change(truth, results, shuffled, evaluator="pycocotools")
    assert (found.mAP, found.low, found.high) == (0.0, 0.0, 0.0)
    assert not found.significant
    assert found.images_differing == 0
    assert found.images == ()
    assert all(part.change == 0 for part in found.classes)


def test_the_classes_and_images_that_were_harmed_come_first(detected: tuple[GroundTruth, CocoResults]) -> None:
    truth, results = detected
    image = truth.box_image_ids[0]
    lost = results.rows[:, 0] == image
    found = change(truth, results, without(results, lost), evaluator="pycocotools")
    assert found.images_differing == 1
    assert found.images[0].name == f"{image:012}.jpg"
    assert found.images[0].after == 0 < found.images[0].before
    assert found.mAP < 0
    harmed = {truth.category_names[list(truth.category_ids).index(c)] for c in results.rows[lost, 6]}
    assert found.classes[0].name in harmed


def test_a_great_loss_is_significant_and_a_tiny_one_is_not(detected: tuple[GroundTruth, CocoResults]) -> None:
    truth, results = detected
    rng = np.random.default_rng(1)
    half = change(truth, results, without(results, rng.random(len(results)) < 0.5), evaluator="pycocotools")
    assert half.significant
    assert half.high < 0
    assert half.low < half.mAP < half.high
    few = np.isin(np.arange(len(results)), rng.choice(np.flatnonzero(results.rows[:, 5] < 0.2), 3))
    tiny = change(truth, results, without(results, few), evaluator="pycocotools")
    assert tiny.images_differing > 0
    assert not tiny.significant
    assert tiny.low <= 0 <= tiny.high


def test_images_that_only_one_has_are_left_out(detected: tuple[GroundTruth, CocoResults]) -> None:
    truth, results = detected
    half = replace(results, image_ids=results.image_ids[:20])
    found = change(truth, results, half, evaluator="pycocotools")
    assert found.before.images == 20
    assert found.mAP == 0
    with pytest.raises(LogError, match="no images in common"):
        change(truth, half, replace(results, image_ids=results.image_ids[20:]), evaluator="pycocotools")


@pytest.mark.parametrize("seed", range(0, 24, 2))  # odd seeds have tied scores, whose order differs among images
def test_the_drawn_ap_of_every_image_once_is_the_evaluators(seed: int) -> None:
    truth, results = random_dataset(seed)
    image_ids = np.unique(truth.image_ids)
    accuracy = evaluate(truth, results, image_ids)
    matches = match_boxes(truth, results.rows, image_ids)
    aps = _class_aps(matches, image_ids, np.ones((1, len(image_ids))))[:, 0]
    expected = dict(zip(truth.category_ids.tolist(), [ap for _, ap in accuracy.per_class], strict=True))
    for of_class, ap in zip(matches, aps, strict=True):
        assert ap == pytest.approx(expected[of_class.category], abs=1e-9)


def test_an_image_drawn_twice_counts_as_two() -> None:
    truth, results = random_dataset(4)
    image_ids = np.unique(truth.image_ids)
    weights = np.arange(1.0, len(image_ids) + 1)
    drawn = _class_aps(match_boxes(truth, results.rows, image_ids), image_ids, weights[np.newaxis])[:, 0]
    copies = np.repeat(np.arange(len(image_ids)), weights.astype(int))  # the same images under ids of their own
    new_ids = np.arange(len(copies)) + 10_000

    def copied(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        at = [np.flatnonzero(ids == image_ids[copy]) for copy in copies]
        return np.concatenate(at), np.repeat(new_ids, [len(each) for each in at])

    boxes, box_ids = copied(truth.box_image_ids)
    rows, row_ids = copied(results.rows[:, 0])
    many = replace(
        truth,
        image_ids=new_ids,
        widths=np.full(len(new_ids), 640.0),
        heights=np.full(len(new_ids), 480.0),
        box_image_ids=box_ids,
        box_category_ids=truth.box_category_ids[boxes],
        boxes=truth.boxes[boxes],
        areas=truth.areas[boxes],
        crowds=truth.crowds[boxes],
    )
    table = results.rows[rows].copy()
    table[:, 0] = row_ids
    accuracy = evaluate(many, CocoResults(table, new_ids, "coco"), new_ids)
    expected = [
        ap for _, ap in sorted(zip(truth.category_ids, [ap for _, ap in accuracy.per_class], strict=True)) if ap >= 0
    ]
    # copies come in one step here and one by one there, between which the precision can differ
    np.testing.assert_allclose(drawn, expected, atol=0.02)
