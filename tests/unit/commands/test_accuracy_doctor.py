"""``ssd-harness accuracy --doctor`` and ``--against``, on files as people have them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.accuracy.ground_truth import GroundTruth
from harness.accuracy.log import AccuracyLog
from harness.cli import main
from tests.support.made_logs import detector_log, log_text, written
from tests.support.made_runs import made_manifest, made_record

pytest.importorskip("hotcoco")


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.fixture(scope="module")
def healthy() -> tuple[AccuracyLog, GroundTruth]:
    return detector_log(images=30)


@pytest.fixture(name="annotations")
def annotations_file(tmp_path: Path, healthy: tuple[AccuracyLog, GroundTruth]) -> Path:
    truth = healthy[1]
    sizes = zip(truth.image_ids.tolist(), truth.file_names, truth.widths.tolist(), truth.heights.tolist(), strict=True)
    boxes = zip(truth.box_image_ids.tolist(), truth.box_category_ids.tolist(), truth.boxes.tolist(), strict=True)
    document: dict[str, Any] = {
        "images": [{"id": i, "file_name": name, "width": w, "height": h} for i, name, w, h in sizes],
        "categories": [
            {"id": i, "name": name} for i, name in zip(truth.category_ids.tolist(), truth.category_names, strict=True)
        ],
        "annotations": [
            {"id": k, "image_id": image, "category_id": category, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
            for k, (image, category, box) in enumerate(boxes, 1)
        ],
    }
    return written(tmp_path / "instances.json", document)


def write_log(path: Path, log: AccuracyLog) -> Path:
    table = np.column_stack([log.qsl_idx, log.boxes, log.scores, log.labels]).astype("<f4")
    path.write_text(log_text([(image, table[log.qsl_idx == image]) for image in log.images.tolist()]))
    return path


def test_nothing_wrong_is_said_with_status_0(
    tmp_path: Path,
    annotations: Path,
    healthy: tuple[AccuracyLog, GroundTruth],
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = write_log(tmp_path / "log.json", healthy[0])
    assert main(["accuracy", str(log), "--annotations", str(annotations), "--doctor"]) == 0
    out = capsys.readouterr().out
    assert "nothing wrong" in out
    assert "the log is as it should be" in out
    assert "note: the lowest score is 0.05" in out


def test_labels_that_no_map_knows_are_a_diagnosis_and_not_an_error(
    tmp_path: Path,
    annotations: Path,
    healthy: tuple[AccuracyLog, GroundTruth],
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = healthy[0]
    path = write_log(tmp_path / "log.json", replace(log, labels=log.labels - 1))
    assert main(["accuracy", str(path), "--annotations", str(annotations)]) == 3
    assert main(["accuracy", str(path), "--annotations", str(annotations), "--doctor", "--json", "-"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["nothing_wrong"] is False
    assert [finding["name"] for finding in document["findings"]] == ["labels-shifted--1"]
    assert document["repaired_mAP"] > 0.5 > document["mAP"]
    assert document["attempts"][0]["names"] == ["labels-shifted--1"]


def test_a_run_knows_its_own_log_and_annotations(
    tmp_path: Path,
    annotations: Path,
    healthy: tuple[AccuracyLog, GroundTruth],
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    (run / "offline" / "accuracy").mkdir(parents=True)
    write_log(run / "offline" / "accuracy" / "mlperf_log_accuracy.json", healthy[0])
    manifest = made_manifest(tests=[made_record("offline", "accuracy")])
    manifest["dataset"] |= {"annotations": str(annotations), "images": 30}
    written(run / "manifest.json", manifest)
    assert main(["accuracy", str(run)]) == 0
    assert "30 images" in capsys.readouterr().out
    assert main(["accuracy", str(run), "--against", str(run)]) == 0
    out = capsys.readouterr().out
    assert "no significant change" in out
    assert "the detections are the same in every image" in out


def test_a_change_names_its_classes_and_images(
    tmp_path: Path,
    annotations: Path,
    healthy: tuple[AccuracyLog, GroundTruth],
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = healthy[0]
    before = write_log(tmp_path / "before.json", log)
    kept = log.scores < 0.6
    worse = replace(
        log, qsl_idx=log.qsl_idx[kept], boxes=log.boxes[kept], scores=log.scores[kept], labels=log.labels[kept]
    )
    after = write_log(tmp_path / "after.json", worse)
    options = ["--annotations", str(annotations), "--against", str(before)]
    assert main(["accuracy", str(after), *options]) == 0
    out = capsys.readouterr().out
    assert "a significant change for the worse" in out
    assert "classes that changed most" in out
    assert ".jpg" in out
    assert main(["accuracy", str(after), *options, "--json", "-"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["significant"] is True
    assert document["change"] == pytest.approx(document["after"]["mAP"] - document["before"]["mAP"])
    assert document["low"] <= document["change"] <= document["high"] < 0


@pytest.mark.parametrize("content", [None, "{}", '{"dataset": {"annotations": "a.json", "images": 3}}'])
def test_a_folder_that_is_no_run_with_an_accuracy_test_is_refused(
    tmp_path: Path, content: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    assert main(["accuracy", str(tmp_path)]) == 3
    assert str(tmp_path) in capsys.readouterr().err


def test_a_log_needs_annotations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "log.json").write_text("[]")
    assert main(["accuracy", str(tmp_path / "log.json")]) == 2
    assert "--annotations is needed" in capsys.readouterr().err
