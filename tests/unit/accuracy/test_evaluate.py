"""The twelve figures, by either evaluator."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from harness.accuracy.coco_results import CocoResults
from harness.accuracy.evaluate import (
    FIGURES,
    Accuracy,
    Evaluator,
    chosen_images,
    differences,
    evaluate,
    missing_images,
)
from harness.accuracy.ground_truth import GroundTruth, read_ground_truth
from harness.errors import BackendError, LogError
from tests.support.made_logs import coco_document, random_dataset, written

SIZES = [(640, 480)] * 4
BOXES = [(100, 1, [10, 10, 40, 40]), (99, 1, [10, 10, 200, 200]), (98, 90, [50, 50, 100, 100])]


@pytest.fixture
def truth(tmp_path: Path) -> GroundTruth:
    return read_ground_truth(written(tmp_path / "a.json", coco_document(SIZES, BOXES)))


@pytest.fixture
def perfect(truth: GroundTruth) -> CocoResults:
    """Every object found; image 97 is empty and nothing is found in it."""
    found = [(image, *box, 0.9, category) for image, category, box in BOXES]
    return CocoResults(np.array(found, dtype=np.float64), truth.image_ids, "coco")


@pytest.fixture(params=["pycocotools", "hotcoco"])
def evaluator(request: pytest.FixtureRequest) -> Evaluator:
    if request.param == "hotcoco":
        pytest.importorskip("hotcoco")
    return request.param


def test_perfect_detections_score_one(truth: GroundTruth, perfect: CocoResults, evaluator: Evaluator) -> None:
    accuracy = evaluate(truth, perfect, truth.image_ids, evaluator=evaluator)
    figures = accuracy.figures()
    assert list(figures) == list(FIGURES)
    assert figures.pop("APs") == figures.pop("ARs") == -1  # there are no small objects
    assert list(figures.values()) == pytest.approx([1.0] * 10)
    assert accuracy.per_class == (("class 1", pytest.approx(1)), ("class 3", -1), ("class 90", pytest.approx(1)))
    assert (accuracy.images, accuracy.detections) == (4, 3)
    assert accuracy.evaluator.startswith(f"{evaluator} ")


def test_an_image_in_which_nothing_was_found_costs_its_objects(
    truth: GroundTruth, perfect: CocoResults, evaluator: Evaluator
) -> None:
    partial = replace(perfect, rows=perfect.rows[1:], image_ids=perfect.image_ids[1:])
    # 51 of COCO's 101 recall levels are reached by one of the two objects of class 1
    assert evaluate(truth, partial, truth.image_ids, evaluator=evaluator).mAP == pytest.approx((51 / 101 + 1) / 2)
    assert evaluate(truth, partial, partial.image_ids, evaluator=evaluator).mAP == pytest.approx(1)


def test_a_false_detection_in_an_empty_image_costs_precision_unless_that_image_is_left_out(
    truth: GroundTruth, perfect: CocoResults, evaluator: Evaluator
) -> None:
    false = np.array([[97, 0, 0, 100, 100, 1.0, 90]])
    results = replace(perfect, rows=np.concatenate([perfect.rows, false]))
    everything = chosen_images(truth, results, "all")
    assert evaluate(truth, results, everything, evaluator=evaluator).mAP == pytest.approx(0.75)
    annotated = chosen_images(truth, results, "annotated")
    assert annotated.tolist() == [100, 99, 98]
    assert evaluate(truth, results, annotated, evaluator=evaluator).mAP == pytest.approx(1)


def test_no_detections_at_all_score_zero(truth: GroundTruth, evaluator: Evaluator) -> None:
    nothing = CocoResults(np.empty((0, 7)), truth.image_ids, "coco")
    accuracy = evaluate(truth, nothing, truth.image_ids, evaluator=evaluator)
    assert accuracy.mAP == accuracy.AR100 == 0
    assert accuracy.detections == 0


def test_the_evaluator_prints_nothing(
    truth: GroundTruth, perfect: CocoResults, evaluator: Evaluator, capfd: pytest.CaptureFixture[str]
) -> None:
    evaluate(truth, perfect, truth.image_ids, evaluator=evaluator)
    assert capfd.readouterr() == ("", "")


def test_no_images_are_an_error(truth: GroundTruth, perfect: CocoResults) -> None:
    with pytest.raises(LogError, match="no images to evaluate"):
        evaluate(truth, perfect, np.empty(0, dtype=np.int64))


def test_hotcoco_that_is_not_installed_is_said_so(
    truth: GroundTruth, perfect: CocoResults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BackendError, match="pip install hotcoco"):
        evaluate(truth, perfect, truth.image_ids, evaluator="hotcoco")


def test_images_that_were_not_recorded_are_missing(truth: GroundTruth, perfect: CocoResults) -> None:
    assert missing_images(truth, replace(perfect, image_ids=np.array([99, 97]))).tolist() == [100, 98]
    assert chosen_images(truth, replace(perfect, image_ids=np.array([99, 97])), "logged").tolist() == [99, 97]


def made(value: float, of_class: float) -> Accuracy:
    return Accuracy(
        **dict.fromkeys(FIGURES, value),
        images=1,
        detections=1,
        evaluator="",
        per_class=(("cat", of_class),),
        precision_recall={},
    )


def test_differences_are_those_above_one_in_a_million() -> None:
    assert differences(made(0.5, 0.5), made(0.5 + 9e-7, 0.5)) == {}
    assert differences(made(0.5, 0.5), made(0.5, 0.6)) == {"AP of cat": (0.5, 0.6)}
    assert list(differences(made(0.5, 0.5), made(0.5 + 2e-6, 0.5))) == list(FIGURES)
    assert "mAP" in differences(made(0.5, 0.5), made(float("nan"), 0.5))


def plain_pycocotools(truth: GroundTruth, results: CocoResults) -> np.ndarray:
    """pycocotools as its own demo uses it: everything at once."""
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        known.dataset = {
            "images": [{"id": image} for image in truth.image_ids.tolist()],
            "categories": [{"id": category} for category in truth.category_ids.tolist()],
            "annotations": [
                {
                    "id": i + 1,
                    "image_id": int(truth.box_image_ids[i]),
                    "category_id": int(truth.box_category_ids[i]),
                    "bbox": truth.boxes[i].tolist(),
                    "area": float(truth.areas[i]),
                    "iscrowd": int(truth.crowds[i]),
                }
                for i in range(len(truth.boxes))
            ],
        }
        known.createIndex()
        evaluation = COCOeval(known, known.loadRes(results.rows) if len(results) else COCO(), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


def test_going_by_category_changes_no_figure_of_pycocotools() -> None:
    for seed in range(40):
        truth, results = random_dataset(seed)
        figures = list(evaluate(truth, results, truth.image_ids).figures().values())
        np.testing.assert_array_equal(figures, plain_pycocotools(truth, results), err_msg=f"seed {seed}")


@pytest.mark.parametrize(
    "seeds",
    [range(50), *(pytest.param(range(first, first + 50), marks=pytest.mark.slow) for first in range(50, 200, 50))],
)
def test_both_evaluators_give_the_same_figures_on_random_datasets(seeds: range) -> None:
    pytest.importorskip("hotcoco")
    for seed in seeds:
        truth, results = random_dataset(seed)
        reference = evaluate(truth, results, truth.image_ids, evaluator="pycocotools")
        quick = evaluate(truth, results, truth.image_ids, evaluator="hotcoco")
        assert differences(reference, quick) == {}, f"seed {seed}"


def test_the_random_datasets_hold_what_they_are_for() -> None:
    made_up = [random_dataset(seed) for seed in range(200)]
    assert sum(bool(truth.crowds.any()) for truth, _ in made_up) > 100
    assert all(len(truth.annotated_image_ids) < len(truth.image_ids) for truth, _ in made_up)
    most = [np.unique(results.rows[:, [0, 6]], axis=0, return_counts=True)[1].max(initial=0) for _, results in made_up]
    assert sum(count > 100 for count in most) >= 20
    tied = [len(np.unique(results.rows[:, 5])) < len(results) for _, results in made_up]
    assert sum(tied) > 80


def test_importing_the_evaluators_does_not_import_hotcoco() -> None:
    code = "import sys, harness.accuracy.evaluate; print('hotcoco' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
