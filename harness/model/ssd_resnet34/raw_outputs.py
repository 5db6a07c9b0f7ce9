"""Reading the twelve raw outputs: what is accepted, and how a quantized or tiled tensor becomes float32 NCHW."""

from __future__ import annotations

import math
import operator
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from harness.model.ssd_resnet34.heads import OUTPUTS
from harness.records import QuantizedTensor, RawOutput, RawOutputs, TensorSpec, TiledLayout


def check_raw_outputs(outputs: RawOutputs) -> None:
    """Refuses anything but the twelve raw outputs of `heads.OUTPUTS`.

    Raises:
        ValueError: names the tensor, what was expected and what came.
    """
    if not isinstance(outputs, (list, tuple)):
        raise ValueError(f"raw outputs: expected a list or tuple of {len(OUTPUTS)}, got {type(outputs).__name__}")
    if len(outputs) != len(OUTPUTS):
        raise ValueError(f"raw outputs: expected {len(OUTPUTS)}, classes first, then boxes; got {len(outputs)}")
    for index, (spec, output) in enumerate(zip(OUTPUTS, outputs, strict=True)):
        name = f"raw output {index} ({spec.name})"
        if isinstance(output, QuantizedTensor):
            _check_quantized(name, spec, output)
        elif isinstance(output, np.ndarray):
            if output.dtype != np.float32 or not output.dtype.isnative:
                _refuse(name, "float32, or int8 or uint8 in a QuantizedTensor", str(output.dtype))
            _check_memory(name, output)
            _check_shape(name, spec, output.shape)
        else:
            _refuse(name, "a float32 array or a QuantizedTensor", type(output).__name__)


def as_float32(output: RawOutput, spec: TensorSpec) -> npt.NDArray[np.float32]:
    """A checked raw output as float32 (C, H, W).

    A quantized value is scale · (q − zero_point) computed in float64 and rounded once, which for a float32 scale is
    what ONNX's DequantizeLinear gives.
    """
    shape = spec.shape[1:]
    if not isinstance(output, QuantizedTensor):
        return output.reshape(shape)
    if output.layout is None:
        data = output.data.reshape(shape)
    else:
        data = output.data.reshape(-1)[element_offsets(output.layout, shape)]
    with np.errstate(over="ignore"):
        return (float(output.scale) * (data.astype(np.float64) - int(output.zero_point))).astype(np.float32)


def element_offsets(layout: TiledLayout, shape: tuple[int, ...]) -> npt.NDArray[np.intp]:
    """Where the elements of a (C, H, W) tensor lie in the flat buffer of a tiled layout.

    Returns:
        (C, H, W) offsets, by the formulas in `TiledLayout`.
    """
    channels, height, width = shape
    h, w = np.arange(height)[:, None], np.arange(width)
    c = np.arange(channels)[:, None, None]
    ho, hi = h // layout.hi, h % layout.hi
    if layout.order == "HCHCW":
        co, ci = c // layout.ci, c % layout.ci
        return (((ho * layout.co + co) * layout.hi + hi) * layout.ci + ci) * layout.w + w
    per_block = -(-channels // layout.co)
    co, ci = c // per_block, c % per_block
    return (((ho * layout.co + co) * layout.hi + hi) * layout.w + w) * layout.ci + ci


def _check_quantized(name: str, spec: TensorSpec, output: QuantizedTensor) -> None:
    data, layout = output.data, output.layout
    if not isinstance(data, np.ndarray):
        _refuse(name, "an int8 or uint8 array as data", type(data).__name__)
    if data.dtype not in (np.int8, np.uint8):
        _refuse(name, "int8 or uint8 data", str(data.dtype))
    _check_memory(name, data)
    if layout is None:
        _check_shape(name, spec, data.shape)
    else:
        _check_layout(name, spec, layout, data.size)
    if not _is_positive(output.scale):
        _refuse(name, "a finite scale above 0", repr(output.scale))
    limits = np.iinfo(data.dtype)
    try:
        zero_point = operator.index(output.zero_point)
    except TypeError:
        zero_point = limits.min - 1
    if not limits.min <= zero_point <= limits.max:
        _refuse(name, f"a zero point in {limits.min}..{limits.max} ({data.dtype})", repr(output.zero_point))


def _check_layout(name: str, spec: TensorSpec, layout: TiledLayout, size: int) -> None:
    if not isinstance(layout, TiledLayout) or layout.order not in ("HCHCW", "HCHWC"):
        _refuse(name, "a TiledLayout of order HCHCW or HCHWC", repr(layout))
    extents = (layout.ho, layout.co, layout.hi, layout.ci, layout.w)
    if not all(isinstance(extent, (int, np.integer)) and extent > 0 for extent in extents):
        _refuse(name, "whole layout extents above 0", repr(layout))
    _, channels, height, width = spec.shape
    per_block = -(-channels // layout.co)  # both orders need as many places for channels in every block
    if layout.ho * layout.hi < height or layout.ci < per_block or layout.w < width:
        _refuse(name, f"a layout that holds {(channels, height, width)}", repr(layout))
    if math.prod(extents) != size:
        _refuse(name, f"{math.prod(extents)} elements for {layout}", f"{size}")


def _check_memory(name: str, array: npt.NDArray[np.generic]) -> None:
    if not (array.flags.c_contiguous and array.flags.aligned):
        _refuse(name, "a C-contiguous, aligned array", f"strides {array.strides} for shape {array.shape}")


def _check_shape(name: str, spec: TensorSpec, shape: tuple[int, ...]) -> None:
    if shape not in (spec.shape, spec.shape[1:]):
        _refuse(name, f"shape {spec.shape} or {spec.shape[1:]}", f"{shape}")


def _is_positive(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return False
    try:
        return bool(math.isfinite(value) and value > 0)
    except (TypeError, OverflowError):
        return False


def _refuse(name: str, expected: str, got: str) -> NoReturn:
    raise ValueError(f"{name}: expected {expected}; got {got}")
