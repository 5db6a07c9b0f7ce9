from __future__ import annotations

import numpy as np
import onnx
import pytest

from harness.model.ssd_resnet34.heads import FEATURE_MAPS, OUTPUTS
from harness.model.ssd_resnet34.network import build, convolutions
from harness.model.ssd_resnet34.weights import trained_weights


@pytest.fixture(scope="module")
def graph() -> onnx.GraphProto:
    return onnx.shape_inference.infer_shapes(build(trained_weights())).graph


def shapes(graph: onnx.GraphProto) -> dict[str, tuple[int, ...]]:
    infos = [*graph.input, *graph.value_info, *graph.output]
    return {info.name: tuple(d.dim_value for d in info.type.tensor_type.shape.dim) for info in infos}


def test_it_has_the_published_19_97_million_parameters(graph: onnx.GraphProto) -> None:
    # furiosa-models' SSD-ResNet34; MLPerf's table of models says 20 M
    assert sum(np.prod(tensor.dims) for tensor in graph.initializer) == 19_967_606


def test_one_image_takes_the_published_216_billion_multiplications(graph: onnx.GraphProto) -> None:
    # MLPerf's table of models: 433 GFLOP an image
    shape = shapes(graph)
    weights = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    macs = sum(
        np.prod(weights[node.input[1]]) * np.prod(shape[node.output[0]][2:])
        for node in graph.node
        if node.op_type == "Conv"
    )
    assert macs / 1e9 == pytest.approx(216.4, abs=0.05)


def test_its_input_and_outputs_are_those_of_the_table_by_shape_inference(graph: onnx.GraphProto) -> None:
    bare = onnx.helper.make_model(graph)
    del bare.graph.output[:]  # what inference finds, not what the file says
    for spec in OUTPUTS:
        bare.graph.output.append(onnx.helper.make_tensor_value_info(spec.name, onnx.TensorProto.FLOAT, None))
    found = shapes(onnx.shape_inference.infer_shapes(bare).graph)
    assert found["image"] == (1, 3, 1200, 1200)
    assert [found[spec.name] for spec in OUTPUTS] == [spec.shape for spec in OUTPUTS]


def test_the_heads_read_maps_of_150_75_38_19_9_and_7_cells(graph: onnx.GraphProto) -> None:
    shape = shapes(graph)
    heads = {node.output[0]: node for node in graph.node if node.output[0] in {spec.name for spec in OUTPUTS}}
    maps = [shape[heads[f"class_{k}"].input[0]] for k in range(6)]
    assert maps == [(1, m.channels, s, s) for m, s in zip(FEATURE_MAPS, (150, 75, 38, 19, 9, 7), strict=True)]
    assert all(heads[f"box_{k}"].input[0] == heads[f"class_{k}"].input[0] for k in range(6))


def test_weights_that_do_not_fit_are_named() -> None:
    weights: dict[str, np.ndarray] = {}
    for c in convolutions():
        weights[f"{c.name}.weight"] = np.zeros((c.channels_out, c.channels_in, c.kernel, c.kernel), np.float32)
        weights[f"{c.name}.bias"] = np.zeros(c.channels_out, np.float32)
    with pytest.raises(ValueError, match=r"weight stem\.bias is missing"):
        build({name: array for name, array in weights.items() if name != "stem.bias"})
    with pytest.raises(ValueError, match=r"weight stem\.gamma is not one of this network"):
        build(weights | {"stem.gamma": np.zeros(64, "f4")})
    with pytest.raises(ValueError, match=r"weight extra1\.reduce\.bias has shape \(3,\), not \(256,\)"):
        build(weights | {"extra1.reduce.bias": np.zeros(3, "f4")})
