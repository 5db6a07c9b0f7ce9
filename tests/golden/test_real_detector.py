"""A detector with published weights on real photographs: the mAP of a run is that of an independent evaluation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cli import main
from tests.golden.independent_yolox import evaluate

MODEL, IMAGES = "models/yolox_nano.onnx", "coco/val2017"
ANNOTATIONS = "coco/annotations/instances_val2017_subset.json"


@pytest.mark.slow
def test_yolox_reaches_the_map_of_an_independent_evaluation(data: Path, tmp_path: Path) -> None:
    model, images, annotations = (data / name for name in (MODEL, IMAGES, ANNOTATIONS))
    arguments = ["run", "--model-name", "yolo", "--model", str(model), "--images", str(images), "--quiet"]
    arguments += ["--annotations", str(annotations), "--mode", "accuracy", "--output", str(tmp_path / "run")]
    assert main(arguments) == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["accuracy"]["images"] == 243
    assert 100 * summary["accuracy"]["mAP"] == pytest.approx(100 * evaluate(model, images, annotations), abs=0.1)
    assert summary["model"]["benchmark"] == "yolo-99"
    assert any("YOLOX" in reason for reason in summary["not_submittable_because"])
