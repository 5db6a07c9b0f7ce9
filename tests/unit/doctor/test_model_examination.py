"""What is wrong with a model is named; a session made up of example outputs stands for the model file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from harness.accuracy.ground_truth import GroundTruth, read_ground_truth
from harness.doctor import model_examination
from harness.doctor.model_examination import ModelDiagnosis, examine
from harness.errors import ModelError
from harness.model.ssd_resnet34.example_outputs import example_outputs
from harness.model.ssd_resnet34.heads import FEATURE_MAPS, OUTPUTS
from harness.model.ssd_resnet34.model import MODEL
from harness.records import TensorSpec
from tests.support.made_logs import coco_document, written

Outputs = list[np.ndarray]
IMAGES = 2


def anchor_major(output: np.ndarray, k: int, values: int) -> np.ndarray:
    anchors, grid = FEATURE_MAPS[k].anchors, output.shape[-2:]
    moved = output.reshape(values, anchors, *grid).swapaxes(0, 1)
    return np.ascontiguousarray(moved.reshape(output.shape))


def heads(first: int, change: Callable[[np.ndarray, int], np.ndarray]) -> Callable[[Outputs], Outputs]:
    return lambda outputs: [change(o, k - first) if first <= k < first + 6 else o for k, o in enumerate(outputs)]


class MadeUpSession:
    """Knows its images by their colour; fed in another way than it wants, it sees nothing."""

    def __init__(
        self, wants: Callable[[np.ndarray], np.ndarray], harm: Callable[[Outputs], Outputs], dtype: str
    ) -> None:
        self.wants, self.harm = wants, harm
        self.input = TensorSpec("image", (1, 3, 1200, 1200), dtype)
        self.outputs: Sequence[TensorSpec] = [
            TensorSpec(f"o{k}", spec.shape, "float32") for k, spec in enumerate(OUTPUTS)
        ]

    def run(self, images: np.ndarray) -> Outputs:
        seen = self.wants(images[0, :, 600, 600].astype(np.float64))
        at = round(seen[0] / 50) - 1
        known = np.allclose(seen, colour(at)[::-1], atol=3) if 0 <= at < IMAGES else False
        return self.harm(
            example_outputs(at if known else 99, quantized=False, scene="typical" if known else "background")
        )

    def __enter__(self) -> MadeUpSession:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def colour(image: int) -> np.ndarray:
    """BGR."""
    return np.array([20, 120, 50 * (image + 1)])


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("images")
    paths = [folder / f"{k}.png" for k in range(IMAGES)]
    for k, path in enumerate(paths):
        cv2.imwrite(str(path), np.broadcast_to(colour(k), (100, 100, 3)).astype(np.uint8))
    return paths


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> GroundTruth:
    """What the example outputs mean, read in the right way."""
    boxes = []
    for k in range(IMAGES):
        found = MODEL.decoder("native").decode(example_outputs(k, quantized=False), score_threshold=0.5)
        for (left, top, right, bottom), label in zip(found.boxes.tolist(), found.labels.tolist(), strict=True):
            boxes.append((100 - k, label, [100 * left, 100 * top, 100 * (right - left), 100 * (bottom - top)]))
    document = coco_document([(100, 100)] * IMAGES, boxes, category_ids=tuple(range(1, 81)))
    return read_ground_truth(written(tmp_path_factory.mktemp("truth") / "a.json", document))


def same(values: Any) -> Any:
    return values


@pytest.fixture
def diagnose(monkeypatch: pytest.MonkeyPatch, images: list[Path]) -> Callable[..., ModelDiagnosis]:
    def run(truth: GroundTruth | None, *, wants: Any = same, harm: Any = same, dtype: str = "uint8") -> ModelDiagnosis:
        session = MadeUpSession(wants, harm, dtype)
        monkeypatch.setattr(model_examination, "open_session", lambda backend, request: session)
        return examine(Path("model.onnx"), MODEL, images, truth, "onnxruntime", lambda doing: None)

    return run


HARMS = {
    "anchor-major-classes": heads(0, lambda output, k: anchor_major(output, k, 81)),
    "background-last": heads(0, lambda output, k: np.roll(output.reshape(81, -1), -1, axis=0).reshape(output.shape)),
    "anchor-major-boxes": heads(6, lambda output, k: anchor_major(output, k, 4)),
    "yxhw-boxes": heads(6, lambda output, k: output.reshape(4, -1)[[1, 0, 3, 2]].reshape(output.shape)),
}


@pytest.mark.parametrize("name", HARMS)
@pytest.mark.parametrize("annotated", [True, False])
def test_outputs_in_another_layout_are_named(
    name: str, annotated: bool, diagnose: Callable[..., ModelDiagnosis], truth: GroundTruth
) -> None:
    found = diagnose(truth if annotated else None, harm=HARMS[name])
    assert [cause.name for cause in found.causes] == [name]


@pytest.mark.parametrize("annotated", [True, False])
def test_nothing_is_wrong_with_a_model_as_it_should_be(
    annotated: bool, diagnose: Callable[..., ModelDiagnosis], truth: GroundTruth
) -> None:
    found = diagnose(truth if annotated else None)
    assert found.causes == ()
    verdicts = {check.about: check.verdict for check in found.checks}
    assert verdicts["class layout"] == verdicts["background"] == verdicts["box layout"] == "ok"
    assert verdicts["normalisation"] == "not applicable"  # bytes go in
    assert found.traces.background > 0.9


def test_exchanged_maps_are_named_where_there_are_objects_to_tell(
    diagnose: Callable[..., ModelDiagnosis], truth: GroundTruth
) -> None:
    def exchanged(outputs: Outputs) -> Outputs:
        return [*outputs[:4], outputs[5], outputs[4], *outputs[6:10], outputs[11], outputs[10]]

    found = diagnose(truth, harm=exchanged)
    checks = {check.about: check.verdict for check in found.checks}
    names = [cause.name for cause in found.causes]
    assert names == ["maps-exchanged-class-and-box"] or checks["output order"] == "unknown"


def test_a_model_that_takes_bgr_is_named(diagnose: Callable[..., ModelDiagnosis], truth: GroundTruth) -> None:
    found = diagnose(truth, wants=lambda pixel: pixel[::-1])
    assert [cause.name for cause in found.causes] == ["bgr"]


def test_a_model_with_its_normalisation_inside_is_named(
    diagnose: Callable[..., ModelDiagnosis], truth: GroundTruth
) -> None:
    found = diagnose(truth, dtype="float32")  # its pixels are 0..255
    assert [cause.name for cause in found.causes] == ["raw"]
    assert {check.about: check.verdict for check in found.checks}["normalisation"] == "wrong"


def test_outputs_in_another_order_are_put_right_and_named(
    diagnose: Callable[..., ModelDiagnosis], truth: GroundTruth, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = [6, 0, 7, 1, 8, 2, 9, 3, 10, 4, 11, 5]
    specs = [OUTPUTS[k] for k in order]
    original = MadeUpSession.__init__

    def reordered(self: MadeUpSession, *args: Any) -> None:
        original(self, *args)
        self.outputs = specs

    monkeypatch.setattr(MadeUpSession, "__init__", reordered)
    found = diagnose(truth, harm=lambda outputs: [outputs[k] for k in order])
    assert [cause.name for cause in found.causes] == ["outputs-in-another-order"]
    assert found.found is not None
    assert found.found[0] > 0.5


def test_outputs_of_other_shapes_are_refused(
    diagnose: Callable[..., ModelDiagnosis], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = MadeUpSession.__init__

    def detections(self: MadeUpSession, *args: Any) -> None:
        original(self, *args)
        self.outputs = [TensorSpec("boxes", (1, 200, 4), "float32")]

    monkeypatch.setattr(MadeUpSession, "__init__", detections)
    with pytest.raises(ModelError, match="no raw output of shape"):
        diagnose(None)
