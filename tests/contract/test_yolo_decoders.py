"""The decoders of the YOLO family: the native one gives what the NumPy one gives, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness.model.native_extension import available_simd
from harness.model.yolo.decoder_bench import reference_way
from harness.model.yolo.example_outputs import example_outputs, quantize
from harness.model.yolo.head import CLASSES, Head
from harness.model.yolo.native_decoder import NativeDecoder
from harness.model.yolo.numpy_decoder import NumpyDecoder
from harness.records import Detections, QuantizedTensor, RawOutput, TiledLayout

HEADS = [Head(family, 96, split) for family in ("yolo11", "yolox") for split in (False, True)]
SIZES = [None, (640, 480), (333, 500), (97, 4000), (1, 1)]


def name(head: Head) -> str:
    return f"{head.family}{'-split' if head.split else ''}"


def assert_same(one: Detections, other: Detections) -> None:
    np.testing.assert_array_equal(one.scores, other.scores)
    np.testing.assert_array_equal(one.labels, other.labels)
    np.testing.assert_array_equal(one.boxes, other.boxes)


def random_outputs(head: Head, seed: int) -> list[np.ndarray[Any, np.dtype[np.float32]]]:
    """Crowded, with equal scores, values beyond any meaning and, in every third, NaN and infinity."""
    rng = np.random.default_rng(seed)
    found = []
    for spec in head.outputs:
        output = rng.normal(0, 3, spec.shape) if seed % 2 else rng.beta(0.05, 1, spec.shape)
        if head.family == "yolo11" and "score" not in spec.name:
            output[:, :4] = rng.uniform(-20, 120, output[:, :4].shape)
        output = np.round(output, 2) if seed % 5 == 0 else output
        if seed % 3 == 0:
            at = rng.integers(0, output.size, 40)
            output.flat[at] = rng.choice([np.nan, np.inf, -np.inf, 1e30, 800.0], 40)
        found.append(output.astype(np.float32))
    return found


@pytest.mark.parametrize("simd", available_simd())
@pytest.mark.parametrize("head", HEADS, ids=name)
def test_the_native_decoder_gives_what_the_numpy_one_gives(head: Head, simd: str) -> None:
    oracle, native = NumpyDecoder(head), NativeDecoder(head, simd)
    found = 0
    for seed in range(30):
        rng = np.random.default_rng(1000 + seed)
        outputs = random_outputs(head, seed)
        parameters: dict[str, Any] = {
            "image_size": SIZES[seed % len(SIZES)],
            "score_threshold": float(rng.choice([0.001, 0.01, 0.25, 0.6])),
            "iou_threshold": float(rng.choice([0.0, 0.45, 0.7, 1.0])),
            "max_detections": int(rng.choice([1, 20, 300, 10_000])),
        }
        expected = oracle.decode(outputs, **parameters)
        assert_same(expected, native.decode(outputs, **parameters))
        found += len(expected)
    assert found > 500


@pytest.mark.parametrize("unsigned", [False, True])
@pytest.mark.parametrize("head", HEADS, ids=name)
def test_so_it_does_with_quantized_outputs(head: Head, unsigned: bool) -> None:
    oracle, native = NumpyDecoder(head), NativeDecoder(head)
    found = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        outputs: list[RawOutput] = []
        for spec in head.outputs:
            info = np.iinfo(np.uint8 if unsigned else np.int8)
            data = rng.integers(info.min, info.max + 1, spec.shape, info.dtype)
            scale = float(rng.choice([1 / 255, 0.02, 0.5, 1e-5]))
            outputs.append(QuantizedTensor(data, scale, int(rng.integers(info.min, info.max + 1))))
        threshold = float(rng.choice([0.001, 0.3, 0.9]))
        expected = oracle.decode(outputs, image_size=(640, 427), score_threshold=threshold)
        assert_same(expected, native.decode(outputs, image_size=(640, 427), score_threshold=threshold))
        found += len(expected)
    assert found > 100


@pytest.mark.parametrize("scene", ["background", "typical", "crowded"])
@pytest.mark.parametrize("family", ["yolo11", "yolox"])
def test_the_made_up_images_decode_alike_at_full_size(family: Any, scene: Any) -> None:
    for split, quantized in ((False, False), (True, False), (True, True)):
        head = Head(family, 640, split)
        outputs = example_outputs(head, 7, quantized=quantized, scene=scene)
        expected = NumpyDecoder(head).decode(outputs, image_size=(500, 375))
        assert_same(expected, NativeDecoder(head).decode(outputs, image_size=(500, 375)))
        assert bool(len(expected)) == (scene != "background")


def test_the_way_of_the_reference_finds_the_same_boxes() -> None:
    head = Head("yolo11", 640)
    outputs = example_outputs(head, 3, quantized=False)
    found = NativeDecoder(head).decode(outputs)
    for opencv in (False, True):
        boxes, scores, classes = reference_way(outputs, head, opencv=opencv)
        assert len(scores) == len(found)
        np.testing.assert_array_equal(scores, found.scores)
        np.testing.assert_array_equal(classes + 1, found.labels)
        np.testing.assert_allclose((boxes / 640).clip(0, 1), found.boxes, atol=1e-6)


def test_one_place_is_one_detection_where_it_is_in_the_image() -> None:
    """640×480 in 640 px: 80 px above and below; a box of 64×48 around (320, 320) is the middle tenth of the image."""
    head = Head("yolo11", 640)
    output = np.zeros(head.outputs[0].shape, np.float32)
    output[0, :4, 17] = 320, 320, 64, 48
    output[0, 4 + 15, 17] = 0.75
    (found,) = [NativeDecoder(head).decode([output], image_size=(640, 480))]
    np.testing.assert_allclose(found.boxes, [[0.45, 0.45, 0.55, 0.55]], atol=1e-7)
    assert (found.scores.tolist(), found.labels.tolist()) == ([0.75], [16])


def test_a_yolox_place_is_read_from_its_cell_at_the_top_left_of_the_input() -> None:
    """416 px, 832×416 image: half size at the top. Cell (3, 2) of stride 8, one stride wide: 24..32 px of the input."""
    head = Head("yolox", 416)
    output = np.zeros(head.outputs[0].shape, np.float32)
    place = 2 * 52 + 3
    output[0, place, :5] = 0.5, 0.5, 0.0, 0.0, 0.5
    output[0, place, 5 + 79] = 0.5
    found = NativeDecoder(head).decode([output], image_size=(832, 416))
    np.testing.assert_allclose(found.boxes * [832, 416, 832, 416], [[48, 32, 64, 48]], atol=1e-4)
    assert (found.scores.tolist(), found.labels.tolist()) == ([0.25], [80])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda output: [], "expected 1, got 0"),
        (lambda output: [output.astype(np.float64)], r"raw output 0 \(output0\): expected float32; got float64"),
        (lambda output: [output[:, :-1].copy()], r"expected shape \(1, 84, 189\) or \(84, 189\); got \(1, 83, 189\)"),
        (lambda output: [np.asfortranarray(output)], "expected a C-contiguous, aligned array"),
        (lambda output: [replace(quantize(output), scale=0.0)], "expected a finite scale above 0; got 0.0"),
        (lambda output: [replace(quantize(output), zero_point=128)], r"expected a zero point in -128..127; got 128"),
        (lambda output: [replace(quantize(output), layout=TiledLayout("HCHCW", 1, 1, 1, 1, 1))], "expected no layout"),
    ],
)
def test_an_output_that_cannot_be_read_is_named(change: Any, message: str) -> None:
    head = Head("yolo11", 96)
    output = np.random.default_rng(0).uniform(0, 1, head.outputs[0].shape).astype(np.float32)
    for decoder in (NumpyDecoder(head), NativeDecoder(head)):
        with pytest.raises(ValueError, match=message):
            decoder.decode(change(output))


@pytest.mark.parametrize(
    "parameters",
    [{"score_threshold": 0.0}, {"iou_threshold": 1.5}, {"max_detections": 0}, {"image_size": (0, 480)}],
)
def test_a_parameter_out_of_its_range_is_named(parameters: dict[str, Any]) -> None:
    head = Head("yolo11", 96)
    outputs = example_outputs(head, 0, quantized=False)
    for decoder in (NumpyDecoder(head), NativeDecoder(head)):
        with pytest.raises(ValueError, match=next(iter(parameters))):
            decoder.decode(outputs, **parameters)


def test_all_classes_of_a_head_can_be_found() -> None:
    head = Head("yolo11", 640)
    output = np.zeros(head.outputs[0].shape, np.float32)
    output[0, 0, :CLASSES] = np.arange(CLASSES) * 8
    output[0, 1:4, :CLASSES] = 4
    output[0, 4 + np.arange(CLASSES), np.arange(CLASSES)] = 0.5
    assert sorted(NativeDecoder(head).decode([output]).labels.tolist()) == list(range(1, 81))
