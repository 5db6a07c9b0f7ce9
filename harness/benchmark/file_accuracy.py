"""The mAP of a model file over a dataset, without LoadGen: what a step of preparing a model has cost."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.accuracy.coco_results import CocoResults
from harness.accuracy.evaluate import Accuracy, evaluate
from harness.accuracy.ground_truth import read_ground_truth
from harness.cpu_quota import usable_cores
from harness.dataset.coco_index import CocoImage, CocoIndex
from harness.dataset.tensors import read_image, tensor_of
from harness.model.io_check import check_model
from harness.model.protocol import DetectionModel
from harness.records import Detections
from harness.sessions import SessionRequest, open_session


def file_accuracy(
    file: Path, model: DetectionModel, dataset: CocoIndex, progress: Callable[[int, int], None]
) -> Accuracy:
    """Runs every image through ONNX Runtime on the CPU and the native decoder, and evaluates what is found.

    Raises:
        ModelError: the file cannot be loaded, or is not this model.
        DatasetError: an image or the annotations cannot be used.
    """
    model = model.for_file(file)
    truth = read_ground_truth(dataset.annotations).first(len(dataset))
    threads = usable_cores()
    request = SessionRequest.of(model, file, threads=threads)
    decoder = model.decoder("native")
    rows = [np.empty((0, 7))]
    with open_session("onnxruntime", request) as session:
        check_model(session.input, session.outputs, model.input, model.outputs, where=str(file))
        preprocess = functools.partial(model.tensor, dtype=session.input.dtype)
        for done, image in enumerate(dataset.images):
            progress(done, len(dataset))
            tensor = tensor_of(image.path, read_image(image.path), preprocess)
            found = decoder.decode(session.run(tensor[np.newaxis]), image_size=(image.width, image.height))
            rows.append(result_rows(found, image, np.asarray(dataset.category_ids)))
    progress(len(dataset), len(dataset))
    results = CocoResults(np.concatenate(rows), truth.image_ids, "contiguous")
    return evaluate(truth, results, truth.image_ids)


def result_rows(found: Detections, image: CocoImage, category_ids: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """One image's detections as `CocoResults.rows`; ``category_ids``: of the labels from 1 on."""
    boxes = found.boxes.astype(np.float64) * (image.width, image.height, image.width, image.height)
    sizes = boxes[:, 2:] - boxes[:, :2]
    ids = np.full(len(found), image.id)
    return np.column_stack([ids, boxes[:, :2], sizes, found.scores, category_ids[found.labels - 1]])
