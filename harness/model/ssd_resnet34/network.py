"""SSD-ResNet34 at 1200×1200 as an ONNX graph: ResNet-34 up to its third stage, five extra blocks, two heads a map.

The architecture is MLPerf's: 19.97 M parameters, 216 GMAC an image. Batch normalisation is folded, so a layer is
one convolution with a bias, and the weights are a mapping of ``<convolution>.weight`` and ``<convolution>.bias``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from harness.model.ssd_resnet34.heads import FEATURE_MAPS, IMAGE_SIZE, OUTPUTS

if TYPE_CHECKING:
    import onnx

OPSET = 17
IR_VERSION = 8

Weights: TypeAlias = Mapping[str, npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Convolution:
    """One square convolution: ``<name>.weight`` is (channels_out, channels_in, kernel, kernel)."""

    name: str
    channels_in: int
    channels_out: int
    kernel: int
    stride: int = 1
    pad: int = 0


@dataclass(frozen=True)
class ResidualBlock:
    """relu(second(relu(first(x))) + x), or + shortcut(x) where the shape changes."""

    first: Convolution
    second: Convolution
    shortcut: Convolution | None


@dataclass(frozen=True)
class ExtraBlock:
    """relu(expand(relu(reduce(x)))): makes the next, coarser map."""

    reduce: Convolution
    expand: Convolution


def _residual_blocks() -> Iterator[ResidualBlock]:
    # channels in and out, blocks, stride of the first block; the third stage's stride is 1 (ResNet-34 has 2)
    for stage, (before, after, count, stride) in enumerate(((64, 64, 3, 1), (64, 128, 4, 2), (128, 256, 6, 1)), 1):
        for k in range(count):
            name = f"stage{stage}.{k}"
            wide, step = (before, stride) if k == 0 else (after, 1)
            yield ResidualBlock(
                Convolution(f"{name}.first", wide, after, 3, step, 1),
                Convolution(f"{name}.second", after, after, 3, 1, 1),
                Convolution(f"{name}.shortcut", wide, after, 1, step) if wide != after else None,
            )


def _extra_blocks() -> Iterator[ExtraBlock]:
    # channels between the two, stride and padding of the second
    for k, (middle, stride, pad) in enumerate(((256, 2, 1), (256, 2, 1), (128, 2, 1), (128, 2, 0), (128, 1, 0)), 1):
        before, after = FEATURE_MAPS[k - 1].channels, FEATURE_MAPS[k].channels
        yield ExtraBlock(
            Convolution(f"extra{k}.reduce", before, middle, 1),
            Convolution(f"extra{k}.expand", middle, after, 3, stride, pad),
        )


STEM = Convolution("stem", 3, 64, 7, 2, 3)
RESIDUAL_BLOCKS = tuple(_residual_blocks())
EXTRA_BLOCKS = tuple(_extra_blocks())
HEADS = tuple(  # named and ordered as the outputs
    Convolution(output.name, FEATURE_MAPS[k % len(FEATURE_MAPS)].channels, output.shape[1], 3, 3, 1)
    for k, output in enumerate(OUTPUTS)
)


def convolutions() -> Iterator[Convolution]:
    """Every convolution of the network, in the order of the graph."""
    yield STEM
    for block in RESIDUAL_BLOCKS:
        yield block.first
        yield block.second
        if block.shortcut is not None:
            yield block.shortcut
    for extra in EXTRA_BLOCKS:
        yield extra.reduce
        yield extra.expand
    yield from HEADS


def build(weights: Weights) -> onnx.ModelProto:
    """The float32 model.

    Args:
        weights: float32 arrays for exactly the names of `convolutions`.

    Returns:
        a checked model: input ``image`` (1, 3, 1200, 1200) float32, normalised with mean and standard deviation;
        outputs as `heads.OUTPUTS`.

    Raises:
        ValueError: a weight that is missing, too many, or of another shape; the message names it.
    """
    import onnx
    from onnx import TensorProto, helper

    _check_weights(weights)
    graph = _Graph(weights)
    x = graph.convolution(STEM, "image", relu=True)
    x = graph.node("MaxPool", [x], "stem.pool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    for block in RESIDUAL_BLOCKS:
        y = graph.convolution(block.second, graph.convolution(block.first, x, relu=True))
        shortcut = x if block.shortcut is None else graph.convolution(block.shortcut, x)
        name = block.first.name.rpartition(".")[0]
        x = graph.node("Relu", [graph.node("Add", [y, shortcut], f"{name}.sum")], f"{name}.relu")
    maps = [x]
    for extra in EXTRA_BLOCKS:
        x = graph.convolution(extra.reduce, x, relu=True)
        x = graph.convolution(extra.expand, x, relu=True)
        maps.append(x)
    for k, head in enumerate(HEADS):
        graph.convolution(head, maps[k % len(maps)])

    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "ssd_resnet34",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, IMAGE_SIZE, IMAGE_SIZE))],
            [helper.make_tensor_value_info(o.name, TensorProto.FLOAT, o.shape) for o in OUTPUTS],
            graph.initializers,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="ssd-harness",
    )
    onnx.checker.check_model(model)
    return model


def _check_weights(weights: Weights) -> None:
    expected: dict[str, tuple[int, ...]] = {}
    for c in convolutions():
        expected[f"{c.name}.weight"] = (c.channels_out, c.channels_in, c.kernel, c.kernel)
        expected[f"{c.name}.bias"] = (c.channels_out,)
    for name in expected.keys() ^ weights.keys():
        raise ValueError(f"weight {name} is {'missing' if name in expected else 'not one of this network'}")
    for name, shape in expected.items():
        if weights[name].shape != shape:
            raise ValueError(f"weight {name} has shape {weights[name].shape}, not {shape}")


class _Graph:
    """Nodes and initializers as they are added."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def convolution(self, conv: Convolution, x: str, *, relu: bool = False) -> str:
        from onnx import numpy_helper

        parameters = [f"{conv.name}.weight", f"{conv.name}.bias"]
        for name in parameters:
            array = np.ascontiguousarray(self.weights[name], dtype=np.float32)
            self.initializers.append(numpy_helper.from_array(array, name))
        y = self.node(
            "Conv",
            [x, *parameters],
            conv.name,
            kernel_shape=[conv.kernel] * 2,
            strides=[conv.stride] * 2,
            pads=[conv.pad] * 4,
        )
        return self.node("Relu", [y], f"{conv.name}.relu") if relu else y
