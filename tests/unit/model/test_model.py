from __future__ import annotations

import asyncio
import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from harness.errors import DatasetError
from harness.model.image_file import decode_image
from harness.model.registry import load_model
from harness.model.ssd_resnet34.example_outputs import example_outputs
from harness.model.ssd_resnet34.heads import INPUT, OUTPUTS
from harness.model.ssd_resnet34.model import MODEL, SSDResNet34Model
from harness.model.ssd_resnet34.preprocess import MEAN, STD, to_tensor
from harness.records import QuantizedTensor, RawOutput


@pytest.fixture(scope="module")
def model() -> SSDResNet34Model:
    return SSDResNet34Model.load()


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A JPEG of 320×200 pixels."""
    pixels = np.random.default_rng(0).integers(0, 256, (10, 16, 3)).astype(np.uint8)
    path = tmp_path_factory.mktemp("pictures") / "cat.jpg"
    cv2.imwrite(str(path), cv2.resize(pixels, (320, 200)))
    return path


def test_it_is_the_model_of_that_name() -> None:
    assert load_model("ssd_resnet34") is MODEL
    assert (MODEL.name, MODEL.benchmarks) == ("ssd_resnet34", ("ssd-resnet34", "ssd-large"))
    assert (MODEL.input, MODEL.outputs) == (INPUT, OUTPUTS)
    assert len(MODEL.labels) == 81


def test_it_survives_pickling_so_that_a_process_pool_can_preprocess(picture: Path) -> None:
    tensor = pickle.loads(pickle.dumps(MODEL.tensor))
    np.testing.assert_array_equal(tensor(picture.read_bytes(), "uint8"), MODEL.tensor(picture.read_bytes(), "uint8"))


def test_load_and_load_async_choose_the_postprocessor() -> None:
    assert SSDResNet34Model.load().use_native
    assert not SSDResNet34Model.load(use_native=False).use_native
    assert not asyncio.run(SSDResNet34Model.load_async(use_native=False)).use_native


def test_a_path_and_its_pixels_give_the_same_uint8_tensor(model: SSDResNet34Model, picture: Path) -> None:
    pixels = np.asarray(cv2.imread(str(picture)))
    images, contexts = model.preprocess([str(picture), picture, pixels])
    assert (images.shape, images.dtype) == ((3, 3, 1200, 1200), np.uint8)
    assert contexts == [{"width": 320, "height": 200}] * 3
    expected = cv2.resize(pixels[..., ::-1], (1200, 1200), interpolation=cv2.INTER_LINEAR).transpose(2, 0, 1)
    for image in images:
        np.testing.assert_array_equal(image, expected)


def test_with_scaling_the_tensor_is_normalised_float32(model: SSDResNet34Model, picture: Path) -> None:
    images, _ = model.preprocess(str(picture), with_scaling=True)
    assert (images.shape, images.dtype) == ((1, 3, 1200, 1200), np.float32)
    np.testing.assert_array_equal(images[0], to_tensor(decode_image(picture.read_bytes()), "float32"))
    pixels = images[0] * STD[:, None, None] + MEAN[:, None, None]
    assert pixels.min() > -0.001
    assert pixels.max() < 1.001


@pytest.mark.parametrize("shape", [(90, 60), (90, 60, 1)])
def test_a_grey_image_has_three_equal_channels(model: SSDResNet34Model, shape: tuple[int, ...]) -> None:
    grey = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    images, contexts = model.preprocess(grey)
    assert contexts == [{"width": 60, "height": 90}]
    np.testing.assert_array_equal(images[0, 0], images[0, 2])


def test_sizes_may_be_mixed_and_a_stack_is_several_images(model: SSDResNet34Model) -> None:
    _, contexts = model.preprocess([np.zeros((10, 20, 3), np.uint8), np.zeros((30, 5), np.uint8)])
    assert contexts == [{"width": 20, "height": 10}, {"width": 5, "height": 30}]
    images, _ = model.preprocess(np.zeros((2, 10, 20, 3), np.uint8))
    assert len(images) == 2


def test_a_file_that_is_no_image_is_named(model: SSDResNet34Model, tmp_path: Path, picture: Path) -> None:
    part = tmp_path / "part.jpg"
    part.write_bytes(picture.read_bytes()[:-400])
    with pytest.raises(DatasetError, match=r"part\.jpg: is truncated"):
        model.preprocess([picture, part])
    with pytest.raises(DatasetError, match=r"absent\.jpg: cannot be read \(No such file"):
        model.preprocess(tmp_path / "absent.jpg")


@pytest.mark.parametrize(
    ("images", "message"), [([], "no image was given"), (np.zeros((4, 4, 3), np.float32), "not an 8-bit image")]
)
def test_what_is_no_image_is_refused(model: SSDResNet34Model, images: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model.preprocess(images)


@pytest.mark.parametrize("use_native", [True, False])
@pytest.mark.parametrize("quantized", [True, False])
def test_results_are_the_decoders_in_pixels_with_names(use_native: bool, quantized: bool) -> None:
    model = SSDResNet34Model.load(use_native=use_native)
    outputs = example_outputs(1, quantized=quantized)
    (results,) = model.postprocess(outputs, [{"width": 640, "height": 400}])
    detections = model.decoder("native" if use_native else "numpy").decode(outputs)
    assert len(results) == len(detections) > 0
    for k, result in enumerate(results):
        assert tuple(result.boundingbox) == pytest.approx(detections.boxes[k] * [640, 400, 640, 400], rel=1e-6)
        assert result.score == pytest.approx(detections.scores[k])
        assert result.label == model.CLASSES[result.index]
        assert result.index == detections.labels[k]
        assert isinstance(result.index, int)


def test_a_higher_confidence_threshold_keeps_the_best_ones(model: SSDResNet34Model) -> None:
    outputs, contexts = example_outputs(1, quantized=False), [{"width": 1, "height": 1}]
    everything = model.postprocess(outputs, contexts)[0]
    middle = everything[len(everything) // 2].score
    assert model.postprocess(outputs, contexts, middle)[0] == [r for r in everything if r.score > middle]


@pytest.mark.parametrize("quantized", [True, False])
def test_outputs_of_several_images_give_each_its_own_results(model: SSDResNet34Model, quantized: bool) -> None:
    single = [example_outputs(seed, quantized=quantized) for seed in (1, 2)]
    contexts = [{"width": 100, "height": 50}, {"width": 30, "height": 70}]
    batch: list[RawOutput] = []
    for first, second in zip(*single, strict=True):
        if isinstance(first, QuantizedTensor):
            batch.append(QuantizedTensor(np.concatenate([first.data, second.data]), first.scale, first.zero_point))
        else:
            batch.append(np.concatenate([first, second]))
    separate = [model.postprocess(o, [c])[0] for o, c in zip(single, contexts, strict=True)]
    assert model.postprocess(batch, contexts) == separate


def test_outputs_for_another_number_of_images_are_refused(model: SSDResNet34Model) -> None:
    with pytest.raises(ValueError, match=r"shape \(1, 324, 50, 50\) is not for the 2 images"):
        model.postprocess(example_outputs(1, quantized=False), [{"width": 1, "height": 1}] * 2)


def test_outputs_that_are_not_the_twelve_are_refused(model: SSDResNet34Model) -> None:
    outputs = example_outputs(1, quantized=False)
    with pytest.raises(ValueError, match="11"):
        model.postprocess(outputs[:11], [{"width": 1, "height": 1}])
