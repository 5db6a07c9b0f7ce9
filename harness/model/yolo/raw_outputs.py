"""Reading the raw outputs: what is accepted, and how it becomes boxes, objectness and scores in float32."""

from __future__ import annotations

import math
import operator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.model.yolo.head import CLASSES, Head
from harness.records import QuantizedTensor, RawOutput, RawOutputs, TensorSpec

Floats = npt.NDArray[np.float32]


class Parts(NamedTuple):
    """The raw outputs of one image.

    Attributes:
        boxes: (4, N) as the head writes them.
        objectness: (N,), or None where the head has none.
        scores: (80, N).
    """

    boxes: Floats
    objectness: Floats | None
    scores: Floats


def parts_of(outputs: RawOutputs, head: Head) -> Parts:
    """The outputs of `Head.outputs`, dequantized: scale · (q − zero point) in float64, rounded once.

    Raises:
        ValueError: an output that is not acceptable; the message names it.
    """
    check_raw_outputs(outputs, head)
    arrays = [_as_float32(output).reshape(spec.shape[1:]) for output, spec in zip(outputs, head.outputs, strict=True)]
    if head.split:
        objectness = arrays[1][0] if head.has_objectness else None
        return Parts(arrays[0], objectness, arrays[-1])
    if head.has_objectness:
        rows = arrays[0].T
        return Parts(rows[:4], rows[4], rows[5:])
    return Parts(arrays[0][:4], None, arrays[0][4 : 4 + CLASSES])


def check_raw_outputs(outputs: RawOutputs, head: Head) -> None:
    """Refuses anything but the outputs of the head.

    Raises:
        ValueError: names the output, what was expected and what came.
    """
    expected = head.outputs
    if not isinstance(outputs, (list, tuple)):
        raise ValueError(f"raw outputs: expected a list or tuple of {len(expected)}, got {type(outputs).__name__}")
    if len(outputs) != len(expected):
        raise ValueError(f"raw outputs: expected {len(expected)}, got {len(outputs)}")
    for index, (spec, output) in enumerate(zip(expected, outputs, strict=True)):
        problem = _problem(spec, output)
        if problem:
            raise ValueError(f"raw output {index} ({spec.name}): expected {problem}")


def _problem(spec: TensorSpec, output: RawOutput) -> str:
    """What was expected and what came; empty where the output is acceptable."""
    quantized = isinstance(output, QuantizedTensor)
    data: Any = output.data if isinstance(output, QuantizedTensor) else output
    dtypes = ("int8", "uint8") if quantized else ("float32",)
    if not isinstance(data, np.ndarray):
        return f"a float32 array or a QuantizedTensor; got {type(output).__name__}"
    if str(data.dtype) not in dtypes:
        return f"{' or '.join(dtypes)}; got {data.dtype}"
    if data.shape not in (spec.shape, spec.shape[1:]):
        return f"shape {spec.shape} or {spec.shape[1:]}; got {data.shape}"
    if not (data.flags.c_contiguous and data.flags.aligned):
        return f"a C-contiguous, aligned array; got strides {data.strides}"
    if isinstance(output, QuantizedTensor):
        if output.layout is not None:
            return f"no layout; got {output.layout}"
        scale: Any = output.scale
        if isinstance(scale, np.ndarray) or not (math.isfinite(scale) and scale > 0):
            return f"a finite scale above 0; got {scale!r}"
        lowest = -128 if data.dtype == np.int8 else 0
        if not lowest <= operator.index(output.zero_point) <= lowest + 255:
            return f"a zero point in {lowest}..{lowest + 255}; got {output.zero_point!r}"
    return ""


def _as_float32(output: RawOutput) -> Floats:
    if not isinstance(output, QuantizedTensor):
        return output
    with np.errstate(over="ignore"):
        values = float(output.scale) * (output.data.astype(np.float64) - int(output.zero_point))
        return np.asarray(values.astype(np.float32))
