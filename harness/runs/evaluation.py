"""The accuracy of a run of ours: over every image that was run, by the reference evaluator, written into its folder."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.accuracy.accuracy_txt import write_accuracy_txt
from harness.accuracy.coco_results import CocoResults, LabelMap, results_of_log
from harness.accuracy.evaluate import Accuracy, evaluate, missing_images
from harness.accuracy.ground_truth import GroundTruth, read_ground_truth
from harness.accuracy.log import read_accuracy_log
from harness.accuracy.per_image import image_precisions
from harness.dataset.coco_index import CocoIndex
from harness.errors import LogError
from harness.files import replacing, write_json

IMAGES_NAME = "images.csv.gz"

ACCURACY_NAME = "accuracy.json"
"""The last file that an evaluation writes."""


def evaluate_run(folder: Path, dataset: CocoIndex, labels: LabelMap = "contiguous") -> Accuracy:
    """Evaluates ``mlperf_log_accuracy.json`` in ``folder`` and writes what it finds beside it.

    ``accuracy.txt`` is MLPerf's; ``accuracy.json`` has the figures, ``evaluation.json`` the classes and curves, and
    ``images.csv.gz`` every image: with them a report needs neither the images nor the annotations.

    Args:
        folder: of a LoadGen accuracy test of ours.
        dataset: what was run; its images are the first of its annotations file.
        labels: what the log writes for a class, as its round asks.

    Raises:
        LogError: the log is damaged, or lacks images of the dataset.
        DatasetError: the annotations are no longer usable.
    """
    path = folder / "mlperf_log_accuracy.json"
    truth = read_ground_truth(dataset.annotations).first(len(dataset))
    log = read_accuracy_log(path, image_count=len(truth.image_ids))
    results = results_of_log(log, truth, labels)
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
    _write_details(folder, dataset, truth, results, accuracy)
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


def _write_details(
    folder: Path, dataset: CocoIndex, truth: GroundTruth, results: CocoResults, accuracy: Accuracy
) -> None:
    objects = {
        category: int((truth.box_category_ids[~truth.crowds] == category).sum())
        for category in truth.category_ids.tolist()
    }
    per_class = [
        {"label": label, "category_id": category, "name": name, "AP": figure, "objects": objects[category]}
        for label, (category, (name, figure)) in enumerate(
            zip(truth.category_ids.tolist(), accuracy.per_class, strict=True), 1
        )
    ]
    write_json(
        folder / "evaluation.json", {"per_class": per_class, "precision_recall": dict(accuracy.precision_recall)}
    )
    precisions, _ = image_precisions(truth, results)
    there, found = truth.box_image_ids[~truth.crowds], results.rows[:, 0].astype(np.int64)
    with replacing(folder / IMAGES_NAME) as path, gzip.open(path, "wt", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("sample_index", "image_id", "file_name", "width", "height", "objects", "detections", "AP50"))
        counts = zip(_counts(there, truth), _counts(found, truth), precisions.tolist(), strict=True)
        for index, (image, (boxes, detections, precision)) in enumerate(zip(dataset.images, counts, strict=True)):
            figure = "" if np.isnan(precision) else f"{precision:.6f}"
            writer.writerow((index, image.id, image.file_name, image.width, image.height, boxes, detections, figure))


def _counts(image_ids: npt.NDArray[np.int64], truth: GroundTruth) -> list[int]:
    """How often each image of the truth stands there."""
    order = np.argsort(truth.image_ids)
    places = order[np.searchsorted(truth.image_ids, image_ids, sorter=order)]
    return [int(count) for count in np.bincount(places, minlength=len(truth.image_ids))]
