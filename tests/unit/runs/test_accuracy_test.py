"""Which of several accuracy tests counts: everywhere the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.files import sha256_file
from harness.runs.accuracy_test import accuracy_scenario
from harness.runs.evaluation import accuracy_source
from harness.runs.layout import RunLayout
from harness.runs.records import TestRecord
from harness.scenarios import Scenario
from tests.support.made_logs import coco_document, written
from tests.support.made_runs import made_manifest, made_record

FIGURES = {"AP50": 0.5, "AP75": 0.5, "images": 1, "detections": 1, "evaluator": "pycocotools"}
MEASURED: dict[Scenario, float] = {"single_stream": 0.3, "multi_stream": 0.1, "offline": 0.2}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Three accuracy tests; MultiStream's is the lowest."""
    tests: list[dict[str, Any]] = [made_record(scenario, "accuracy") for scenario in MEASURED]
    for scenario, mean in MEASURED.items():
        folder = tmp_path / scenario / "accuracy"
        folder.mkdir(parents=True)
        written(folder / "accuracy.json", {"mAP": mean, **FIGURES})
    annotations = written(tmp_path / "a.json", coco_document([(40, 20)], []))
    manifest = made_manifest(tests=tests)
    manifest["dataset"] |= {"annotations": str(annotations), "sha256": sha256_file(annotations)}
    written(tmp_path / "manifest.json", manifest)
    return tmp_path


def records(*scenarios: str) -> list[TestRecord]:
    return [TestRecord.model_validate(made_record(scenario, "accuracy")) for scenario in scenarios]


def test_the_lowest_decides_for_the_run_and_its_own_for_a_scenario(run: Path) -> None:
    tests = records(*MEASURED)
    assert accuracy_scenario(RunLayout(run), tests) == "multi_stream"
    assert accuracy_scenario(RunLayout(run), tests, "offline") == "offline"
    assert accuracy_scenario(RunLayout(run), tests, "server") == "multi_stream"
    assert accuracy_scenario(RunLayout(run), []) is None


def test_one_that_was_not_evaluated_comes_first(run: Path) -> None:
    (run / "offline/accuracy/accuracy.json").unlink()
    assert accuracy_scenario(RunLayout(run), records(*MEASURED)) == "offline"


def test_accuracy_of_a_run_reads_the_log_whose_figures_the_summary_shows(run: Path) -> None:
    assert accuracy_source(run).log == run / "multi_stream/accuracy/mlperf_log_accuracy.json"
