"""INT8 in QDQ form: per-channel weights, a uint8 image at the entrance, float32 or int8 outputs.

Activations are uint8 and weights int8 because that is what ONNX Runtime's x86 kernels are made for: with int8
activations the same network takes three times as long. The normalisation stays in float32 in front of the first
quantizer, where zero-padding still means the mean; it takes less than half a percent of the time.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness.errors import ModelError
from harness.output_quantization import METADATA_KEY, Quantization, to_metadata
from harness.quantization import folding, onnx_file
from harness.quantization.calibration import OPERATORS, Ranges
from harness.records import Normalisation

if TYPE_CHECKING:
    import onnx


def quantize(
    model: Path,
    ranges: Ranges,
    output: Path,
    *,
    normalisation: Normalisation,
    quantized_outputs: bool = False,
    float32_inputs: Collection[str] | None = None,
) -> None:
    """Writes the INT8 model, whole or not at all.

    Args:
        model: float32, one input (1, C, H, W) of normalised pixels.
        ranges: of its activations, as `calibrate` gives them.
        output: input of the same name and shape as uint8 pixels; the same outputs, as float32 or,
            with ``quantized_outputs``, int8 with scale and zero-point in the metadata (`output_quantization`).
        normalisation: what turns a pixel into the float32 model's input.
        quantized_outputs: int8 outputs.
        float32_inputs: None: everything that has an integer kernel is quantized. Else the weights and the inputs of
            convolutions only, which activation functions after a convolution (SiLU) need, and not the convolutions
            that read one of these tensors (`sensitivity`).

    Raises:
        ModelError: the model cannot be read or does not quantize.
        DataError: the output cannot be written.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantType
    from onnxruntime.quantization.calibrate import TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    float32 = folding.fold(onnx_file.load(model), str(model))
    excluded, options = _precision(float32, float32_inputs)
    float32_ranges = {
        name: (np.array(low, np.float32), np.array(high, np.float32)) for name, (low, high) in ranges.items()
    }
    with _quiet_root_logger(), onnx_file.temporary_copies():
        quantizer = QDQQuantizer(
            float32,
            per_channel=True,
            reduce_range=False,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range=TensorsData(CalibrationMethod.MinMax, float32_ranges),
            nodes_to_quantize=[],
            nodes_to_exclude=excluded,
            op_types_to_quantize=list(OPERATORS) if float32_inputs is None else ["Conv"],
            extra_options=options,
        )
        try:
            quantizer.quantize_model()
        except ValueError as error:
            raise ModelError(
                f"the model does not quantize ({error})", where=str(model), hint="calibrate this very model again"
            ) from error
    quantizer.model.topological_sort()  # ONNX asks for it, ONNX Runtime does not
    quantized = quantizer.model.model
    _take_pixels(quantized, normalisation)
    if quantized_outputs:
        _leave_outputs_quantized(quantized, ranges)
    onnx_file.save(quantized, output)


def _precision(model: onnx.ModelProto, float32_inputs: Collection[str] | None) -> tuple[list[str], dict[str, object]]:
    """The nodes that are not quantized, and the quantizer's options."""
    if float32_inputs is None:
        return [], {}
    for k, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}.{k}"  # the quantizer excludes by name
    excluded = [node.name for node in model.graph.node if node.op_type == "Conv" and node.input[0] in float32_inputs]
    return excluded, {"OpTypesToExcludeOutputQuantization": ["Conv"]}


@contextmanager
def _quiet_root_logger() -> Iterator[None]:
    """The quantizer logs advice on the root logger that does not apply here."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)


def _take_pixels(model: onnx.ModelProto, normalisation: Normalisation) -> None:
    """Puts uint8 → float32 → normalise in front of everything that reads the input."""
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    image = graph.input[0].name
    steps = [f"{image}.{step}" for step in ("float32", "scaled", "normalised")]
    for node in graph.node:
        node.input[:] = [steps[-1] if name == image else name for name in node.input]
    mean, std = (np.array(v, np.float32).reshape(1, -1, 1, 1) for v in (normalisation.mean, normalisation.std))
    graph.initializer.append(numpy_helper.from_array(1 / (255 * std), f"{image}.gain"))
    graph.initializer.append(numpy_helper.from_array(-mean / std, f"{image}.offset"))
    front = (
        helper.make_node("Cast", [image], [steps[0]], steps[0], to=TensorProto.FLOAT),
        helper.make_node("Mul", [steps[0], f"{image}.gain"], [steps[1]], steps[1]),
        helper.make_node("Add", [steps[1], f"{image}.offset"], [steps[2]], steps[2]),
    )
    for node in reversed(front):
        graph.node.insert(0, node)
    graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8


def _leave_outputs_quantized(model: onnx.ModelProto, ranges: Ranges) -> None:
    """Turns each float32 output into int8, and writes scales and zero-points into the metadata.

    The DequantizeLinear stays and a QuantizeLinear to int8 follows: exact, for only the zero-point moves by 128, and
    too quick to measure. A convolution with uint8 activations in and int8 out has no integer kernel in ONNX Runtime.
    """
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    producers = {name: node for node in graph.node for name in node.output}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    table: dict[str, Quantization] = {}
    for output in graph.output:
        node = producers[output.name]
        if node.op_type != "DequantizeLinear":
            if output.name not in ranges:
                raise ModelError(f"output {output.name} is not quantized: it comes from a {node.op_type}")
            table[output.name] = _quantize_output(model, node, output.name, ranges[output.name])
            output.type.tensor_type.elem_type = TensorProto.INT8
            continue
        scale, zero_point = (numpy_helper.to_array(constants[name]) for name in node.input[1:3])
        shifted = np.array(int(zero_point) - 128, np.int8)
        table[output.name] = Quantization(float(scale), int(shifted))
        node.output[0] = f"{output.name}.float32"
        graph.initializer.append(numpy_helper.from_array(shifted, f"{output.name}.int8_zero_point"))
        inputs = [node.output[0], node.input[1], f"{output.name}.int8_zero_point"]
        graph.node.append(helper.make_node("QuantizeLinear", inputs, [output.name], f"{output.name}.int8"))
        output.type.tensor_type.elem_type = TensorProto.INT8
    helper.set_model_props(model, {p.key: p.value for p in model.metadata_props} | {METADATA_KEY: to_metadata(table)})


def _quantize_output(
    model: onnx.ModelProto, producer: onnx.NodeProto, name: str, limits: tuple[float, float]
) -> Quantization:
    """Puts a QuantizeLinear to int8 behind a float32 output."""
    from onnx import helper, numpy_helper

    low, high = min(0.0, limits[0]), max(0.0, limits[1])
    scale = np.float32((high - low) / 255 or 1.0)
    zero_point = np.int8(np.clip(np.round(-128 - low / scale), -128, 127))
    inner = f"{name}.float32"
    for node in model.graph.node:
        node.input[:] = [inner if read == name else read for read in node.input]
    producer.output[:] = [inner if made == name else made for made in producer.output]
    parts = (f"{name}.int8_scale", f"{name}.int8_zero_point")
    for part, value in zip(parts, (scale, zero_point), strict=True):
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), part))
    model.graph.node.append(helper.make_node("QuantizeLinear", [inner, *parts], [name], f"{name}.int8"))
    return Quantization(float(scale), int(zero_point))
