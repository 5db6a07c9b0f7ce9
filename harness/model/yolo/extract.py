"""Boxes, objectness and scores as outputs of their own, cut out of an exported model whose graph joins them at its end.

Joined they would share one scale when quantized, and scores of 0..1 beside boxes of hundreds would all become 0.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness.errors import ModelError
from harness.model.yolo.head import CLASSES, Head, head_of
from harness.quantization import onnx_file, onnx_graph
from harness.quantization.onnx_graph import Graph, attribute

if TYPE_CHECKING:
    import onnx

_HINT = "export it without further processing, or run the float32 model as it is"


def extract(published: Path, output: Path) -> list[str]:
    """Writes the model with split outputs, checked by onnx and by ONNX Runtime.

    Returns:
        Sentences: where each output comes from, and what else was changed.

    Raises:
        ModelError: the file cannot be used, or its end is not that of the family.
        DataError: the output cannot be written.
    """
    where = str(published)
    head = head_of(published)
    if head.split:
        raise ModelError("its outputs are split already", where=where, hint="quantize it as it is")
    graph = Graph.of(onnx_file.load(published, check=False))
    specs = replace(head, split=True, output_names=()).outputs
    end = graph.proto.output[0].name
    tensors = _joined_levels(graph, end, head, where) if head.has_objectness else _joined_parts(graph, end, head, where)
    graph = Graph.of(graph.model)
    ready, opset = onnx_graph.checked(onnx_graph.cut(graph, tensors, specs, head.input_name), where)
    onnx_file.save(ready, output)
    sentences = [f"{spec.name} {spec.shape}" for spec in specs]
    if opset != onnx_graph.opset(ready):
        sentences.append(f"opset {opset} became {onnx_graph.opset(ready)}, which can be quantized")
    return sentences


def _joined_parts(graph: Graph, end: str, head: Head, where: str) -> list[str]:
    """YOLO11: the last node joins boxes (1, 4, N) and scores (1, 80, N)."""
    node = graph.producers.get(end)
    shapes = [] if node is None else [graph.shape(name) for name in node.input]
    if node is None or node.op_type != "Concat" or shapes != [(1, 4, head.places), (1, CLASSES, head.places)]:
        raise ModelError(f"its last node does not join boxes and scores, but {shapes}", where=where, hint=_HINT)
    return list(node.input)


def _joined_levels(graph: Graph, end: str, head: Head, where: str) -> list[str]:
    """YOLOX: the end transposes what joins, level by level, what joins boxes, objectness and scores."""
    from onnx import helper

    levels = [_parts_of_level(graph, name) for name in _inputs(graph, _before(graph, end, "Transpose"), "Concat")]
    if len(levels) != len(head.cells) or not all(len(parts) == 3 for parts in levels):
        raise ModelError("its end does not join three levels of boxes, objectness and scores", where=where, hint=_HINT)
    tensors = []
    for k, (name, values) in enumerate((("boxes", 4), ("objectness", 1), ("scores", CLASSES))):
        flat = []
        for level, parts in enumerate(levels):
            shape = graph.add_constant(f"{name}.{level}.shape", np.array([1, values, -1], np.int64))
            flat.append(f"{name}.{level}")
            graph.proto.node.append(helper.make_node("Reshape", [parts[k], shape], [flat[-1]], flat[-1]))
        tensors.append(f"{name}.joined")
        graph.proto.node.append(helper.make_node("Concat", flat, [tensors[-1]], tensors[-1], axis=2))
    return tensors


def _parts_of_level(graph: Graph, name: str) -> list[str]:
    return _inputs(graph, _before(graph, name, "Reshape"), "Concat")


def _before(graph: Graph, name: str, operator: str) -> str:
    return graph.before(name, (operator,))


def _inputs(graph: Graph, name: str, operator: str) -> list[str]:
    node: onnx.NodeProto | None = graph.producers.get(name)
    if node is None or node.op_type != operator or attribute(node, "axis") is None:
        return []
    return list(node.input)
