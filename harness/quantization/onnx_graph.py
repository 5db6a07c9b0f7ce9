"""An ONNX graph to ask questions of (who makes this tensor, who reads it, how large is it) and to cut."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.errors import ModelError
from harness.quantization import folding
from harness.records import TensorSpec

if TYPE_CHECKING:
    import onnx

OPSET = 17
IR_VERSION = 8
_SHAPE_OPERATORS = ("Cast", "Concat", "Gather", "Identity", "Slice", "Squeeze", "Unsqueeze")
_OLDEST_OPSET = 13  # the first whose QuantizeLinear has an axis, which per-channel weights need


@dataclass(frozen=True)
class Graph:
    """A model's graph with its shapes inferred, and the tables to walk along it.

    Attributes:
        model: with inferred shapes.
        producers: tensor → the node that makes it.
        consumers: tensor → the nodes that read it (none: an empty list).
        initializers: tensor → its constant.
    """

    model: onnx.ModelProto
    producers: dict[str, onnx.NodeProto] = field(repr=False)
    consumers: defaultdict[str, list[onnx.NodeProto]] = field(repr=False)
    initializers: dict[str, onnx.TensorProto] = field(repr=False)
    _shapes: dict[str, tuple[int, ...]] = field(repr=False)

    @classmethod
    def of(cls, model: onnx.ModelProto) -> Graph:
        """The graph of a model; what that says itself of inner shapes is not believed.

        Constants that an old exporter lists as inputs too, to be overridden, are constants only.
        """
        import onnx

        del model.graph.value_info[:]
        true_inputs = inputs(model.graph)
        del model.graph.input[:]
        model.graph.input.extend(true_inputs)
        model = onnx.shape_inference.infer_shapes(model, data_prop=True)
        consumers = defaultdict(list)
        for node in model.graph.node:
            for name in dict.fromkeys(node.input):
                consumers[name].append(node)
        known = (*model.graph.value_info, *model.graph.input, *model.graph.output)
        return cls(
            model,
            {name: node for node in model.graph.node for name in node.output},
            consumers,
            {tensor.name: tensor for tensor in model.graph.initializer},
            {value.name: shape for value in known if (shape := _shape(value)) is not None},
        )

    @property
    def proto(self) -> onnx.GraphProto:
        """The graph itself."""
        return self.model.graph

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The shape of a tensor; None unless it is wholly known."""
        shape = self._shapes.get(name)
        return None if shape is None or -1 in shape else shape

    def partial_shape(self, name: str) -> tuple[int, ...] | None:
        """The shape of a tensor with −1 for each unknown size; None if not even its rank is known."""
        return self._shapes.get(name)

    def constant(self, name: str) -> npt.NDArray[Any] | None:
        """The value of an initializer or a Constant node; None for any other tensor."""
        from onnx import numpy_helper

        if name in self.initializers:
            return numpy_helper.to_array(self.initializers[name])
        node = self.producers.get(name)
        if node is not None and node.op_type == "Constant" and node.attribute[0].name == "value":
            return numpy_helper.to_array(node.attribute[0].t)
        return None

    def value(self, name: str) -> npt.NDArray[Any] | None:
        """What a tensor always is: a constant, or computed from constants and known shapes as exporters do it."""
        from onnx import TensorProto, helper
        from onnx.reference import ReferenceEvaluator

        constant, node = self.constant(name), self.producers.get(name)
        if constant is not None or node is None:
            return constant
        if node.op_type == "Shape":
            shape = self.shape(node.input[0])
            return None if shape is None else np.array(shape, np.int64)
        if node.op_type not in _SHAPE_OPERATORS:
            return None
        values = {read: self.value(read) for read in node.input}
        if any(value is None for value in values.values()):
            return None
        feeds = [helper.make_tensor_value_info(read, TensorProto.UNDEFINED, None) for read in values]
        result = helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None)
        graph = helper.make_graph([node], "shape", feeds, [result])
        model = helper.make_model(graph, opset_imports=self.model.opset_import)
        return np.asarray(next(iter(ReferenceEvaluator(model).run(None, values))))

    def add_constant(self, name: str, value: npt.NDArray[Any]) -> str:
        """A new initializer; gives its name."""
        from onnx import numpy_helper

        tensor = numpy_helper.from_array(value, name)
        self.proto.initializer.append(tensor)
        self.initializers[name] = tensor
        return name

    def before(self, name: str, operators: Sequence[str]) -> str:
        """The tensor that one comes from when the given kinds of nodes are looked through (at their first input)."""
        while (node := self.producers.get(name)) is not None and node.op_type in operators:
            name = node.input[0]
        return name

    def is_computed_from(self, name: str, ancestor: str) -> bool:
        """Whether a tensor depends on another one (which is not itself)."""
        return name != ancestor and ancestor in self._needed([name])[0]

    def _needed(self, names: Sequence[str]) -> tuple[set[str], list[onnx.NodeProto]]:
        """All tensors that these depend on, themselves included, and the nodes in the graph's order."""
        seen, waiting, outputs = set[str](), list(names), set[str]()
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            node = self.producers.get(name)
            if node is not None:
                outputs.add(node.output[0])
                waiting.extend(filter(None, node.input))
        return seen, [node for node in self.proto.node if node.output[0] in outputs]


def inputs(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """The true inputs: old exporters list every initializer as one too."""
    constants = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in constants]


def opset(model: onnx.ModelProto) -> int:
    """The version of ONNX's own operators in a model; 0 if it names none."""
    return next((o.version for o in model.opset_import if o.domain == ""), 0)


def attribute(node: onnx.NodeProto, name: str) -> Any:
    """The value of an attribute; None if it is not given."""
    from onnx import helper

    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), None)


def cut(graph: Graph, tensors: Sequence[str], outputs: Sequence[TensorSpec], image: str) -> onnx.ModelProto:
    """The part of a graph that computes these tensors.

    Args:
        tensors: what becomes the outputs.
        outputs: their new names and their shapes, in the same order.
        image: the new name of the one input.
    """
    from onnx import TensorProto, helper

    needed, nodes = graph._needed(tensors)
    (found,) = inputs(graph.proto)
    names = dict(zip(tensors, (spec.name for spec in outputs), strict=True)) | {found.name: image}
    taken = set(names.values())
    names = {name: f"{name}.inner" for name in needed & taken if name not in names} | names
    for node in nodes:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    constants = [tensor for name, tensor in graph.initializers.items() if name in needed]
    for tensor in constants:
        tensor.name = names.get(tensor.name, tensor.name)
    found.name = image
    results = [helper.make_tensor_value_info(spec.name, TensorProto.FLOAT, spec.shape) for spec in outputs]
    return helper.make_model(
        helper.make_graph(nodes, graph.proto.name or "extracted", [found], results, constants),
        opset_imports=[o for o in graph.model.opset_import if o.domain in {node.domain for node in nodes} | {""}],
        ir_version=max(graph.model.ir_version, IR_VERSION),
        producer_name="ssd-harness",
    )


def checked(model: onnx.ModelProto, where: str) -> tuple[onnx.ModelProto, int]:
    """The model in an opset that can be quantized, checked by onnx and loaded by ONNX Runtime.

    Returns:
        It, and the opset that it had before.

    Raises:
        ModelError: onnx or ONNX Runtime refuses it.
    """
    import onnx
    from onnx import version_converter

    before = opset(model)
    try:
        if before < _OLDEST_OPSET:
            model = version_converter.convert_version(model, OPSET)
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, RuntimeError) as error:
        raise ModelError(f"onnx refuses what was cut out ({str(error).splitlines()[0]})", where=where) from error
    folding.simplified(model, where)
    return model, before


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...] | None:
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return tuple(d.dim_value if d.HasField("dim_value") else -1 for d in tensor.shape.dim)
