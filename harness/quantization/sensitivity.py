"""Which activations of a model lose most by being quantized: a few of them often cost nearly all of the accuracy.

Each input of a convolution is quantized alone, and the outputs are held against those of the float32 model. Activations
with rare, large values are the usual ones: 8 bits over their whole range leave little for all others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.quantization import folding, onnx_file
from harness.quantization.calibration import Ranges

if TYPE_CHECKING:
    import onnx

Image = npt.NDArray[np.float32]


def sensitivities(
    model: Path, ranges: Ranges, images: Sequence[Image], progress: Callable[[int, int], None]
) -> dict[str, float]:
    """Convolution input → the error of the outputs when it alone has 8 bits, the largest first.

    The error is a share: the squared difference over the squared values, summed over the outputs and the images.

    Args:
        model: float32, one input.
        ranges: of its activations, as `calibrate` gives them.
        images: normalised tensors; three tell.
        progress: told (done, total).

    Raises:
        ModelError: the model cannot be read.
    """
    float32 = folding.fold(onnx_file.load(model), str(model))
    expected = _run(float32, images)
    inputs = [name for name in convolution_inputs(float32) if name in ranges]
    found = {}
    for done, name in enumerate(inputs):
        progress(done, len(inputs))
        found[name] = _error(_run(_with_one_quantized(float32, name, ranges[name]), images), expected)
    progress(len(inputs), len(inputs))
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def output_ranges(model: Path, images: Sequence[Image]) -> dict[str, tuple[float, float]]:
    """Output → its smallest and largest value over the images.

    Raises:
        ModelError: the model cannot be read.
    """
    loaded = onnx_file.load(model)
    runs = _run(loaded, images)
    return {
        output.name: (min(float(run[k].min()) for run in runs), max(float(run[k].max()) for run in runs))
        for k, output in enumerate(loaded.graph.output)
    }


def convolution_inputs(model: onnx.ModelProto) -> list[str]:
    """What the convolutions of a model read, in order, each once."""
    return list(dict.fromkeys(node.input[0] for node in model.graph.node if node.op_type == "Conv"))


def _with_one_quantized(model: onnx.ModelProto, name: str, limits: tuple[float, float]) -> onnx.ModelProto:
    """A copy in which convolutions read the tensor after it went through uint8."""
    from onnx import ModelProto, helper, numpy_helper

    changed = ModelProto()
    changed.CopyFrom(model)
    low, high = min(0.0, limits[0]), max(0.0, limits[1])
    scale = np.float32((high - low) / 255 or 1.0)
    zero_point = np.uint8(np.clip(np.round(-low / scale), 0, 255))
    parts = [f"{name}.{part}" for part in ("scale", "zero_point", "uint8", "again")]
    for part, value in zip(parts, (scale, zero_point), strict=False):
        changed.graph.initializer.append(numpy_helper.from_array(np.asarray(value), part))
    first = None
    for k, node in enumerate(changed.graph.node):
        if node.op_type == "Conv" and node.input[0] == name:
            node.input[0] = parts[3]
            first = k if first is None else first
    through = (
        helper.make_node("QuantizeLinear", [name, *parts[:2]], [parts[2]]),
        helper.make_node("DequantizeLinear", [parts[2], *parts[:2]], [parts[3]]),
    )
    for node in reversed(through):
        changed.graph.node.insert(first or 0, node)
    return changed


def _run(model: onnx.ModelProto, images: Sequence[Image]) -> list[list[npt.NDArray[Any]]]:
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return [list(session.run(None, {name: image})) for image in images]


def _error(found: list[list[npt.NDArray[Any]]], expected: list[list[npt.NDArray[Any]]]) -> float:
    """Each output counts by its own size: boxes of hundreds do not drown scores of 0..1."""
    total = 0.0
    for k in range(len(expected[0])):
        difference = sum(float(np.square(one[k] - other[k]).sum()) for one, other in zip(found, expected, strict=True))
        total += difference / max(sum(float(np.square(other[k]).sum()) for other in expected), 1e-30)
    return total
