"""The default model finds what is on synthetic images, and every mistake in the chain shows as a drop of its mAP."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from harness.accuracy.coco_results import CocoResults
from harness.accuracy.evaluate import evaluate
from harness.accuracy.ground_truth import read_ground_truth
from harness.benchmark.file_accuracy import result_rows
from harness.dataset.coco_index import CocoIndex
from harness.dataset.synthetic import write_synthetic
from harness.model.ssd_resnet34 import numpy_decoder
from harness.model.ssd_resnet34.heads import FEATURE_MAPS
from harness.model.ssd_resnet34.model import MODEL
from harness.model.ssd_resnet34.preprocess import MEAN, STD
from harness.model.ssd_resnet34.priors import prior_boxes
from harness.records import Detections, RawOutputs
from harness.sessions import SessionRequest, open_session

IMAGES = 8
LEAST_MAP = 0.75
FEW = 3
"""Images of which everything is inferred again."""
Tensor = Callable[[np.ndarray], np.ndarray]
Change = Callable[[Detections], Detections]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> CocoIndex:
    """Images that training has not seen: of another seed."""
    folder = tmp_path_factory.mktemp("held-out") / "set"
    images, annotations = write_synthetic(folder, images=IMAGES, seed=4711, progress=lambda done, total: None)
    return CocoIndex.load(annotations, images)


@pytest.fixture(scope="module")
def few(dataset: CocoIndex) -> CocoIndex:
    return CocoIndex.load(dataset.annotations, dataset.images[0].path.parent, FEW)


def raw_outputs(
    model: Path, dataset: CocoIndex, dtype: str, change: Tensor = lambda tensor: tensor
) -> list[RawOutputs]:
    """Of every image, its tensor changed before."""
    request = SessionRequest.of(MODEL, model, threads=2)
    with open_session("onnxruntime", request) as session:
        tensors = (MODEL.tensor(image.path.read_bytes(), dtype) for image in dataset.images)
        # a session's outputs are its own, and the next run's
        return [copy.deepcopy(session.run(np.ascontiguousarray(change(tensor))[np.newaxis])) for tensor in tensors]


def as_it_is(found: Detections) -> Detections:
    return found


def mean_ap(outputs: list[RawOutputs], dataset: CocoIndex, change: Change = as_it_is, kind: str = "native") -> float:
    decode = (MODEL.decoder("native") if kind == "native" else numpy_decoder.NumpyDecoder()).decode
    truth = read_ground_truth(dataset.annotations).first(len(dataset))
    ids = np.asarray(dataset.category_ids)
    pairs = zip(outputs, dataset.images, strict=True)
    rows = np.concatenate([result_rows(change(decode(raw)), image, ids) for raw, image in pairs])
    return evaluate(truth, CocoResults(rows, truth.image_ids, "contiguous"), truth.image_ids).mAP


@pytest.fixture(scope="module")
def int8_outputs(int8_model: Path, dataset: CocoIndex) -> list[RawOutputs]:
    return raw_outputs(int8_model, dataset, "uint8")


@pytest.fixture(scope="module")
def healthy(int8_outputs: list[RawOutputs], dataset: CocoIndex) -> float:
    """The mAP without a mistake."""
    return mean_ap(int8_outputs, dataset)


def test_it_finds_the_objects_of_images_it_has_not_seen(healthy: float) -> None:
    # docs/explanation/model.md has the figures of 200 images; eight of them spread by some points
    assert healthy > LEAST_MAP


def x_and_y_swapped(found: Detections) -> Detections:
    return Detections(found.boxes[:, [1, 0, 3, 2]], found.scores, found.labels)


def labels_off_by_one(found: Detections) -> Detections:
    return Detections(found.boxes, found.scores, found.labels % 80 + 1)


@pytest.mark.parametrize("mistake", [x_and_y_swapped, labels_off_by_one])
def test_a_mistake_behind_the_decoder_costs_a_third_of_the_map(
    mistake: Change, int8_outputs: list[RawOutputs], dataset: CocoIndex, healthy: float
) -> None:
    assert mean_ap(int8_outputs, dataset, mistake) < healthy * 2 / 3


def columns_before_rows(priors: np.ndarray) -> np.ndarray:
    maps, at = [], 0
    for grid, anchors, _ in FEATURE_MAPS:
        size = anchors * grid * grid
        maps.append(priors[at : at + size].reshape(anchors, grid, grid, 4).swapaxes(1, 2).reshape(-1, 4))
        at += size
    return np.concatenate(maps)


def anchors_last(priors: np.ndarray) -> np.ndarray:
    maps, at = [], 0
    for grid, anchors, _ in FEATURE_MAPS:
        size = anchors * grid * grid
        maps.append(priors[at : at + size].reshape(anchors, grid * grid, 4).swapaxes(0, 1).reshape(-1, 4))
        at += size
    return np.concatenate(maps)


@pytest.mark.parametrize("order", [columns_before_rows, anchors_last])
def test_priors_in_another_order_cost_a_third_of_the_map(
    order: Callable[[np.ndarray], np.ndarray],
    int8_outputs: list[RawOutputs],
    dataset: CocoIndex,
    healthy: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert mean_ap(int8_outputs, dataset, kind="numpy") == pytest.approx(healthy, abs=1e-3)
    wrong = order(prior_boxes())
    monkeypatch.setattr(numpy_decoder, "prior_boxes", lambda: wrong)
    assert mean_ap(int8_outputs, dataset, kind="numpy") < healthy * 2 / 3


@pytest.fixture(scope="module")
def healthy_few(int8_outputs: list[RawOutputs], few: CocoIndex) -> float:
    return mean_ap(int8_outputs[:FEW], few)


def test_bgr_for_rgb_costs_a_third_of_the_map(int8_model: Path, few: CocoIndex, healthy_few: float) -> None:
    turned = raw_outputs(int8_model, few, "uint8", lambda tensor: tensor[::-1])
    assert mean_ap(turned, few) < healthy_few * 2 / 3


@pytest.mark.slow
def test_a_forgotten_normalisation_costs_a_third_of_the_map(
    float32_model: Path, few: CocoIndex, healthy_few: float
) -> None:
    def only_scaled(tensor: np.ndarray) -> np.ndarray:
        return (tensor * STD[:, None, None] + MEAN[:, None, None]).astype(np.float32)

    forgotten = raw_outputs(float32_model, few, "float32", only_scaled)
    assert mean_ap(forgotten, few) < healthy_few * 2 / 3
