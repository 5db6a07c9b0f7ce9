"""The accuracy of a run of ours: over every image that was run, by the reference evaluator, written into its folder."""

from __future__ import annotations

import json
from pathlib import Path

from harness.accuracy.accuracy_txt import write_accuracy_txt
from harness.accuracy.coco_results import results_of_log
from harness.accuracy.evaluate import Accuracy, evaluate, missing_images
from harness.accuracy.ground_truth import read_ground_truth
from harness.accuracy.log import read_accuracy_log
from harness.dataset.coco_index import CocoIndex
from harness.errors import LogError
from harness.files import write_json

ACCURACY_NAME = "accuracy.json"
"""The last file that an evaluation writes."""


def evaluate_run(folder: Path, dataset: CocoIndex) -> Accuracy:
    """Evaluates ``mlperf_log_accuracy.json`` in ``folder`` and writes ``accuracy.txt`` and ``accuracy.json`` beside it.

    Args:
        folder: of a LoadGen accuracy test of ours, whose labels are contiguous.
        dataset: what was run; its images are the first of its annotations file.

    Raises:
        LogError: the log is damaged, or lacks images of the dataset.
        DatasetError: the annotations are no longer usable.
    """
    path = folder / "mlperf_log_accuracy.json"
    truth = read_ground_truth(dataset.annotations).first(len(dataset))
    log = read_accuracy_log(path, image_count=len(truth.image_ids))
    results = results_of_log(log, truth, "contiguous")
    missing = missing_images(truth, results)
    if len(missing):
        names = [image.file_name for image in dataset.images if image.id in missing[:3]]
        raise LogError(
            f"{len(missing)} of the {len(dataset)} images that were run are missing, the first: {', '.join(names)}",
            where=str(path),
            hint="run the accuracy test again; its log must hold every image",
        )
    accuracy = evaluate(truth, results, truth.image_ids)
    write_accuracy_txt(folder / "accuracy.txt", accuracy, log.sha256)
    write_json(folder / ACCURACY_NAME, accuracy.as_json())
    return accuracy


def accuracy_test(folder: Path) -> tuple[Path, Path, int]:
    """The accuracy log of a run directory, the annotations that the run had, and how many of their images.

    Raises:
        LogError: the folder is no run of ours, or one without an accuracy test.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        dataset = manifest["dataset"]
        annotations, count = Path(dataset["annotations"]), int(dataset["images"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = "is a folder, and not one of a run with a dataset"
        raise LogError(what, where=str(folder), hint="give a log, or the --output of a run") from error
    logs = sorted(folder.glob("*/accuracy/mlperf_log_accuracy.json"))
    if not logs:
        hint = "ssd-harness run --mode accuracy"
        raise LogError("the run has no accuracy test", where=str(folder), hint=hint)
    return logs[0], annotations, count
