from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from harness.errors import DataError, ModelError
from harness.output_quantization import METADATA_KEY, Quantization, from_metadata, to_metadata
from harness.quantization.calibration import Method, calibrate
from harness.quantization.int8 import quantize
from harness.records import Normalisation

SIZE = 32
NORMALISATION = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.fixture(scope="module")
def float32(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A convolution with padding, ReLU, pooling, a residual sum and a convolution as the head."""
    rng = np.random.default_rng(0)
    weights = {
        "first.weight": rng.normal(0, 0.3, (8, 3, 3, 3)),
        "first.bias": rng.normal(0, 0.3, 8),
        "second.weight": rng.normal(0, 0.2, (8, 8, 3, 3)),
        "second.bias": np.zeros(8),
        "head.weight": rng.normal(0, 0.2, (6, 8, 1, 1)) * np.array([1, 1, 1, 1, 1, 100]).reshape(6, 1, 1, 1),
        "head.bias": np.zeros(6),
    }
    nodes = [
        helper.make_node("Conv", ["image", "first.weight", "first.bias"], ["first"], pads=[1] * 4),
        helper.make_node("Relu", ["first"], ["first.relu"]),
        helper.make_node("MaxPool", ["first.relu"], ["pool"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["pool", "second.weight", "second.bias"], ["second"], pads=[1] * 4),
        helper.make_node("Add", ["second", "pool"], ["sum"]),
        helper.make_node("Relu", ["sum"], ["sum.relu"]),
        helper.make_node("Conv", ["sum.relu", "head.weight", "head.bias"], ["head"]),
    ]
    half = SIZE // 2
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, SIZE, SIZE))],
        [helper.make_tensor_value_info("head", TensorProto.FLOAT, (1, 6, half, half))],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()],
    )
    path = tmp_path_factory.mktemp("small") / "float32.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def pixels(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 1, 3, SIZE, SIZE)).astype(np.uint8)


def normalised(image: np.ndarray) -> np.ndarray:
    mean, std = (np.array(v, np.float32).reshape(1, 3, 1, 1) for v in (NORMALISATION.mean, NORMALISATION.std))
    return (image.astype(np.float32) / np.float32(255) - mean) / std


@pytest.fixture(scope="module")
def ranges(float32: Path) -> dict[str, tuple[float, float]]:
    return calibrate(float32, (normalised(image) for image in pixels(4)))


def run(path: Path, image: np.ndarray) -> np.ndarray:
    return ort.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"image": image})[0]


def test_ranges_are_the_extremes_over_all_images(float32: Path, ranges: dict[str, tuple[float, float]]) -> None:
    heads = np.stack([run(float32, normalised(image)) for image in pixels(4)])
    assert ranges["head"] == pytest.approx((heads.min(), heads.max()), rel=1e-5)
    assert ranges["first.relu"][0] == 0


def test_calibration_tells_its_progress(float32: Path) -> None:
    told: list[tuple[int, int]] = []
    calibrate(float32, map(normalised, pixels(3)), progress=lambda done, total: told.append((done, total)), total=3)
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_the_models_own_folder_is_left_alone(
    float32: Path, ranges: dict[str, tuple[float, float]], tmp_path: Path
) -> None:
    before = sorted(float32.parent.iterdir())
    calibrate(float32, map(normalised, pixels(1)))
    quantize(float32, ranges, tmp_path / "int8.onnx", normalisation=NORMALISATION)
    assert sorted(float32.parent.iterdir()) == before


def test_calibration_without_an_image_is_refused(float32: Path) -> None:
    with pytest.raises(ValueError, match="no calibration image"):
        calibrate(float32, iter(()))


@pytest.mark.parametrize("method", ["entropy", "percentile"])
def test_other_methods_give_ranges_within_the_extremes(
    float32: Path, method: Method, ranges: dict[str, tuple[float, float]]
) -> None:
    cut = calibrate(float32, map(normalised, pixels(4)), method=method)
    assert cut.keys() == ranges.keys()
    largest = max(abs(v) for v in ranges["head"])
    assert all(abs(v) <= 1.01 * largest for v in cut["head"])


def test_the_int8_model_takes_pixels_and_agrees_with_float32(
    float32: Path, ranges: dict[str, tuple[float, float]], tmp_path: Path
) -> None:
    quantize(float32, ranges, tmp_path / "int8.onnx", normalisation=NORMALISATION)
    image = pixels(1, seed=9)[0]
    found, expected = run(tmp_path / "int8.onnx", image), run(float32, normalised(image))
    assert found.dtype == np.float32
    step = (ranges["head"][1] - ranges["head"][0]) / 255
    # the border cells too: zero padding means the mean of the pixels
    assert np.abs(found - expected).max() < 4 * step


def test_weights_have_a_scale_for_each_channel(
    float32: Path, ranges: dict[str, tuple[float, float]], tmp_path: Path
) -> None:
    quantize(float32, ranges, tmp_path / "int8.onnx", normalisation=NORMALISATION)
    tensors = {t.name: numpy_helper.to_array(t) for t in onnx.load(tmp_path / "int8.onnx").graph.initializer}
    assert tensors["head.weight_scale"].shape == (6,)
    assert tensors["head.weight_scale"][5] > 20 * tensors["head.weight_scale"][:5].max()
    assert tensors["head.weight_quantized"].dtype == np.int8


def test_quantized_outputs_are_the_float_outputs_before_they_are_dequantized(
    float32: Path, ranges: dict[str, tuple[float, float]], tmp_path: Path
) -> None:
    quantize(float32, ranges, tmp_path / "float.onnx", normalisation=NORMALISATION)
    quantize(float32, ranges, tmp_path / "int.onnx", normalisation=NORMALISATION, quantized_outputs=True)
    image = pixels(1, seed=9)[0]
    raw = run(tmp_path / "int.onnx", image)
    assert raw.dtype == np.int8
    properties = {p.key: p.value for p in onnx.load(tmp_path / "int.onnx").metadata_props}
    scale, zero_point = from_metadata(properties[METADATA_KEY])["head"]
    real = (raw.astype(np.float32) - zero_point) * np.float32(scale)
    np.testing.assert_allclose(real, run(tmp_path / "float.onnx", image), rtol=1e-6)


def test_every_convolution_sum_and_pooling_runs_on_integers(
    float32: Path, ranges: dict[str, tuple[float, float]], tmp_path: Path
) -> None:
    quantize(float32, ranges, tmp_path / "int8.onnx", normalisation=NORMALISATION)
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    ort.InferenceSession(str(tmp_path / "int8.onnx"), options, providers=["CPUExecutionProvider"])
    nodes = onnx.load(tmp_path / "optimised.onnx").graph.node
    operators = {node.op_type for node in nodes}
    assert {"QLinearConv", "QLinearAdd"} <= operators
    assert "Conv" not in operators
    assert [node.output[0] for node in nodes if node.op_type == "Add"] == ["image.normalised"]


def test_the_quantizers_advice_is_not_shown(
    float32: Path, ranges: dict[str, tuple[float, float]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    level = logging.getLogger().level
    quantize(float32, ranges, tmp_path / "int8.onnx", normalisation=NORMALISATION)
    assert caplog.records == []
    assert logging.getLogger().level == level


def test_ranges_of_another_model_are_a_model_error(float32: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"float32\.onnx: the model does not quantize .*image"):
        quantize(float32, {"other": (0, 1)}, tmp_path / "int8.onnx", normalisation=NORMALISATION)
    assert list(tmp_path.iterdir()) == []


def test_a_truncated_float32_model_is_a_model_error(float32: Path, tmp_path: Path) -> None:
    (tmp_path / "part.onnx").write_bytes(float32.read_bytes()[:500])
    with pytest.raises(ModelError, match=r"part\.onnx: not a usable ONNX model"):
        calibrate(tmp_path / "part.onnx", iter(()))


def test_a_missing_float32_model_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such model file"):
        quantize(tmp_path / "absent.onnx", {}, tmp_path / "int8.onnx", normalisation=NORMALISATION)


def test_a_model_that_cannot_be_written_leaves_nothing_behind(
    float32: Path, ranges: dict[str, tuple[float, float]], tmp_path: Path
) -> None:
    (tmp_path / "int8.onnx").mkdir()
    with pytest.raises(DataError, match=r"int8\.onnx: the model cannot be written \(Is a directory\)"):
        quantize(float32, ranges, tmp_path / "int8.onnx", normalisation=NORMALISATION)
    assert [p.name for p in tmp_path.iterdir()] == ["int8.onnx"]


def test_scales_and_zero_points_survive_the_metadata() -> None:
    table = {"class_0": Quantization(0.13746771, -34), "box_0": Quantization(0.07815918, 53)}  # FuriosaAI's
    assert from_metadata(to_metadata(table)) == table
