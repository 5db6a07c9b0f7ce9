"""Takes the twelve raw outputs out of a published SSD-ResNet34 whose graph goes on to softmax, boxes and NMS.

The head convolutions are found by what they are, never by their names: a class head and a box head of the same map
read the same feature map, give the channels and the grid of `heads.FEATURE_MAPS`, and each feature map is computed
from the one before it. That also tells maps 4 and 5 apart, whose shapes are the same.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import ModelError
from harness.model.ssd_resnet34.channel_order import ChannelOrder, channel_order, in_our_order
from harness.model.ssd_resnet34.heads import FEATURE_MAPS, IMAGE_SIZE, INPUT, OUTPUTS
from harness.quantization import onnx_file, onnx_graph
from harness.quantization.onnx_graph import Graph

if TYPE_CHECKING:
    import onnx

# What an exporter puts between a feature map and its heads.
_BETWEEN = ("Cast", "Identity", "Pad", "Transpose")
_HINT = "a model that has only the raw outputs can be run as it is"


@dataclass(frozen=True)
class ExtractedHead:
    """One of the twelve as it was found.

    Attributes:
        output: its name now, as in `heads.OUTPUTS`.
        node: the name (or the output) of the convolution in the file.
        shape: (1, C, H, W).
        order: of its channels in the file; None where the graph does not tell, and ours is taken.
    """

    output: str
    node: str
    shape: tuple[int, ...]
    order: ChannelOrder | None


@dataclass(frozen=True)
class Extraction:
    """What was cut out.

    Attributes:
        heads: in the order of the outputs.
        changes: sentences about what else is different from the file.
    """

    heads: tuple[ExtractedHead, ...]
    changes: tuple[str, ...]

    def sentences(self) -> list[str]:
        """The findings for a person: one line a head, one a change."""
        return [f"{head.output} {head.shape} from {head.node}" for head in self.heads] + list(self.changes)


def extract(published: Path, output: Path) -> Extraction:
    """Writes the model that ends at the twelve raw outputs, checked by onnx and by ONNX Runtime.

    Args:
        published: float32, one image input of batch 1 (or a free one), NCHW or NHWC.
        output: input ``image`` (1, 3, 1200, 1200), outputs as `heads.OUTPUTS`; written whole or not at all.

    Raises:
        ModelError: the file cannot be used, or has no such heads; says what was looked for and what was found.
        DataError: the output cannot be written.
    """
    model = onnx_file.load(published, check=False)
    where = str(published)
    changes = _fix_input(model, where)
    graph = Graph.of(model)
    convolutions = _find(graph, where)
    heads = [
        ExtractedHead(spec.name, node.name or node.output[0], spec.shape, channel_order(graph, node))
        for spec, node in zip(OUTPUTS, convolutions, strict=True)
    ]
    changes += _settle_heads(graph, convolutions, heads)
    cut = onnx_graph.cut(graph, [node.output[0] for node in convolutions], OUTPUTS, INPUT.name)
    if _to_nchw(cut):
        changes.append("the image goes in as NCHW, not NHWC")
    ready, opset = onnx_graph.checked(cut, where)
    if opset != onnx_graph.opset(ready):
        changes.append(f"opset {opset} became {onnx_graph.opset(ready)}, which can be quantized")
    onnx_file.save(ready, output)
    return Extraction(tuple(heads), tuple(changes))


def _fix_input(model: onnx.ModelProto, where: str) -> list[str]:
    """Gives the image input its fixed shape; says what was free before."""
    from onnx import TensorProto

    inputs = onnx_graph.inputs(model.graph)
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise ModelError(f"it should have one input, the image, and has: {names}", where=where)
    image = inputs[0]
    tensor = image.type.tensor_type
    found = [d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None for d in tensor.shape.dim]
    nchw, nhwc = [1, 3, IMAGE_SIZE, IMAGE_SIZE], [1, IMAGE_SIZE, IMAGE_SIZE, 3]
    fitting = [
        shape
        for shape in (nchw, nhwc)
        if len(found) == 4 and all(size in (None, wanted) for size, wanted in zip(found, shape, strict=True))
    ]
    if not fitting or (len(fitting) == 2 and any(found[1:])):
        shown = "(" + ", ".join("?" if size is None else str(size) for size in found) + ")"
        raise ModelError(
            f"its input {image.name} is {shown}, not {tuple(nchw)} or, NHWC, {tuple(nhwc)}",
            where=where,
            hint="export it with batch 1 (or a free one) and that image size",
        )
    if tensor.elem_type != TensorProto.FLOAT:
        kind = TensorProto.DataType.Name(tensor.elem_type).lower()
        raise ModelError(f"its input {image.name} is {kind}, not float", where=where, hint="give the float32 model")
    for dimension, size in zip(tensor.shape.dim, fitting[0], strict=True):
        dimension.dim_value = size
    return [f"the free dimensions of the input are fixed: {tuple(fitting[0])}"] if None in found else []


def _find(graph: Graph, where: str) -> list[onnx.NodeProto]:
    """The head convolutions in the order of the outputs."""
    by_source = _pairs(graph)
    sources: list[str] = []
    for k in range(len(FEATURE_MAPS)):
        fitting = [
            source
            for source, (class_head, box_head) in by_source.items()
            if source not in sources
            and graph.shape(class_head.output[0]) == OUTPUTS[k].shape
            and graph.shape(box_head.output[0]) == OUTPUTS[k + len(FEATURE_MAPS)].shape
            and (not sources or graph.is_computed_from(source, sources[-1]))
        ]
        # of several, the first in the chain: the one that all the others are computed from
        first = [s for s in fitting if all(s == other or graph.is_computed_from(other, s) for other in fitting)]
        if not first:
            raise ModelError(_not_found(graph, k, bool(fitting)), where=where, hint=_HINT)
        sources.append(first[0])
    return [by_source[source][kind] for kind in (0, 1) for source in sources]


def _pairs(graph: Graph) -> dict[str, tuple[onnx.NodeProto, onnx.NodeProto]]:
    """Feature map → its class head and its box head, for all tensors that have exactly one of each."""
    class_shapes, box_shapes = ({spec.shape for spec in OUTPUTS[part]} for part in (slice(6), slice(6, 12)))
    found: dict[str, tuple[list[onnx.NodeProto], list[onnx.NodeProto]]] = defaultdict(lambda: ([], []))
    for node in graph.proto.node:
        if node.op_type == "Conv":
            shape = graph.shape(node.output[0])
            for kind, shapes in enumerate((class_shapes, box_shapes)):
                if shape in shapes:
                    found[graph.before(node.input[0], _BETWEEN)][kind].append(node)
    return {source: (c[0], b[0]) for source, (c, b) in found.items() if len(c) == len(b) == 1}


def _not_found(graph: Graph, k: int, several: bool) -> str:
    """What was looked for on map k, and what there is."""
    wanted = f"{OUTPUTS[k].shape} and {OUTPUTS[k + len(FEATURE_MAPS)].shape}"
    place = "" if k == 0 else f" computed from map {k - 1}"
    what = f"two convolutions {wanted} that read one feature map{place}"
    if several:
        return f"the heads of map {k} cannot be told: there are several pairs of {what}"
    shapes = [graph.shape(node.output[0]) for node in graph.proto.node if node.op_type == "Conv"]
    wanted_shapes = {spec.shape for spec in OUTPUTS}
    matching = Counter(shape for shape in shapes if shape in wanted_shapes)
    there = ", ".join(f"{n} of {shape}" for shape, n in matching.items()) or "none of any head's shape"
    unknown = shapes.count(None)
    unknown_text = f", {unknown} of unknown shape" if unknown else ""
    return f"no heads of map {k}: looked for {what}; of {len(shapes)} convolutions there are {there}{unknown_text}"


def _settle_heads(graph: Graph, convolutions: list[onnx.NodeProto], heads: list[ExtractedHead]) -> list[str]:
    """Puts biases that the exporter left outside into the convolutions, and channels in our order."""
    biases = 0
    for node in convolutions:
        bias = _bias_behind(graph, node)
        if bias is not None:
            biases += 1
            node.input[:] = [*node.input[:2], bias]
    changes = [f"{biases} biases added behind a head are now inside its convolution"] if biases else []
    others = [head for head in heads if head.order == "anchor-major"]
    for head, node in zip(heads, convolutions, strict=True):
        if head.order == "anchor-major":
            in_our_order(graph, node)
    if others:
        changes.append(
            f"the channels of {len(others)} heads are in our order now, value · anchors + anchor; they were"
            " anchor · values + value"
        )
    untold = [head.output for head in heads if head.order is None]
    if untold:
        changes.append(
            f"the graph does not tell the channel order of {', '.join(untold)}: taken as value · anchors + anchor"
        )
    return changes


def _bias_behind(graph: Graph, node: onnx.NodeProto) -> str | None:
    """The constant of an Add behind a convolution without a bias, as a new initializer (C,)."""
    if len(node.input) > 2 and node.input[2]:
        return None
    name = node.output[0]
    while len(graph.consumers[name]) == 1:
        (after,) = graph.consumers[name]
        if after.op_type not in ("Add", "Identity", "Transpose"):
            return None
        if after.op_type == "Add":
            other = after.input[1] if after.input[0] == name else after.input[0]
            constant = graph.constant(other)
            channels = (graph.shape(node.output[0]) or (0, 0))[1]
            if constant is None or constant.size != channels or max(constant.shape) != channels:
                return None
            return graph.add_constant(f"{node.output[0]}.bias", constant.reshape(-1))
        name = after.output[0]
    return None


def _to_nchw(model: onnx.ModelProto) -> bool:
    """Lets an NHWC image in as NCHW: without the Transpose at the entrance, or with one where there was none."""
    from onnx import helper

    graph = model.graph
    dimensions = graph.input[0].type.tensor_type.shape.dim
    if dimensions[-1].dim_value != 3:
        return False
    image = graph.input[0].name
    readers = [node for node in graph.node if image in node.input]
    if all(node.op_type == "Transpose" and onnx_graph.attribute(node, "perm") == [0, 3, 1, 2] for node in readers):
        renamed = {node.output[0]: image for node in readers}
        for node in readers:
            graph.node.remove(node)
        for node in graph.node:
            node.input[:] = [renamed.get(name, name) for name in node.input]
    else:
        for node in readers:
            node.input[:] = [f"{image}.nhwc" if name == image else name for name in node.input]
        turn = helper.make_node("Transpose", [image], [f"{image}.nhwc"], f"{image}.nhwc", perm=[0, 2, 3, 1])
        graph.node.insert(0, turn)
    for dimension, size in zip(dimensions, (1, 3, IMAGE_SIZE, IMAGE_SIZE), strict=True):
        dimension.dim_value = size
    return True
