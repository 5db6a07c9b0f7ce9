"""The YOLO family as a model object: what its file decides, how images go in, and what is cut out of an export."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from harness.errors import ModelError, UsageError
from harness.model.registry import load_model
from harness.model.yolo.head import Head, head_of
from harness.model.yolo.letterbox import letterbox, placement
from harness.model.yolo.native_decoder import NativeDecoder
from harness.model.yolo.numpy_decoder import NumpyDecoder
from harness.records import Decoding, RawOutput

SIDE = 96
PLACES = 12**2 + 6**2 + 3**2


def write(path: Path, nodes: list[onnx.NodeProto], outputs: dict[str, tuple[int, ...]], constants: Any = ()) -> Path:
    image = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, (1, 3, SIDE, SIDE))
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()]
    graph = helper.make_graph(nodes, "yolo", [image], results, list(constants))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def levels(values: int, seed: int) -> tuple[list[onnx.NodeProto], list[Any], list[str]]:
    """A convolution on each of the three grids, with so many channels: nodes, constants, outputs."""
    rng = np.random.default_rng(seed)
    nodes, constants, names = [], [], []
    for stride in (8, 16, 32):
        name = f"level{seed}.{stride}"
        weight = (rng.normal(0, 0.02, (values, 3, stride, stride)) / stride).astype(np.float32)
        constants.append(numpy_helper.from_array(weight, f"{name}.weight"))
        kernel: dict[str, Any] = {"kernel_shape": [stride, stride], "strides": [stride, stride]}
        nodes.append(helper.make_node("Conv", ["pixels", f"{name}.weight"], [name], name, **kernel))
        names.append(name)
    return nodes, constants, names


@pytest.fixture
def yolox(tmp_path: Path) -> Path:
    """Ends as YOLOX's own export does."""
    nodes, constants, joined = [], [], []
    heads = [levels(values, seed) for seed, values in enumerate((4, 1, 80))]
    for of_head in heads:
        nodes += of_head[0]
        constants += of_head[1]
    constants.append(numpy_helper.from_array(np.array([1, 85, -1], np.int64), "flat"))
    for boxes, objectness, scores in zip(*(of_head[2] for of_head in heads), strict=True):
        for name in (objectness, scores):
            nodes.append(helper.make_node("Sigmoid", [name], [f"{name}.sigmoid"]))
        parts = [boxes, f"{objectness}.sigmoid", f"{scores}.sigmoid"]
        nodes.append(helper.make_node("Concat", parts, [f"{boxes}.all"], axis=1))
        nodes.append(helper.make_node("Reshape", [f"{boxes}.all", "flat"], [f"{boxes}.flat"]))
        joined.append(f"{boxes}.flat")
    nodes.append(helper.make_node("Concat", joined, ["joined"], axis=2))
    nodes.append(helper.make_node("Transpose", ["joined"], ["output"], perm=[0, 2, 1]))
    return write(tmp_path / "yolox.onnx", nodes, {"output": (1, PLACES, 85)}, constants)


@pytest.fixture
def yolo11(tmp_path: Path) -> Path:
    """Ends as ultralytics' export does."""
    nodes, constants, joined = [], [], []
    constants.append(numpy_helper.from_array(np.array([1, 4, -1], np.int64), "flat4"))
    constants.append(numpy_helper.from_array(np.array([1, 80, -1], np.int64), "flat80"))
    for seed, values in enumerate((4, 80)):
        made, weights, names = levels(values, seed)
        nodes += [*made, *(helper.make_node("Reshape", [name, f"flat{values}"], [f"{name}.flat"]) for name in names)]
        nodes.append(helper.make_node("Concat", [f"{name}.flat" for name in names], [f"all{values}"], axis=2))
        constants += weights
        joined.append(f"all{values}")
    nodes.append(helper.make_node("Sigmoid", ["all80"], ["sigmoid"]))
    nodes.append(helper.make_node("Concat", ["all4", "sigmoid"], ["output0"], axis=1))
    return write(tmp_path / "yolo11.onnx", nodes, {"output0": (1, 84, PLACES)}, constants)


def run(file: Path, image: np.ndarray[Any, Any]) -> list[RawOutput]:
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return list(session.run(None, {session.get_inputs()[0].name: image}))


@pytest.mark.parametrize(("family", "shape"), [("yolo11", (1, 84, PLACES)), ("yolox", (1, PLACES, 85))])
def test_a_file_says_which_of_the_family_it_is(family: str, shape: tuple[int, ...], request: Any) -> None:
    model = load_model("yolo", request.getfixturevalue(family))
    assert (model.input.name, model.input.shape, model.input.dtype) == ("pixels", (1, 3, SIDE, SIDE), "float32")
    assert [spec.shape for spec in model.outputs] == [shape]
    assert model.title == {"yolo11": "YOLO11 at 96 px", "yolox": "YOLOX at 96 px"}[family]
    assert model.closed_division == f"it is {model.title}; the closed division asks for YOLO11l at 640 px"
    assert pickle.loads(pickle.dumps(model)).tensor is not None


def test_each_of_the_family_has_its_own_decoding(yolo11: Path, yolox: Path) -> None:
    assert load_model("yolo", yolo11).decoding == Decoding(0.001, 0.7, 300)
    assert load_model("yolo", yolox).decoding == Decoding(0.01, 0.65, 1000)


@pytest.mark.parametrize("family", ["yolo11", "yolox"])
def test_an_extracted_model_has_parts_of_the_same_values(family: str, request: Any, tmp_path: Path) -> None:
    file, output = request.getfixturevalue(family), tmp_path / "split.onnx"
    sentences = load_model("yolo").extract(file, output)
    assert sentences[0] == f"boxes (1, 4, {PLACES})"
    whole, split = head_of(file), head_of(output)
    assert (split.family, split.split, split.side) == (family, True, SIDE)
    image = np.random.default_rng(1).uniform(0, 255, (1, 3, SIDE, SIDE)).astype(np.float32)
    of_whole = NumpyDecoder(whole).decode(run(file, image), image_size=(50, 70))
    of_parts = NativeDecoder(split).decode(run(output, image), image_size=(50, 70))
    assert len(of_whole) > 10
    np.testing.assert_array_equal(of_whole.boxes, of_parts.boxes)
    np.testing.assert_array_equal(of_whole.scores, of_parts.scores)
    with pytest.raises(ModelError, match="its outputs are split already"):
        load_model("yolo").extract(output, tmp_path / "again.onnx")


def test_outputs_that_are_none_of_the_family_are_refused_with_what_was_expected(tmp_path: Path) -> None:
    file = write(tmp_path / "other.onnx", [helper.make_node("Relu", ["pixels"], ["y"])], {"y": (1, 3, SIDE, SIDE)})
    with pytest.raises(ModelError, match=r"its outputs \(1, 3, 96, 96\) are not those of YOLO11, YOLOv8 or YOLOX"):
        load_model("yolo", file)


@pytest.mark.parametrize(
    ("family", "size", "expected"),
    [
        ("yolo11", (640, 480), (1.0, 0, 80, 640, 480)),
        ("yolo11", (500, 375), (1.28, 0, 80, 640, 480)),
        ("yolo11", (427, 640), (1.0, 106, 0, 427, 640)),  # 213 columns of grey: 106 before, 107 behind
        ("yolox", (500, 375), (1.28, 0, 0, 640, 480)),
        ("yolox", (640, 427), (1.0, 0, 0, 640, 427)),
    ],
)
def test_an_image_lies_in_the_input_as_its_reference_lays_it(family: Any, size: Any, expected: Any) -> None:
    assert placement(family, 640, *size) == pytest.approx(expected)


def test_the_rest_of_the_input_is_grey_and_the_channels_are_the_familys() -> None:
    image = np.full((50, 100, 3), (10, 20, 30), np.uint8)  # BGR
    encoded = cv2.imencode(".png", image)[1].tobytes()
    for family, colour, rows in (("yolo11", (30, 20, 10), slice(24, 72)), ("yolox", (10, 20, 30), slice(0, 48))):
        head = Head(family, SIDE)  # type: ignore[arg-type]
        model = load_model("yolo")
        tensor = type(model)(head).tensor(encoded, "uint8")  # type: ignore[call-arg]
        assert tensor.shape == (3, SIDE, SIDE)
        inside = np.zeros((SIDE, SIDE), bool)
        inside[rows] = True
        for channel, value in zip(tensor, colour, strict=True):
            assert (channel[inside] == value).all()
            assert (channel[~inside] == 114).all()


def test_floats_are_what_the_normalisation_makes_of_the_pixels() -> None:
    encoded = cv2.imencode(".png", np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8))[1].tobytes()
    for family in ("yolo11", "yolox"):
        model: Any = type(load_model("yolo"))(Head(family, SIDE))  # type: ignore[call-arg]
        mean, std = (np.array(part)[:, None, None] for part in (model.normalisation.mean, model.normalisation.std))
        pixels = model.tensor(encoded, "uint8").astype(np.float64)
        np.testing.assert_allclose(model.tensor(encoded, "float32"), (pixels / 255 - mean) / std, rtol=1e-6)


def test_an_image_of_the_inputs_size_is_not_resized() -> None:
    image = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    np.testing.assert_array_equal(letterbox(image, "yolo11", SIDE), image)


def test_there_is_no_default_file_and_it_says_so() -> None:
    with pytest.raises(UsageError, match="its weights are the user's own"):
        load_model("yolo").default_file("int8", lambda doing: None)
