"""The doctor names what was planted, and finds nothing where there is nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.accuracy.coco_results import results_of_log
from harness.accuracy.ground_truth import GroundTruth
from harness.accuracy.log import AccuracyLog
from harness.doctor.diagnosis import Diagnosis, diagnose
from harness.doctor.evidence import evidence_of_log, evidence_of_results
from tests.support.made_logs import detector_log
from tests.support.planted_mistakes import DEFECTS, HARMLESS, Defect, both

pytest.importorskip("hotcoco")  # with pycocotools a diagnosis takes ten times as long


@pytest.fixture(scope="module")
def healthy() -> tuple[AccuracyLog, GroundTruth]:
    return detector_log(images=40)


def diagnosis(defect: Defect, healthy: tuple[AccuracyLog, GroundTruth]) -> Diagnosis:
    return diagnose(evidence_of_log(*defect.plant(*healthy), "auto"), "hotcoco")


def test_nothing_is_wrong_with_a_healthy_log(healthy: tuple[AccuracyLog, GroundTruth]) -> None:
    found = diagnose(evidence_of_log(*healthy, "auto"), "hotcoco")
    assert found.causes == ()
    assert found.repaired_mAP is None
    assert found.attempts[0].names == ()
    assert found.attempts[0].mAP == found.mAP > 0.5
    assert found.tried > 3000


@pytest.mark.parametrize("name", HARMLESS)
def test_a_shift_of_half_a_pixel_is_no_mistake(name: str, healthy: tuple[AccuracyLog, GroundTruth]) -> None:
    found = diagnosis(Defect((), HARMLESS[name]), healthy)
    assert found.causes == ()


# one of each step, each trace, each estimate, and each that looks at single images; test_choices.py undoes all of them
PLANTED = (
    "labels one too low",
    "labels mapped twice",
    "boxes as cxcywh",
    "scaled by 1200",
    "letterbox",
    "turned clockwise, some images",
    "the size of any image",
    "id order",
    "annotations by id",
    "score threshold 0.5",
    "10 detections",
    "images missing",
    "logits",
    "other annotations",
    "moved by 2 %",
    "1.15 times too large",
    "1.3 times too wide",
    "person lost",
    "car lost",
    "chair and car exchanged",
)


@pytest.mark.parametrize("name", PLANTED)
def test_what_was_planted_is_named_first(name: str, healthy: tuple[AccuracyLog, GroundTruth]) -> None:
    defect = DEFECTS[name]
    found = diagnosis(defect, healthy)
    assert found.causes, "nothing was found"
    assert found.causes[0].name in defect.names[0]


@pytest.mark.parametrize(
    ("one", "other"), [("boxes as x1y1x2y2", "labels one too low"), ("pixels", "score threshold 0.5")]
)
def test_two_mistakes_are_both_named(one: str, other: str, healthy: tuple[AccuracyLog, GroundTruth]) -> None:
    defect = both(DEFECTS[one], DEFECTS[other])
    found = diagnosis(defect, healthy)
    names = [cause.name for cause in found.causes]
    assert len(names) == 2
    assert all(any(name in wanted for name in names) for wanted in defect.names)


def test_a_repaired_log_has_the_healthy_ones_map(healthy: tuple[AccuracyLog, GroundTruth]) -> None:
    before = diagnose(evidence_of_log(*healthy, "auto"), "hotcoco").mAP
    assert diagnosis(DEFECTS["boxes as x1y1wh"], healthy).repaired_mAP == pytest.approx(before, abs=1e-4)


def test_coco_results_with_labels_in_place_of_ids_are_recognised(healthy: tuple[AccuracyLog, GroundTruth]) -> None:
    log, truth = healthy
    rows = results_of_log(log, truth, "contiguous").rows
    unmapped = rows.copy()
    unmapped[:, 6] = np.searchsorted(truth.category_ids, rows[:, 6]) + 1
    found = diagnose(evidence_of_results(unmapped[:, 0].astype(np.int64), unmapped, truth, log.path), "hotcoco")
    assert [cause.name for cause in found.causes] == ["labels-contiguous"]


def test_images_that_the_annotations_do_not_have_mean_other_annotations(
    healthy: tuple[AccuracyLog, GroundTruth],
) -> None:
    truth = healthy[1]
    log = detector_log(images=40, seed=9)[0]
    elsewhere = replace(log, qsl_idx=log.qsl_idx + 1000, images=log.images + 1000)
    found = diagnose(evidence_of_log(elsewhere, truth, "contiguous"), "hotcoco")
    assert [cause.name for cause in found.causes] == ["wrong-annotations"]
    assert "1000..1039" in found.causes[0].evidence


def test_a_log_with_no_detections_at_all_is_no_riddle(healthy: tuple[AccuracyLog, GroundTruth]) -> None:
    log, truth = healthy
    nothing = np.zeros(len(log), np.bool_)
    empty = replace(
        log,
        qsl_idx=log.qsl_idx[nothing],
        boxes=log.boxes[nothing],
        scores=log.scores[nothing],
        labels=log.labels[nothing],
    )
    found = diagnose(evidence_of_log(empty, truth, "auto"), "hotcoco")
    assert [cause.name for cause in found.causes] == ["no-detections"]


def test_images_without_objects_have_no_map_to_explain(healthy: tuple[AccuracyLog, GroundTruth]) -> None:
    log, truth = healthy
    crowds = replace(truth, crowds=np.ones(len(truth.boxes), np.bool_))
    found = diagnose(evidence_of_log(log, crowds, "auto"), "hotcoco")
    assert [cause.name for cause in found.causes] == ["no-objects"]
    assert found.mAP == -1


def test_images_that_all_show_the_same_are_no_wrong_annotations(healthy: tuple[AccuracyLog, GroundTruth]) -> None:
    log, truth = healthy
    first = log.qsl_idx == 0
    count = len(truth.image_ids)
    there = truth.box_image_ids == truth.image_ids[0]
    same = replace(
        truth,
        widths=np.full(count, truth.widths[0]),
        heights=np.full(count, truth.heights[0]),
        box_image_ids=np.repeat(truth.image_ids, there.sum()),
        box_category_ids=np.tile(truth.box_category_ids[there], count),
        boxes=np.tile(truth.boxes[there], (count, 1)),
        areas=np.tile(truth.areas[there], count),
        crowds=np.tile(truth.crowds[there], count),
    )
    repeated = replace(
        log,
        qsl_idx=np.repeat(np.arange(count), first.sum()),
        boxes=np.tile(log.boxes[first], (count, 1)),
        scores=np.tile(log.scores[first], count),
        labels=np.tile(log.labels[first], count),
    )
    names = [cause.name for cause in diagnose(evidence_of_log(repeated, same, "auto"), "hotcoco").causes]
    assert not {"wrong-annotations", "boxes-unknown", "labels-unknown"} & set(names)
