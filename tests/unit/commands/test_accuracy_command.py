"""``ssd-harness accuracy``."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from harness.accuracy import evaluate as evaluate_module
from harness.cli import main
from tests.support.made_logs import coco_document, log_text, rows, written

BOXES = [(100, 90, [100, 50, 200, 100]), (99, 1, [100, 50, 200, 100]), (98, 1, [10, 10, 300, 100])]
FOUND = [
    (0, rows(0, (0.25, 0.25, 0.75, 0.75, 0.9, 3))),
    (1, rows(1, (0.25, 0.25, 0.75, 0.75, 0.9, 1), (0.1, 0.1, 0.2, 0.2, 0.95, 2))),
    (0, rows(0, (0.25, 0.25, 0.75, 0.75, 0.9, 3))),
]


@pytest.fixture(name="annotations")
def annotations_file(tmp_path: Path) -> Path:
    return written(tmp_path / "instances.json", coco_document([(400, 200)] * 3, BOXES))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Two of the three images, one of them twice; labels contiguous."""
    path = tmp_path / "mlperf_log_accuracy.json"
    path.write_text(log_text(FOUND))
    return path


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")


def accuracy(log: Path, annotations: Path, *options: str) -> int:
    return main(["accuracy", str(log), "--annotations", str(annotations), "--evaluator", "pycocotools", *options])


def test_a_partial_log_is_evaluated_over_its_images_and_says_so(
    log: Path, annotations: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert accuracy(log, annotations) == 0
    out = capsys.readouterr().out
    assert "2 images, 3 detections, pycocotools" in out
    assert "100.000" in out
    assert "accuracy log with 3 entries, 1 of them repeat an image; labels read as contiguous" in out
    assert "PARTIAL: 1 of the annotations' 3 images are not in the log; the mAP is over the others" in out


def test_missing_images_count_as_empty_when_all_are_evaluated(
    log: Path, annotations: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert accuracy(log, annotations, "--images-evaluated", "all", "--json", "-") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["accuracy"]["images"] == 3
    assert report["accuracy"]["mAP"] == pytest.approx((1 + 51 / 101) / 2)
    assert report["images_evaluated"] == "all"
    assert report["images_missing"] == 1
    assert report["images_missing_first"] == [98]
    assert report["records_repeated"] == 1
    assert report["per_class"] == {"class 1": pytest.approx(51 / 101), "class 3": -1, "class 90": pytest.approx(1)}


def test_a_partial_log_is_below_the_gate_when_completeness_is_required(log: Path, annotations: Path) -> None:
    assert accuracy(log, annotations, "--require-complete") == 1
    assert accuracy(log, annotations, "--require-complete", "--count", "2") == 0


def test_the_first_images_are_the_whole_dataset_of_a_short_run(
    log: Path, annotations: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert accuracy(log, annotations, "--count", "2") == 0
    assert "PARTIAL" not in capsys.readouterr().out
    assert accuracy(log, annotations, "--count", "1") == 3
    assert "record 2 names image 1" in capsys.readouterr().err


def test_classes_are_listed_best_first(log: Path, annotations: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert accuracy(log, annotations, "--per-class", "--images-evaluated", "all") == 0
    out = capsys.readouterr().out
    assert out.index("class 90") < out.index("class 1 ") < out.index("class 3")


def test_the_json_is_written_beside_the_table(
    tmp_path: Path, log: Path, annotations: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert accuracy(log, annotations, "--json", str(tmp_path / "out.json")) == 0
    assert "mAP" in capsys.readouterr().out
    assert json.loads((tmp_path / "out.json").read_text())["accuracy"]["mAP"] == pytest.approx(1)


def test_coco_results_are_evaluated_over_all_images(
    tmp_path: Path, annotations: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [{"image_id": 100, "category_id": 90, "bbox": [100, 50, 200, 100], "score": 0.5}]
    assert accuracy(written(tmp_path / "results.json", found), annotations) == 0
    out = capsys.readouterr().out
    assert "3 images, 1 detections" in out
    assert "2 of the annotations' 3 images have no detections; they count as images in which nothing was found" in out


@pytest.mark.parametrize("option", ["--require-complete", "--labels=contiguous"])
def test_options_that_coco_results_cannot_answer_are_refused(
    tmp_path: Path, annotations: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [{"image_id": 100, "category_id": 90, "bbox": [100, 50, 200, 100], "score": 0.5}]
    assert accuracy(written(tmp_path / "results.json", found), annotations, option) == 2
    assert "does not say which images were looked at" in capsys.readouterr().err


def test_contiguous_labels_read_as_category_ids_are_an_error(
    log: Path, annotations: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert accuracy(log, annotations, "--labels", "coco") == 3
    assert "try the other of --labels" in capsys.readouterr().err


def test_a_damaged_log_has_no_figures_and_its_record_is_named(
    log: Path, annotations: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packed = gzip.compress(log.read_bytes())
    log.write_bytes(packed[:-12])
    assert accuracy(log, annotations) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert "mlperf_log_accuracy.json: record " in err
    assert "cannot be read: Compressed file ended" in err


def test_both_evaluators_agree(log: Path, annotations: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("hotcoco")
    assert accuracy(log, annotations, "--cross-check") == 0
    assert "gives the same figures" in capsys.readouterr().out


def test_evaluators_that_differ_are_below_the_gate(
    log: Path, annotations: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("hotcoco")
    monkeypatch.setattr(evaluate_module, "AGREEMENT", -1.0)
    assert accuracy(log, annotations, "--cross-check") == 1
    assert "cross-check: mAP is 1.000000000, but 1.000000000 by hotcoco" in capsys.readouterr().out


def test_the_quick_evaluator_is_the_default_where_it_is_installed(
    log: Path, annotations: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("hotcoco")
    assert main(["accuracy", str(log), "--annotations", str(annotations)]) == 0
    assert "hotcoco" in capsys.readouterr().out


def test_without_hotcoco_pycocotools_evaluates_and_a_cross_check_says_what_is_missing(
    log: Path, annotations: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["accuracy", str(log), "--annotations", str(annotations)]) == 0
    assert "pycocotools" in capsys.readouterr().out
    assert accuracy(log, annotations, "--cross-check") == 3
    assert "pip install hotcoco" in capsys.readouterr().err
