"""The accuracy of a run of ours."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from harness.accuracy.ground_truth import read_ground_truth
from harness.dataset.coco_index import CocoImage, CocoIndex
from harness.errors import LogError
from harness.runs.evaluation import Evaluated, evaluate_run
from tests.support.made_logs import coco_document, log_text, rows, written

FOUND = rows(0, (0.25, 0.25, 0.75, 0.75, 0.9, 3))


@pytest.fixture
def dataset(tmp_path: Path) -> CocoIndex:
    """Two of the annotations' three images; one object, of the third category, in the first."""
    path = written(tmp_path / "a.json", coco_document([(400, 200)] * 3, [(100, 90, [100, 50, 200, 100])]))
    images = tuple(CocoImage(image, f"{image}.jpg", 400, 200, tmp_path / f"{image}.jpg") for image in (100, 99))
    return CocoIndex(annotations=path, images=images, category_ids=(1, 3, 90), sha256="", images_available=3)


def evaluated(folder: Path, dataset: CocoIndex) -> Evaluated:
    return evaluate_run(folder, dataset, read_ground_truth(dataset.annotations).first(len(dataset)))


def test_a_run_is_evaluated_over_its_own_images_and_leaves_its_figures_beside_the_log(
    tmp_path: Path, dataset: CocoIndex
) -> None:
    text = log_text([(1, rows(1)), (0, FOUND)])
    (tmp_path / "mlperf_log_accuracy.json").write_text(text)
    accuracy = evaluated(tmp_path, dataset).accuracy
    assert accuracy.mAP == pytest.approx(1)
    assert accuracy.images == 2
    summary = json.loads((tmp_path / "accuracy.json").read_text())
    assert summary == {**accuracy.figures(), "images": 2, "detections": 1, "evaluator": accuracy.evaluator}
    assert accuracy.evaluator.startswith("pycocotools ")
    lines = (tmp_path / "accuracy.txt").read_text().splitlines()
    assert lines[-2:] == ["mAP=100.000%", f"hash={hashlib.sha256(text.encode()).hexdigest()}"]


def test_a_run_whose_log_lacks_an_image_has_no_accuracy(tmp_path: Path, dataset: CocoIndex) -> None:
    (tmp_path / "mlperf_log_accuracy.json").write_text(log_text([(0, FOUND)]))
    with pytest.raises(LogError, match=r"1 of the 2 images that were run are missing, the first: 99\.jpg"):
        evaluated(tmp_path, dataset)
    assert not (tmp_path / "accuracy.txt").exists()


def test_a_run_whose_log_holds_an_image_that_was_not_run_has_no_accuracy(tmp_path: Path, dataset: CocoIndex) -> None:
    (tmp_path / "mlperf_log_accuracy.json").write_text(log_text([(0, FOUND), (1, rows(1)), (2, rows(2))]))
    with pytest.raises(LogError, match="record 3 names image 2"):
        evaluated(tmp_path, dataset)
