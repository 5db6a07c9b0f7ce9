"""ONNX models with the inputs and outputs of SSD-ResNet34 and next to no work in between."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from harness.model.ssd_resnet34.heads import IMAGE_SIZE, OUTPUTS
from harness.output_quantization import METADATA_KEY, Quantization, to_metadata
from harness.records import TensorSpec

QUANTIZATION = {spec.name: Quantization(0.25 + k / 8, k - 6) for k, spec in enumerate(OUTPUTS)}


def write_model(
    path: Path,
    *,
    input_dtype: str = "uint8",
    outputs: Sequence[TensorSpec] = OUTPUTS,
    quantized: bool = False,
    metadata: bool = True,
    batch: int = 1,
    size: int = IMAGE_SIZE,
) -> Path:
    """Every value of output k is the image's first value + k; with ``quantized`` as int8, by `QUANTIZATION`."""
    elements = {"uint8": TensorProto.UINT8, "float32": TensorProto.FLOAT, "int8": TensorProto.INT8}
    nodes, constants = [], []

    def constant(name: str, value: object, dtype: str) -> str:
        constants.append(numpy_helper.from_array(np.array(value, dtype), name))
        return name

    starts, ends = constant("starts", [0, 0, 0, 0], "int64"), constant("ends", [1, 1, 1, 1], "int64")
    nodes.append(helper.make_node("Slice", ["image", starts, ends], ["corner"]))
    nodes.append(helper.make_node("Cast", ["corner"], ["value"], to=TensorProto.FLOAT))
    for k, spec in enumerate(outputs):
        name = spec.name
        nodes.append(helper.make_node("Add", ["value", constant(f"{name}.k", k, "float32")], [f"{name}.sum"]))
        shape = constant(f"{name}.shape", spec.shape, "int64")
        real = f"{name}.float32" if quantized else name
        nodes.append(helper.make_node("Expand", [f"{name}.sum", shape], [real]))
        if quantized:
            scale = constant(f"{name}.scale", QUANTIZATION[name].scale, "float32")
            zero_point = constant(f"{name}.zero_point", QUANTIZATION[name].zero_point, "int8")
            nodes.append(helper.make_node("QuantizeLinear", [real, scale, zero_point], [name]))
    output_type = TensorProto.INT8 if quantized else TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", elements[input_dtype], (batch, 3, size, size))],
        [helper.make_tensor_value_info(spec.name, output_type, spec.shape) for spec in outputs],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if quantized and metadata:
        helper.set_model_props(model, {METADATA_KEY: to_metadata(QUANTIZATION)})
    onnx.save(model, path)
    return path
