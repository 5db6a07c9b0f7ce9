from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from harness.errors import ModelError
from harness.model.io_check import check_model
from harness.model.ssd_resnet34.heads import INPUT, OUTPUTS
from harness.records import TensorSpec


def check(image: TensorSpec = INPUT, outputs: Sequence[TensorSpec] = OUTPUTS) -> None:
    check_model(image, outputs, INPUT, OUTPUTS, where="my.onnx")


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8"])
def test_the_twelve_pass_as_float32_int8_and_uint8_whatever_their_names(dtype: str) -> None:
    check(outputs=[replace(spec, name=f"node_{k}", dtype=dtype) for k, spec in enumerate(OUTPUTS)])


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_an_image_passes_as_float32_and_uint8(dtype: str) -> None:
    check(image=replace(INPUT, dtype=dtype))


def test_another_count_is_told_with_what_was_found() -> None:
    with pytest.raises(ModelError, match=r"my\.onnx: it has 3 outputs, not the 12 raw ones: class_0 float32 \(1, 324"):
        check(outputs=OUTPUTS[:3])


def test_boxes_before_classes_is_told_as_an_order() -> None:
    with pytest.raises(ModelError, match="the right ones in another order: output 0 box_0") as caught:
        check(outputs=OUTPUTS[6:] + OUTPUTS[:6])
    assert "class_0, class_1" in str(caught.value.hint)


def test_only_the_outputs_that_differ_are_listed() -> None:
    outputs = list(OUTPUTS)
    outputs[2] = replace(outputs[2], shape=(1, 480, 13, 13))
    with pytest.raises(ModelError) as caught:
        check(outputs=outputs)
    assert caught.value.what == (
        "1 of its outputs have another shape: output 2 class_2 float32 (1, 480, 13, 13) should be (1, 486, 13, 13)"
    )


def test_outputs_without_their_batch_dimension_are_refused() -> None:
    with pytest.raises(ModelError, match="12 of its outputs have another shape"):
        check(outputs=[replace(spec, shape=spec.shape[1:]) for spec in OUTPUTS])


def test_outputs_of_another_type_are_refused() -> None:
    with pytest.raises(ModelError, match="outputs of a type other than float32, int8, uint8: class_0 float16"):
        check(outputs=[replace(OUTPUTS[0], dtype="float16"), *OUTPUTS[1:]])


@pytest.mark.parametrize("shape", [(1, 3, 300, 300), (2, 3, 1200, 1200), (1, 1200, 1200, 3)])
def test_another_size_batch_or_layout_of_the_image_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match=r"its input image uint8 .* is not \(1, 3, 1200, 1200\) as uint8 or float32"):
        check(image=replace(INPUT, shape=shape))


def test_an_image_of_another_type_is_refused() -> None:
    with pytest.raises(ModelError, match="its input image int8"):
        check(image=replace(INPUT, dtype="int8"))
