"""What sessions share: the image that comes in, and the buffers and quantization of what goes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.errors import ModelError
from harness.output_quantization import METADATA_KEY, Quantization, from_metadata
from harness.records import QuantizedTensor, RawOutput, TensorSpec

DTYPES = ("float32", "uint8", "int8")
"""The element types that an input or output may have."""


def contiguous_image(images: npt.NDArray[Any], expected: TensorSpec) -> npt.NDArray[Any]:
    """``images`` itself, or a copy when it is not C-contiguous.

    Raises:
        ValueError: another dtype or shape than the model's.
    """
    if images.dtype != expected.dtype or images.shape != expected.shape:
        raise ValueError(f"the model takes {expected.dtype} {expected.shape}, not {images.dtype} {images.shape}")
    return images if images.flags.c_contiguous else np.ascontiguousarray(images)


def only_input(inputs: Sequence[TensorSpec], where: str) -> TensorSpec:
    """The model's one input.

    Raises:
        ModelError: it has none, or several.
    """
    if len(inputs) != 1:
        raise ModelError(f"it has {len(inputs)} inputs, not one", where=where)
    return inputs[0]


def output_quantization(outputs: Sequence[TensorSpec], metadata: str | None, where: str) -> dict[str, Quantization]:
    """Scale and zero-point of each quantized output.

    Args:
        metadata: the model's metadata property `METADATA_KEY`; None where it has none.

    Raises:
        ModelError: the metadata cannot be read, or a quantized output is not in it.
    """
    try:
        table = from_metadata(metadata) if metadata is not None else {}
    except ValueError as error:
        raise ModelError(f"its metadata {METADATA_KEY} is {error}", where=where) from error
    return chosen_quantization(outputs, table, where, f"put them into the metadata ({METADATA_KEY})")


def chosen_quantization(
    outputs: Sequence[TensorSpec], table: Mapping[str, Quantization], where: str, remedy: str
) -> dict[str, Quantization]:
    """The entries of the quantized outputs.

    Args:
        remedy: where a missing entry belongs, for the message.

    Raises:
        ModelError: a quantized output has no entry.
    """
    quantized = [spec.name for spec in outputs if spec.dtype != "float32"]
    for name in quantized:
        if name not in table:
            raise ModelError(
                f"output {name} is quantized, and no scale and zero-point is given for it",
                where=where,
                hint=f"{remedy} or leave the outputs float32",
            )
    return {name: table[name] for name in quantized}


def raw_outputs(
    outputs: Sequence[TensorSpec], arrays: Sequence[npt.NDArray[Any]], quantization: Mapping[str, Quantization]
) -> list[RawOutput]:
    """The arrays as raw outputs: those with an entry in ``quantization`` with their scale and zero-point."""
    return [
        QuantizedTensor(array, *quantization[spec.name]) if spec.name in quantization else array
        for spec, array in zip(outputs, arrays, strict=True)
    ]
