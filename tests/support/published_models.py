"""SSD-ResNet34 as it is published: the raw outputs are inner tensors, and boxes, labels and scores come out.

`small_trunk` has the twelve heads behind next to no work. `pytorch_export` and `tensorflow_export` put the
postprocessing behind it, or behind the real network: with softmax, decoded boxes and NMS, as the exporters write them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from harness.model.ssd_resnet34.heads import FEATURE_MAPS, IMAGE_SIZE, NUM_PRIORS, OUTPUTS

CHANNELS = 8


class Writer:
    """Nodes and constants as they are added, all under names that say nothing."""

    def __init__(self, nodes: list[onnx.NodeProto] | None = None, constants: list[onnx.TensorProto] | None = None):
        self.nodes = nodes or []
        self.constants = constants or []

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"{len(self.nodes) + 1000}"
        self.nodes.append(helper.make_node(operator, inputs, [name], f"{operator}_{name}", **attributes))
        return name

    def constant(self, value: object, dtype: str = "float32") -> str:
        name = f"w{len(self.constants) + 1000}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name


def small_trunk(seed: int = 0, *, batch_norm: bool = False) -> onnx.ModelProto:
    """Float32, input ``image``, outputs as `OUTPUTS`; six maps of eight channels, each computed from the last."""
    rng = np.random.default_rng(seed)
    writer = Writer()

    def convolution(x: str, before: int, after: int, kernel: int, stride: int, pad: int, name: str = "") -> str:
        weights = writer.constant(rng.normal(0, (before * kernel**2) ** -0.5, (after, before, kernel, kernel)))
        bias = writer.constant(rng.normal(0, 0.1, after))
        y = writer.node("Conv", x, weights, bias, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4)
        if name:
            writer.nodes[-1].output[0] = name
        return y

    x = writer.node("AveragePool", "image", kernel_shape=[8, 8], strides=[8, 8])
    x = convolution(x, 3, CHANNELS, 1, 1, 0)
    if batch_norm:
        statistics = (rng.uniform(low, 2, CHANNELS) for low in (0.5, -1, -1, 0.5))
        x = writer.node("BatchNormalization", x, *(writer.constant(v) for v in statistics))
    maps = [writer.node("Relu", x)]
    for stride, pad in ((2, 1), (2, 1), (2, 1), (2, 0), (1, 0)):
        maps.append(writer.node("Relu", convolution(maps[-1], CHANNELS, CHANNELS, 3, stride, pad)))
    for k, spec in enumerate(OUTPUTS):
        convolution(maps[k % len(maps)], CHANNELS, spec.shape[1], 3, 3, 1, spec.name)
    graph = helper.make_graph(
        writer.nodes,
        "trunk",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, IMAGE_SIZE, IMAGE_SIZE))],
        [helper.make_tensor_value_info(spec.name, TensorProto.FLOAT, spec.shape) for spec in OUTPUTS],
        writer.constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=4)


def pytorch_export(trunk: onnx.ModelProto, *, free_batch: bool = False) -> onnx.ModelProto:
    """NCHW; ``view(size(0), values, -1)`` of each head, softmax, NMS; outputs bboxes, labels, scores.

    The heads' tensors are called ``head_0`` to ``head_11``, in the order of `OUTPUTS`. As an old exporter did, the
    constants are listed as inputs too.
    """
    writer, heads, opset = _opened(trunk)
    rows = []
    for k, head in enumerate(heads):
        size = writer.node("Gather", writer.node("Shape", head), writer.constant(0, "int64"), axis=0)
        values, rest = writer.constant([81 if k < 6 else 4], "int64"), writer.constant([-1], "int64")
        if opset >= 13:
            size = writer.node("Unsqueeze", size, writer.constant([0], "int64"))
        else:
            size = writer.node("Unsqueeze", size, axes=[0])
        rows.append(writer.node("Reshape", head, writer.node("Concat", size, values, rest, axis=0)))
    logits, offsets = (writer.node("Concat", *rows[part], axis=2) for part in (slice(6), slice(6, 12)))
    scores = writer.node("Softmax", writer.node("Transpose", logits, perm=[0, 2, 1]), axis=2)
    boxes = writer.node("Mul", writer.node("Transpose", offsets, perm=[0, 2, 1]), writer.constant(0.1))
    _detections(writer, boxes, writer.node("Transpose", scores, perm=[0, 2, 1]), ("bboxes", "labels", "scores"))
    model = _closed(trunk, writer, "image", (1, 3, IMAGE_SIZE, IMAGE_SIZE), ("bboxes", "labels", "scores"))
    if free_batch:
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    for tensor in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    return model


def tensorflow_export(trunk: onnx.ModelProto) -> onnx.ModelProto:
    """NHWC image and heads: anchor · values + value channels, the bias added behind the turn to NHWC.

    The heads' tensors, still NHWC and in that order, are called ``head_0`` to ``head_11``.
    """
    writer, heads, _ = _opened(trunk)
    constants = {tensor.name: tensor for tensor in writer.constants}
    first = next(node for node in writer.nodes if "image" in node.input)
    turned = "image_nchw"
    first.input[0] = turned
    writer.nodes.insert(0, helper.make_node("Transpose", ["image:0"], [turned], "turn", perm=[0, 3, 1, 2]))
    rows = []
    for k, head in enumerate(heads):
        values = 81 if k < 6 else 4
        node = next(node for node in writer.nodes if node.output[0] == head)
        count = OUTPUTS[k].shape[1]
        order = np.arange(count).reshape(values, -1).T.reshape(-1)  # anchor-major from value-major
        weights, bias = (numpy_helper.to_array(constants[name])[order] for name in node.input[1:])
        node.input[:] = [node.input[0], writer.constant(weights)]
        node.output[0] = f"conv_{k}"
        turned = writer.node("Transpose", f"conv_{k}", perm=[0, 2, 3, 1])
        writer.nodes.append(helper.make_node("Add", [turned, writer.constant(bias)], [head]))
        rows.append(writer.node("Reshape", head, writer.constant([1, -1, values], "int64")))
    logits, offsets = (writer.node("Concat", *rows[part], axis=1) for part in (slice(6), slice(6, 12)))
    scores = writer.node("Transpose", writer.node("Softmax", logits, axis=2), perm=[0, 2, 1])
    names = ("detection_bboxes:0", "detection_classes:0", "detection_scores:0")
    _detections(writer, writer.node("Mul", offsets, writer.constant(0.1)), scores, names)
    return _closed(trunk, writer, "image:0", (1, IMAGE_SIZE, IMAGE_SIZE, 3), names)


def exposed(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same with the heads' tensors as further outputs."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.graph.output.extend(onnx.ValueInfoProto(name=f"head_{k}") for k in range(len(OUTPUTS)))
    return copy


def head_nodes(model: onnx.ModelProto) -> list[str]:
    """The names of the head convolutions, in the order of `OUTPUTS`."""
    made = {node.output[0]: node for node in model.graph.node}
    return [made.get(f"conv_{k}", made[f"head_{k}"]).name for k in range(len(OUTPUTS))]


def _opened(trunk: onnx.ModelProto) -> tuple[Writer, list[str], int]:
    """The trunk's nodes and constants with anonymous heads, in another order than ours."""
    copy = onnx.ModelProto()
    copy.CopyFrom(trunk)
    heads = {spec.name: f"head_{k}" for k, spec in enumerate(OUTPUTS)}
    for number, node in enumerate(copy.graph.node):
        node.name = f"{node.op_type}_{number}"
        node.output[0] = heads.get(node.output[0], node.output[0])
    nodes = list(copy.graph.node)
    rest, last = nodes[: -len(heads)], nodes[-len(heads) :]
    return Writer([*rest, *last[::-1]], list(copy.graph.initializer)), [*heads.values()], copy.opset_import[0].version


def _detections(writer: Writer, boxes: str, scores: str, names: tuple[str, str, str]) -> None:
    """Ten boxes per class by NMS of (1, N, 4) boxes and (1, 81, N) scores: decoded enough for a graph of that kind."""
    most, iou, least = writer.constant([10], "int64"), writer.constant([0.5]), writer.constant([0.05])
    chosen = writer.node("NonMaxSuppression", boxes, scores, most, iou, least, center_point_box=1)
    box = writer.node("Gather", chosen, writer.constant([2], "int64"), axis=1)
    label = writer.node("Gather", chosen, writer.constant([1], "int64"), axis=1)
    for name, made in zip(
        names,
        (
            writer.node("GatherND", boxes, writer.node("Concat", writer.node("Sub", box, box), box, axis=1)),
            writer.node("Identity", label),
            writer.node("GatherND", scores, writer.node("Concat", writer.node("Sub", box, box), label, box, axis=1)),
        ),
        strict=True,
    ):
        writer.nodes.append(helper.make_node("Identity", [made], [name]))


def _closed(
    trunk: onnx.ModelProto, writer: Writer, image: str, shape: tuple[int, ...], names: tuple[str, str, str]
) -> onnx.ModelProto:
    assert sum(f.grid**2 * f.anchors for f in FEATURE_MAPS) == NUM_PRIORS
    types = (TensorProto.FLOAT, TensorProto.INT64, TensorProto.FLOAT)
    shapes = (("found", 4), ("found", 1), ("found",))
    graph = helper.make_graph(
        writer.nodes,
        "published",
        [helper.make_tensor_value_info(image, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(*value) for value in zip(names, types, shapes, strict=True)],
        writer.constants,
    )
    return helper.make_model(graph, opset_imports=trunk.opset_import, ir_version=trunk.ir_version)
