"""The activation with rare, large values is found, and leaving it float32 saves the accuracy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from harness.output_quantization import METADATA_KEY, from_metadata
from harness.quantization.calibration import calibrate
from harness.quantization.int8 import quantize
from harness.quantization.sensitivity import output_ranges, sensitivities
from harness.records import Normalisation

SIDE = 16


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SiLU after each convolution; one of the first's channels is 500 times the others, and the next ignores it."""
    rng = np.random.default_rng(0)
    first = rng.normal(0, 0.3, (8, 3, 3, 3))
    first[0] *= 500
    second = rng.normal(0, 0.3, (8, 8, 3, 3))
    second[:, 0] = 0
    weights = {"first.w": first, "second.w": second, "third.w": rng.normal(0, 0.3, (4, 8, 1, 1))}
    nodes = [
        helper.make_node("Conv", ["image", "first.w"], ["first"], pads=[1] * 4),
        helper.make_node("Sigmoid", ["first"], ["first.sigmoid"]),
        helper.make_node("Mul", ["first", "first.sigmoid"], ["first.silu"]),
        helper.make_node("Conv", ["first.silu", "second.w"], ["second"], pads=[1] * 4),
        helper.make_node("Sigmoid", ["second"], ["second.sigmoid"]),
        helper.make_node("Mul", ["second", "second.sigmoid"], ["second.silu"]),
        helper.make_node("Conv", ["second.silu", "third.w"], ["third"]),
        helper.make_node("Sigmoid", ["third"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "silu",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, SIDE, SIDE))],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, (1, 4, SIDE, SIDE))],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()],
    )
    path = tmp_path_factory.mktemp("silu") / "float32.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_leaving_the_worst_activation_in_float32_saves_the_outputs(model: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (4, 1, 3, SIDE, SIDE)).astype(np.uint8)
    images: list[Any] = [(image / 255).astype(np.float32) for image in pixels]
    ranges = calibrate(model, images)
    errors = sensitivities(model, ranges, images[:2], lambda done, total: None)
    assert next(iter(errors)) == "first.silu"
    assert errors["first.silu"] > 10 * errors["second.silu"]
    ranges |= output_ranges(model, images)
    expected = ort.InferenceSession(str(model)).run(None, {"image": images[3]})[0]
    found = {}
    for name, kept in (("all", ()), ("but one", ("first.silu",))):
        file = tmp_path / f"{name}.onnx"
        normalisation = Normalisation((0.0,) * 3, (1.0,) * 3)
        quantize(model, ranges, file, normalisation=normalisation, quantized_outputs=True, float32_inputs=kept)
        session = ort.InferenceSession(str(file))
        (output,) = session.run(None, {"image": pixels[3]})
        assert output.dtype == np.int8
        scale, zero_point = from_metadata(session.get_modelmeta().custom_metadata_map[METADATA_KEY])["output"]
        found[name] = float(np.abs(scale * (output.astype(np.float32) - zero_point) - expected).mean())
    assert found["but one"] < 0.02
    assert found["all"] > 4 * found["but one"]
