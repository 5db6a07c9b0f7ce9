"""In which order a head's channels hold its values and anchors, read from what the graph does with them.

Ours, and that of the PyTorch model, is value · anchors + anchor ("value-major"); TensorFlow's heads have
anchor · values + value ("anchor-major"). A value is one of the 81 classes, or of a box's four coordinates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from harness.model.ssd_resnet34.heads import NUM_CLASSES
from harness.quantization.onnx_graph import Graph, attribute

if TYPE_CHECKING:
    import onnx

ChannelOrder: TypeAlias = Literal["value-major", "anchor-major"]

_COORDINATES = 4


def channel_order(graph: Graph, head: onnx.NodeProto) -> ChannelOrder | None:
    """The order of a head's channels, or None where nothing behind it tells.

    Every element is given the number of its channel and followed through the transposes and reshapes behind the head.
    Where they end, one axis has the values: what numbers lie along it is the order.

    Args:
        head: a convolution whose output is (1, values · anchors, H, W).
    """
    shape = graph.shape(head.output[0])
    if shape is None:
        return None
    values = NUM_CLASSES if shape[1] % NUM_CLASSES == 0 else _COORDINATES
    anchors = shape[1] // values
    channels = np.broadcast_to(np.arange(shape[1]).reshape(1, -1, 1, 1), shape)
    moved = _follow(graph, head.output[0], channels)
    axes = [axis for axis, size in enumerate(moved.shape) if size == values]
    if len(axes) != 1:
        return None
    rows = np.moveaxis(moved, axes[0], 0).reshape(values, -1)
    expected = np.arange(values)[:, np.newaxis]
    if (rows // anchors == expected).all():
        return "value-major"
    if (rows % values == expected).all():
        return "anchor-major"
    return None


def in_our_order(graph: Graph, head: onnx.NodeProto) -> None:
    """Permutes the weights and the bias of an anchor-major head, so that its output is value-major."""
    weights = graph.constant(head.input[1])
    if weights is None:
        raise ValueError(f"the weights of {head.name or head.output[0]} are not constants of the graph")
    count = len(weights)
    values = NUM_CLASSES if count % NUM_CLASSES == 0 else _COORDINATES
    order = np.arange(count).reshape(-1, values).T.reshape(-1)
    for k, name in enumerate(head.input[1:], 1):
        constant = graph.constant(name) if name else None
        if constant is not None:
            head.input[k] = graph.add_constant(f"{name}.reordered", constant[order])


def _follow(graph: Graph, name: str, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    while len(readers := [node for node in graph.consumers[name] if node.op_type != "Shape"]) == 1:
        (node,) = readers
        if node.op_type == "Transpose":
            perm = attribute(node, "perm")
            array = array.transpose(perm if perm is not None else None)
        elif node.op_type in ("Reshape", "Flatten", "Squeeze", "Unsqueeze") and node.input[0] == name:
            shape = _target_shape(graph, node)
            if shape is None or shape.count(-1) > 1:
                break
            array = array.reshape(shape)
        elif node.op_type == "Add":  # a bias
            if not any(graph.constant(other) is not None for other in node.input):
                break
        elif node.op_type not in ("Cast", "Identity"):
            break
        name = node.output[0]
    return array


def _target_shape(graph: Graph, node: onnx.NodeProto) -> tuple[int, ...] | None:
    """What a node reshapes to, with −1 for what follows from the rest; None if that cannot be known."""
    inferred = graph.partial_shape(node.output[0])
    if inferred is None and node.op_type == "Reshape":
        wanted = graph.value(node.input[1])
        # a zero stands for the input's own size: then the inference would have known
        return None if wanted is None or 0 in wanted else tuple(map(int, wanted))
    return inferred
