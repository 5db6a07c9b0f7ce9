"""``accuracy.txt``."""

from __future__ import annotations

from pathlib import Path

from harness.accuracy.accuracy_txt import write_accuracy_txt
from harness.accuracy.evaluate import FIGURES, Accuracy


def test_the_last_two_lines_are_what_the_submission_checker_reads(tmp_path: Path) -> None:
    figures = {name: 0.22129 + 0.01 * i for i, name in enumerate(FIGURES)}
    accuracy = Accuracy(
        **figures, images=5000, detections=7, evaluator="pycocotools 2.0.11", per_class=(), precision_recall={}
    )
    write_accuracy_txt(tmp_path / "accuracy.txt", accuracy, "ab" * 32)
    lines = (tmp_path / "accuracy.txt").read_text().splitlines()
    assert lines[-2:] == ["mAP=22.129%", "hash=" + "ab" * 32]
    assert len(lines) == 14
    # as pycocotools prints them
    assert lines[0] == " Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ] = 0.221"
    assert lines[1] == " Average Precision  (AP) @[ IoU=0.50      | area=   all | maxDets=100 ] = 0.231"
    assert lines[6] == " Average Recall     (AR) @[ IoU=0.50:0.95 | area=   all | maxDets=  1 ] = 0.281"
    assert lines[11] == " Average Recall     (AR) @[ IoU=0.50:0.95 | area= large | maxDets=100 ] = 0.331"


def test_a_map_that_is_not_defined_is_not_a_number(tmp_path: Path) -> None:
    accuracy = Accuracy(
        **dict.fromkeys(FIGURES, -1.0), images=1, detections=0, evaluator="", per_class=(), precision_recall={}
    )
    write_accuracy_txt(tmp_path / "accuracy.txt", accuracy, "ab" * 32)
    assert (tmp_path / "accuracy.txt").read_text().splitlines()[-2] == "mAP=not defined"
