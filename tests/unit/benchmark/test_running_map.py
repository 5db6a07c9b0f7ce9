"""The mAP while a test runs."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from time import monotonic, sleep

import numpy as np
import pytest

from harness.accuracy.coco_results import results_of_log
from harness.accuracy.evaluate import evaluate
from harness.accuracy.ground_truth import GroundTruth
from harness.accuracy.log import read_accuracy_log
from harness.benchmark import running_map
from harness.benchmark.running_map import RunningMap
from tests.support.made_logs import detector_log, log_text

pytest.importorskip("hotcoco")


@pytest.fixture
def written() -> tuple[str, GroundTruth]:
    log, truth = detector_log(images=40)
    table = np.column_stack([log.qsl_idx, log.boxes, log.scores, log.labels]).astype("<f4")
    return log_text([(image, table[log.qsl_idx == image]) for image in range(40)]), truth


def begin_of(text: str, records: int) -> str:
    return "}".join(text.split("}")[:records]) + "}"


def test_it_is_the_map_of_the_images_so_far(tmp_path: Path, written: tuple[str, GroundTruth]) -> None:
    text, truth = written
    path = tmp_path / "mlperf_log_accuracy.json"
    running = RunningMap(path, truth)
    running.update()
    assert running.latest is None
    path.write_text(begin_of(text, 9))  # fewer than what an evaluation is worth
    running.update()
    assert running.latest is None
    path.write_text(begin_of(text, 12))
    running.update()
    path.write_text(text)
    expected = results_of_log(read_accuracy_log(path), truth, "contiguous")
    first = truth.image_ids[:12]
    assert running.latest == (pytest.approx(evaluate(truth, expected, first, evaluator="hotcoco").mAP), 12)
    running.update()
    assert running.latest == (pytest.approx(evaluate(truth, expected, truth.image_ids, evaluator="hotcoco").mAP), 40)


def test_its_thread_keeps_up_and_ends_with_the_block(
    tmp_path: Path, written: tuple[str, GroundTruth], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running_map, "POLL_S", 0.01)
    text, truth = written
    path = tmp_path / "mlperf_log_accuracy.json"
    with RunningMap(path, truth) as running:
        path.write_text(text)
        until = monotonic() + 60
        while running.latest is None and monotonic() < until:
            sleep(0.01)
    assert running.latest is not None
    assert running.latest[1] == 40
    assert "running mAP" not in [thread.name for thread in threading.enumerate()]


def test_a_damaged_log_ends_it_with_a_word(
    tmp_path: Path,
    written: tuple[str, GroundTruth],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(running_map, "POLL_S", 0.01)
    path = tmp_path / "mlperf_log_accuracy.json"
    path.write_text('[{"seq_id": 0, "qsl_idx": 99, "data": ""}')
    with caplog.at_level(logging.WARNING), RunningMap(path, written[1]) as running:
        running._thread.join(60)
    assert running.latest is None
    assert "record 1 names image 99" in caplog.text
