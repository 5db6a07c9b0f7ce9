"""``ssd-harness accuracy --doctor`` and ``--against``, on files as people have them."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.accuracy.ground_truth import GroundTruth
from harness.accuracy.log import AccuracyLog
from harness.cli import main
from harness.files import sha256_file
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
    manifest["dataset"] |= {"annotations": str(annotations), "images": 30, "sha256": sha256_file(annotations)}
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


@pytest.fixture
def run_directory(tmp_path: Path, annotations: Path, healthy: tuple[AccuracyLog, GroundTruth]) -> Path:
    """A run of ours whose annotations are named relative to the folder that it was started in."""
    run = tmp_path / "run"
    (run / "offline" / "accuracy").mkdir(parents=True)
    write_log(run / "offline" / "accuracy" / "mlperf_log_accuracy.json", healthy[0])
    manifest = made_manifest(tests=[made_record("offline", "accuracy")])
    manifest["directory"] = str(annotations.parent)
    manifest["dataset"] |= {"annotations": annotations.name, "images": 30, "sha256": sha256_file(annotations)}
    manifest["dataset"] |= {"synthetic": False}
    manifest["model"] |= {"default": False}
    manifest["backend"] |= {"simulated": False}
    written(run / "manifest.json", manifest)
    return run


def edit_manifest(run: Path, part: str, **changes: Any) -> None:
    manifest = json.loads((run / "manifest.json").read_text())
    manifest[part] |= changes
    written(run / "manifest.json", manifest)


def test_a_run_is_evaluated_from_another_folder_with_its_own_annotations(
    tmp_path: Path, run_directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "instances.json").write_text("what happens to lie there")
    monkeypatch.chdir(elsewhere)
    assert main(["accuracy", str(run_directory)]) == 0
    assert "30 images" in capsys.readouterr().out


def test_annotations_that_were_changed_after_the_run_are_refused(
    run_directory: Path, annotations: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    annotations.write_text(annotations.read_text() + " ")
    assert main(["accuracy", str(run_directory)]) == 3
    assert "is not what it was when the run was made" in capsys.readouterr().err
    assert main(["accuracy", str(run_directory), "--annotations", str(annotations)]) == 0  # asked for
    annotations.unlink()
    assert main(["accuracy", str(run_directory)]) == 3
    assert "the run's annotations are no longer there" in capsys.readouterr().err


def test_the_default_model_on_photographs_is_the_whole_diagnosis(
    run_directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit_manifest(run_directory, "model", default=True)
    assert main(["accuracy", str(run_directory), "--doctor"]) == 1
    out = capsys.readouterr().out
    assert "1. the model is the harness's own one, which knows synthetic objects only" in out
    assert "2. " not in out
    edit_manifest(run_directory, "dataset", synthetic=True)
    assert main(["accuracy", str(run_directory), "--doctor"]) == 0


def test_a_simulated_device_is_named_before_anything_else(
    run_directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["accuracy", str(run_directory), "--doctor"]) == 0
    assert "SIMULATED" not in capsys.readouterr().err
    edit_manifest(run_directory, "backend", simulated=True)
    assert main(["accuracy", str(run_directory), "--doctor"]) == 0
    assert capsys.readouterr().err.startswith("note: the devices were SIMULATED")


def test_a_run_that_knows_its_annotations_is_never_told_that_they_are_wrong(
    run_directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = detector_log(images=30, seed=9)[0]  # of other images
    write_log(run_directory / "offline" / "accuracy" / "mlperf_log_accuracy.json", noise)
    assert main(["accuracy", str(run_directory), "--doctor", "--json", "-"]) == 1
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert [finding["name"] for finding in findings] == ["nothing-found"]


@pytest.mark.parametrize("more", [[], ["--against", "nowhere.json"]])
def test_a_path_that_is_not_there_is_said_so(more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["accuracy", "nofolder", *more]) == 3
    assert capsys.readouterr().err.startswith("error: nofolder: no such file or folder")


def test_a_log_and_its_annotations_may_come_through_pipes(
    tmp_path: Path,
    annotations: Path,
    healthy: tuple[AccuracyLog, GroundTruth],
    capsys: pytest.CaptureFixture[str],
) -> None:
    sources = [write_log(tmp_path / "log.json", healthy[0]), annotations]
    pipes = [tmp_path / "log.pipe", tmp_path / "annotations.pipe"]
    writers = []
    for source, pipe in zip(sources, pipes, strict=True):
        os.mkfifo(pipe)
        writers.append(threading.Thread(target=pipe.write_bytes, args=(source.read_bytes(),), daemon=True))
        writers[-1].start()
    assert main(["accuracy", str(pipes[0]), "--annotations", str(pipes[1]), "--json", "-"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["log"] == str(pipes[0])
    assert document["accuracy"]["images"] == 30
    for writer in writers:
        writer.join(10)
