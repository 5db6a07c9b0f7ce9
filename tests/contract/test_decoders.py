"""What every decoder promises, on every kind of input."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest

from harness.model import NativeDecoder, NumpyDecoder
from harness.model.native_extension import available_simd
from harness.model.protocol import Decoder
from harness.model.ssd_resnet34.example_outputs import example_outputs, quantize, tile_like_an_npu
from harness.model.ssd_resnet34.heads import OUTPUTS
from harness.model.ssd_resnet34.priors import prior_boxes
from harness.records import Nms, QuantizedTensor, RawOutput, TiledLayout
from tests.support import raw_output_cases as cases

DECODERS: dict[str, Callable[[], Decoder]] = {
    "numpy": NumpyDecoder,
    **{f"native {simd}": functools.partial(NativeDecoder, simd) for simd in available_simd()},
}


@pytest.fixture(params=DECODERS)
def decoder(request: pytest.FixtureRequest) -> Decoder:
    return DECODERS[request.param]()


def background() -> list[np.ndarray]:
    """Float32 outputs of an image with nothing on it, and boxes equal to the prior boxes."""
    outputs = [np.zeros(spec.shape, np.float32) for spec in OUTPUTS]
    for k in range(6):
        outputs[k][:, : outputs[k].shape[1] // 81] = 20
    return outputs


def plant(outputs: list[np.ndarray], label: int, logit: float, place: tuple[int, int, int] = (0, 10, 10)) -> int:
    """Gives a logit to a class at (anchor, row, column) of the first map. Returns the anchor's index."""
    anchor, row, column = place
    outputs[0][0, label * 4 + anchor, row, column] = logit
    return (anchor * 50 + row) * 50 + column


def test_an_image_with_nothing_on_it_gives_no_detections_with_the_right_shapes(decoder: Decoder) -> None:
    found = decoder.decode(background())
    assert len(found) == 0
    assert (found.boxes.shape, found.scores.shape, found.labels.shape) == ((0, 4), (0,), (0,))
    assert (found.boxes.dtype, found.scores.dtype, found.labels.dtype) == (np.float32, np.float32, np.int32)


@pytest.mark.parametrize("nms", ["corrected", "reference"])
def test_one_object_gives_one_detection_with_its_softmax_score_and_prior_box(decoder: Decoder, nms: Nms) -> None:
    outputs = background()
    anchor = plant(outputs, label=17, logit=21)
    found = decoder.decode(outputs, nms=nms)
    np.testing.assert_array_equal(found.labels, [17])
    np.testing.assert_allclose(found.scores, [np.exp(1) / (np.exp(1) + 1 + 79 * np.exp(-20))], rtol=1e-6)
    cx, cy, w, h = prior_boxes()[anchor]
    np.testing.assert_allclose(found.boxes, [[cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]], atol=1e-7)


def test_box_outputs_move_the_centre_by_tenths_and_stretch_by_a_fifth_of_the_logarithm(decoder: Decoder) -> None:
    outputs = background()
    anchor = plant(outputs, label=1, logit=25)
    outputs[6][0, [0, 4, 8, 12], 10, 10] = [1, -2, 5 * np.log(2), 0]
    cx, cy, w, h = prior_boxes()[anchor].astype(np.float64)
    cx, cy, w = cx + 0.1 * w, cy - 0.2 * h, 2 * w
    found = decoder.decode(outputs)
    np.testing.assert_allclose(found.boxes, [[cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]], atol=1e-6)


def test_detections_come_best_first_and_equal_scores_by_anchor_then_label(decoder: Decoder) -> None:
    outputs = background()
    plant(outputs, label=9, logit=22, place=(0, 40, 40))
    plant(outputs, label=30, logit=20, place=(0, 20, 5))
    plant(outputs, label=5, logit=20, place=(0, 30, 5))
    plant(outputs, label=30, logit=20, place=(0, 5, 30))
    plant(outputs, label=4, logit=20, place=(0, 5, 30))
    plant(outputs, label=30, logit=20, place=(0, 30, 5))
    found = decoder.decode(outputs)
    assert found.labels.tolist() == [9, 30, 4, 30, 5, 30]


def test_overlapping_boxes_of_one_class_are_suppressed_and_those_of_another_are_not(decoder: Decoder) -> None:
    outputs = background()
    plant(outputs, label=3, logit=25, place=(0, 10, 10))
    plant(outputs, label=3, logit=24, place=(0, 10, 11))  # 24 of 84 px away: IoU 0.556
    plant(outputs, label=7, logit=23, place=(0, 10, 11))
    assert decoder.decode(outputs).labels.tolist() == [3, 7]
    assert decoder.decode(outputs, iou_threshold=0.9).labels.tolist() == [3, 3, 7]


def test_the_reference_nms_suppresses_boxes_apart_in_both_directions_and_the_corrected_does_not(
    decoder: Decoder,
) -> None:
    outputs = background()
    plant(outputs, label=3, logit=25, place=(0, 10, 10))
    plant(outputs, label=3, logit=24, place=(0, 17, 17))  # 7 · 24 px apart: an "overlap" of 84² px, IoU 1
    assert decoder.decode(outputs, nms="corrected").labels.tolist() == [3, 3]
    assert decoder.decode(outputs, nms="reference").labels.tolist() == [3]


def test_an_iou_at_the_threshold_is_kept_by_the_corrected_and_dropped_by_the_reference_nms(decoder: Decoder) -> None:
    outputs = background()
    plant(outputs, label=3, logit=25, place=(0, 10, 10))
    plant(outputs, label=3, logit=24, place=(0, 10, 40))
    assert len(decoder.decode(outputs, iou_threshold=0.0, nms="corrected")) == 2
    outputs[6][0, [0, 4], 10, 40] = 0
    outputs[6][0, [8, 12], 10, 40] = -np.inf  # a box of no size has an IoU of 0
    assert len(decoder.decode(outputs, iou_threshold=0.0, nms="corrected")) == 2
    assert len(decoder.decode(outputs, iou_threshold=0.0, nms="reference")) == 1


def test_max_detections_keeps_the_best(decoder: Decoder) -> None:
    outputs = example_outputs(3, quantized=False, scene="crowded")
    everything = decoder.decode(outputs, max_detections=100_000)
    assert len(everything) > 200
    best = decoder.decode(outputs, max_detections=7)
    np.testing.assert_array_equal(best.scores, everything.scores[:7])
    np.testing.assert_array_equal(best.boxes, everything.boxes[:7])


def test_at_most_200_candidates_of_a_class_reach_nms(decoder: Decoder) -> None:
    outputs = background()
    outputs[0][0, 5 * 4, ::3, ::3] = 25  # 289 boxes of 84 px, 72 px apart: none suppresses another
    assert len(decoder.decode(outputs, max_detections=1000)) == 200


def test_a_logit_shift_changes_nothing(decoder: Decoder) -> None:
    outputs = example_outputs(5, quantized=False)
    shifted = [output + np.float32(128 * (k < 6)) for k, output in enumerate(outputs)]
    assert decoder.decode(shifted).labels.tolist() == decoder.decode(outputs).labels.tolist()


class TestValuesThatAreNotFinite:
    def test_nan_logits_count_as_minus_infinity(self, decoder: Decoder) -> None:
        outputs = background()
        plant(outputs, label=3, logit=25)
        expected = decoder.decode(outputs)
        outputs[0][0, 4 * 9 : 4 * 81, 10, 10] = np.nan
        minus = [output.copy() for output in outputs]
        minus[0][np.isnan(minus[0])] = -np.inf
        cases.assert_identical(decoder.decode(outputs), decoder.decode(minus))
        assert decoder.decode(outputs).labels.tolist() == expected.labels.tolist() == [3]

    def test_classes_at_plus_infinity_share_the_probability(self, decoder: Decoder) -> None:
        outputs = background()
        for label in (3, 4):
            plant(outputs, label, logit=np.inf)
        found = decoder.decode(outputs)
        assert (found.labels.tolist(), found.scores.tolist()) == ([3, 4], [0.5, 0.5])
        outputs[0][0, 0, 10, 10] = np.inf
        np.testing.assert_allclose(decoder.decode(outputs).scores, [1 / 3, 1 / 3])

    @pytest.mark.parametrize("value", [np.nan, -np.inf])
    def test_an_anchor_without_any_finite_logit_is_no_candidate(self, decoder: Decoder, value: float) -> None:
        outputs = background()
        outputs[0][0, :, 10, 10] = value
        assert len(decoder.decode(outputs)) == 0

    def test_a_background_of_minus_infinity_leaves_the_rest_to_the_foreground(self, decoder: Decoder) -> None:
        outputs = background()
        plant(outputs, label=3, logit=5)
        outputs[0][0, 0, 10, 10] = -np.inf
        np.testing.assert_allclose(decoder.decode(outputs).scores[0], np.exp(5) / (np.exp(5) + 79))

    @pytest.mark.parametrize("channel", [0, 4, 8, 12])
    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_an_anchor_whose_box_is_not_finite_is_no_candidate(
        self, decoder: Decoder, channel: int, value: float
    ) -> None:
        outputs = background()
        plant(outputs, label=3, logit=25)
        plant(outputs, label=3, logit=24, place=(0, 40, 40))
        outputs[6][0, channel, 10, 10] = value
        found = decoder.decode(outputs)
        assert len(found) == 1
        assert np.isfinite(found.boxes).all()


KINDS: dict[str, Callable[[list[np.ndarray]], Sequence[RawOutput]]] = {
    "float32 NCHW": lambda x: x,
    "float32 without batch": lambda x: [output[0] for output in x],
    "float32 read-only": lambda x: [np.frombuffer(output.tobytes(), np.float32).reshape(output.shape) for output in x],
    "a tuple": tuple,
    "int8 NCHW": quantize,
    "int8 without batch": lambda x: [replace(q, data=q.data[0]) for q in quantize(x)],
    "uint8 NCHW": lambda x: [
        QuantizedTensor((q.data.astype(np.int16) + 128).astype(np.uint8), q.scale, q.zero_point + 128)
        for q in quantize(x)
    ],
    "int8 in NPU layouts": lambda x: tile_like_an_npu(quantize(x)),
    "float32 classes and int8 boxes": lambda x: [*x[:6], *quantize(x)[6:]],
    "int8 classes and float32 boxes": lambda x: [*quantize(x)[:6], *x[6:]],
    "numpy scalars as scale and zero point": lambda x: [
        QuantizedTensor(q.data, cast(Any, np.float32(q.scale)), cast(Any, np.int8(q.zero_point))) for q in quantize(x)
    ],
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_input_gives_what_numpy_gives_on_its_float32_values(decoder: Decoder, kind: str) -> None:
    outputs = KINDS[kind](example_outputs(11, quantized=False))
    expected = NumpyDecoder().decode(cases.dequantized(outputs))
    assert len(expected) > 5
    cases.assert_same(decoder.decode(outputs), expected)


def test_decoding_changes_no_input(decoder: Decoder) -> None:
    outputs = example_outputs(2, quantized=False)
    before = [output.copy() for output in outputs]
    decoder.decode(outputs)
    for now, then in zip(outputs, before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_threads_decoding_at_once_do_not_disturb_each_other(decoder: Decoder) -> None:
    images = [example_outputs(seed, quantized=bool(seed % 2), scene="crowded") for seed in range(4)]
    expected = [decoder.decode(image) for image in images]
    wrong: list[int] = []

    def work(k: int) -> None:
        for _ in range(5):
            try:
                cases.assert_identical(decoder.decode(images[k]), expected[k])
            except AssertionError:
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


BAD_FLOAT: dict[str, tuple[Callable[[list[np.ndarray]], Any], str]] = {
    "no list": (lambda x: dict(enumerate(x)), "raw outputs: expected a list or tuple of 12, got dict"),
    "eleven": (lambda x: x[:11], "raw outputs: expected 12, classes first, then boxes; got 11"),
    "boxes first": (
        lambda x: x[6:] + x[:6],
        r"raw output 0 (class_0): expected shape (1, 324, 50, 50) or (324, 50, 50); got (1, 16, 50, 50)",
    ),
    "float64": (
        lambda x: [*x[:3], x[3].astype(np.float64), *x[4:]],
        "raw output 3 (class_3): expected float32, or int8 or uint8 in a QuantizedTensor; got float64",
    ),
    "big-endian": (
        lambda x: [*x[:3], x[3].astype(">f4"), *x[4:]],
        "raw output 3 (class_3): expected float32, or int8 or uint8 in a QuantizedTensor; got >f4",
    ),
    "bare int8": (
        lambda x: [*x[:11], x[11].astype(np.int8)],
        "raw output 11 (box_5): expected float32, or int8 or uint8 in a QuantizedTensor; got int8",
    ),
    "batch of two": (
        lambda x: [np.concatenate([x[0], x[0]]), *x[1:]],
        "raw output 0 (class_0): expected shape (1, 324, 50, 50) or (324, 50, 50); got (2, 324, 50, 50)",
    ),
    "transposed": (
        lambda x: [x[0].transpose(0, 1, 3, 2), *x[1:]],
        "raw output 0 (class_0): expected a C-contiguous, aligned array; got strides",
    ),
    "a nested list": (
        lambda x: [*x[:11], x[11].tolist()],
        "raw output 11 (box_5): expected a float32 array or a QuantizedTensor; got list",
    ),
    "none": (
        lambda x: [None, *x[1:]],
        "raw output 0 (class_0): expected a float32 array or a QuantizedTensor; got NoneType",
    ),
}


@pytest.mark.parametrize("bad", BAD_FLOAT)
def test_unacceptable_outputs_are_refused_by_name_with_what_was_expected(decoder: Decoder, bad: str) -> None:
    make, message = BAD_FLOAT[bad]
    with pytest.raises(ValueError) as refused:
        decoder.decode(make(background()))
    assert str(refused.value).startswith(message)


LAYOUT = TiledLayout("HCHWC", ho=3, co=16, hi=1, ci=32, w=3)
BAD_QUANTIZED: dict[str, tuple[dict[str, Any], str]] = {
    "scale 0": ({"scale": 0.0}, "a finite scale above 0; got 0.0"),
    "negative scale": ({"scale": -0.1}, "a finite scale above 0; got -0.1"),
    "scale NaN": ({"scale": float("nan")}, "a finite scale above 0; got nan"),
    "infinite scale": ({"scale": float("inf")}, "a finite scale above 0; got inf"),
    "scale of text": ({"scale": "0.1"}, "a finite scale above 0; got '0.1'"),
    "scale per channel": ({"scale": np.ones(324)}, "a finite scale above 0; got array("),
    "zero point outside int8": ({"zero_point": 128}, "a zero point in -128..127 (int8); got 128"),
    "zero point far outside": ({"zero_point": 2**70}, f"a zero point in -128..127 (int8); got {2**70}"),
    "broken zero point": ({"zero_point": 0.5}, "a zero point in -128..127 (int8); got 0.5"),
    "int16": ({"data": np.zeros((324, 3, 3), np.int16)}, "int8 or uint8 data; got int16"),
    "list": ({"data": [0]}, "an int8 or uint8 array as data; got list"),
    "wrong shape": (
        {"data": np.zeros((3, 3, 324), np.int8)},
        "shape (1, 324, 3, 3) or (324, 3, 3); got (3, 3, 324)",
    ),
    "every other": ({"data": np.zeros((324, 3, 6), np.int8)[:, :, ::2]}, "a C-contiguous, aligned array; got strides"),
    "layout of text": ({"layout": "HCHWC"}, "a TiledLayout of order HCHCW or HCHWC; got 'HCHWC'"),
    "unknown order": (
        {"layout": replace(LAYOUT, order=cast(Any, "NHWC"))},
        "a TiledLayout of order HCHCW or HCHWC; got TiledLayout(order='NHWC'",
    ),
    "too few rows": ({"layout": replace(LAYOUT, ho=2)}, "a layout that holds (324, 3, 3); got"),
    "too few channels": ({"layout": replace(LAYOUT, ci=20)}, "a layout that holds (324, 3, 3); got"),
    "too narrow": ({"layout": replace(LAYOUT, w=2)}, "a layout that holds (324, 3, 3); got"),
    "no extent": ({"layout": replace(LAYOUT, hi=0)}, "whole layout extents above 0; got"),
    "fractional extent": ({"layout": replace(LAYOUT, hi=cast(Any, 1.0))}, "whole layout extents above 0; got"),
    "huge extents": ({"layout": replace(LAYOUT, ho=2**40, co=2**40)}, f"{2**80 * 96} elements for"),
    "too short": (
        {"data": np.zeros(4607, np.int8), "layout": LAYOUT},
        f"4608 elements for {LAYOUT}; got 4607",
    ),
}


@pytest.mark.parametrize("bad", BAD_QUANTIZED)
def test_unacceptable_quantized_outputs_are_refused_by_name_with_what_was_expected(decoder: Decoder, bad: str) -> None:
    change, message = BAD_QUANTIZED[bad]
    outputs = quantize(background())
    outputs[4] = replace(outputs[4], **change)
    with pytest.raises(ValueError) as refused:
        decoder.decode(outputs)
    assert str(refused.value).startswith(f"raw output 4 (class_4): expected {message}")


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("score_threshold", 0.0),
        ("score_threshold", 1.0),
        ("score_threshold", float("nan")),
        ("iou_threshold", -0.1),
        ("iou_threshold", 1.1),
        ("iou_threshold", float("nan")),
        ("max_detections", 0),
        ("max_detections", 2.5),
        ("max_detections", 2**31),
        ("nms", "soft"),
    ],
)
def test_parameters_outside_their_range_are_refused_by_name(decoder: Decoder, parameter: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{parameter}: expected"):
        decoder.decode(background(), **{parameter: value})


@pytest.mark.parametrize("score_threshold", [1e-50, 1e-30, 1e-6, 1 - 1e-7, 1 - 1e-12])
def test_any_score_threshold_between_0_and_1_works(decoder: Decoder, score_threshold: float) -> None:
    outputs = background()
    plant(outputs, label=3, logit=25)
    plant(outputs, label=4, logit=60, place=(0, 40, 40))
    found = decoder.decode(outputs, score_threshold=score_threshold)
    expected = NumpyDecoder().decode(outputs, score_threshold=score_threshold)
    cases.assert_same(found, expected)
