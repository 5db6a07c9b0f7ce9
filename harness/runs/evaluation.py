"""The accuracy of a run of ours: over every image that was run, by the reference evaluator, written into its folder."""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.accuracy.accuracy_txt import write_accuracy_txt
from harness.accuracy.coco_results import CocoResults, LabelMap, results_of_log
from harness.accuracy.evaluate import Accuracy, evaluate, missing_images
from harness.accuracy.ground_truth import GroundTruth
from harness.accuracy.log import read_accuracy_log
from harness.accuracy.per_image import image_precisions
from harness.dataset.coco_index import CocoIndex
from harness.errors import DatasetError, LogError
from harness.files import replacing, sha256_file
from harness.runs.accuracy_test import accuracy_scenario
from harness.runs.documents import write_document
from harness.runs.figures import AccuracyFigures, CategoryAccuracy, Evaluation
from harness.runs.layout import RunLayout, TestFolder
from harness.runs.records import StartedManifest, read_manifest, started


@dataclass(frozen=True, eq=False)
class Evaluated:
    """An accuracy test that was evaluated, with what a gallery of it needs.

    Attributes:
        results: the detections of the log.
        found: (N,) bool, for each row of ``results`` whether it found an object.
    """

    accuracy: Accuracy
    truth: GroundTruth
    results: CocoResults
    found: npt.NDArray[np.bool_]


def evaluate_run(folder: Path, dataset: CocoIndex, truth: GroundTruth, labels: LabelMap = "contiguous") -> Evaluated:
    """Evaluates the accuracy log in ``folder`` and writes what it finds beside it.

    ``accuracy.txt`` is MLPerf's; ``accuracy.json``, written last, has the figures, ``evaluation.json`` the classes and
    curves, and ``images.csv.gz`` every image: with them a report needs neither the images nor the annotations.

    Args:
        folder: of a LoadGen accuracy test of ours.
        dataset: what was run; its images are the first of its annotations file.
        truth: the annotations of these images.
        labels: what the log writes for a class, as its round asks.

    Raises:
        LogError: the log is damaged, or lacks images of the dataset.
    """
    files = TestFolder(folder)
    log = read_accuracy_log(files.accuracy_log, image_count=len(truth.image_ids))
    results = results_of_log(log, truth, labels)
    missing = missing_images(truth, results)
    if len(missing):
        names = [image.file_name for image in dataset.images if image.id in missing[:3]]
        raise LogError(
            f"{len(missing)} of the {len(dataset)} images that were run are missing, the first: {', '.join(names)}",
            where=str(files.accuracy_log),
            hint="run the accuracy test again; its log must hold every image",
        )
    accuracy = evaluate(truth, results, truth.image_ids)
    precisions, found = image_precisions(truth, results)
    write_accuracy_txt(files.accuracy_txt, accuracy, log.sha256)
    write_document(files.evaluation, _evaluation(truth, accuracy))
    _write_images(files.images, dataset, truth, results, precisions)
    write_document(files.accuracy, AccuracyFigures(**accuracy.as_json()))
    return Evaluated(accuracy, truth, results, found)


@dataclass(frozen=True)
class AccuracySource:
    """The accuracy log of a run, and what it was made with.

    Attributes:
        log: the accuracy log.
        annotations: the annotations that the run had.
        images: how many of their images were run.
        default_model_on_photographs: whether the harness's own model, which knows synthetic objects only, was run on
            images that are not synthetic.
        simulated: whether the devices were simulated; what they answer is made up unless it was recorded.
    """

    log: Path
    annotations: Path
    images: int
    default_model_on_photographs: bool
    simulated: bool


def accuracy_source(folder: Path, annotations: Path | None = None) -> AccuracySource:
    """What an evaluation of a run directory needs; of several accuracy logs the one that `accuracy_scenario` chooses.

    Args:
        folder: of the run.
        annotations: to be used in place of the run's own.

    Raises:
        LogError: the folder is no run of ours, its manifest is damaged, or it has no accuracy test.
        DatasetError: the run's annotations are no longer there, or are no longer what they were.
    """
    hint = "give a log, or the --output of a run"
    if not RunLayout(folder).manifest.is_file():
        raise LogError("is a folder, and not one of a run with a dataset", where=str(folder), hint=hint)
    manifest, layout = started(read_manifest(folder), folder), RunLayout(folder)
    scenario = accuracy_scenario(layout, manifest.tests)
    if scenario is None:
        hint = "ssd-harness run --mode accuracy"
        raise LogError("the run has no accuracy test", where=str(folder), hint=hint)
    dataset, simulated = manifest.dataset, manifest.backend.simulated
    unknown = manifest.model.default and not simulated and not dataset.synthetic
    log = layout.accuracy(scenario).accuracy_log
    return AccuracySource(log, annotations or _own_annotations(manifest), dataset.images, unknown, simulated)


def _own_annotations(manifest: StartedManifest) -> Path:
    """The annotations of a run: relative paths are meant from where the run was started; the content decides."""
    recorded, sha256 = Path(manifest.dataset.annotations), manifest.dataset.sha256
    places = dict.fromkeys([Path(manifest.directory or ".") / recorded, recorded])
    there = [path for path in places if path.is_file()]
    for path in there:
        if sha256_file(path) == sha256:
            return path
    hint = "give the file that the run had with --annotations"
    if not there:
        raise DatasetError("the run's annotations are no longer there", where=str(next(iter(places))), hint=hint)
    raise DatasetError("is not what it was when the run was made: another sha256", where=str(there[0]), hint=hint)


def _evaluation(truth: GroundTruth, accuracy: Accuracy) -> Evaluation:
    objects = {
        category: int((truth.box_category_ids[~truth.crowds] == category).sum())
        for category in truth.category_ids.tolist()
    }
    per_class = tuple(
        CategoryAccuracy(label=label, category_id=category, name=name, AP=figure, objects=objects[category])
        for label, (category, (name, figure)) in enumerate(
            zip(truth.category_ids.tolist(), accuracy.per_class, strict=True), 1
        )
    )
    return Evaluation(per_class=per_class, precision_recall=accuracy.precision_recall)


def _write_images(
    target: Path,
    dataset: CocoIndex,
    truth: GroundTruth,
    results: CocoResults,
    precisions: npt.NDArray[np.float64],
) -> None:
    there, found = truth.box_image_ids[~truth.crowds], results.rows[:, 0].astype(np.int64)
    with replacing(target) as path, gzip.open(path, "wt", newline="", encoding="utf-8") as file:
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
