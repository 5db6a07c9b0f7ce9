"""Extraction takes the raw outputs out of published models: the right ones, in order, to the last bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, external_data_helper, helper

from harness import SSDResNet34
from harness.errors import DataError, ModelError
from harness.model.ssd_resnet34.extract import Extraction, extract
from harness.model.ssd_resnet34.heads import OUTPUTS
from tests.support.published_models import exposed, head_nodes, pytorch_export, small_trunk, tensorflow_export

EXPORTS = {"pytorch": pytorch_export, "tensorflow": tensorflow_export}
BARE = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
FULL = ort.GraphOptimizationLevel.ORT_ENABLE_ALL


@pytest.fixture(scope="module")
def trunk() -> onnx.ModelProto:
    return small_trunk(batch_norm=True)


@pytest.fixture(scope="module", params=EXPORTS)
def published(request: pytest.FixtureRequest, trunk: onnx.ModelProto) -> onnx.ModelProto:
    return EXPORTS[request.param](trunk)


@pytest.fixture
def images(data: Path) -> list[np.ndarray]:
    """Three real photos as float32 tensors."""
    files = sorted((data / "coco/val2017").glob("*.jpg"))[:3]
    return list(SSDResNet34.load().preprocess(files, with_scaling=True)[0][:, np.newaxis])


def saved(model: onnx.ModelProto, path: Path) -> Path:
    onnx.save(model, path)
    return path


def cut(model: onnx.ModelProto, folder: Path) -> Extraction:
    return extract(saved(model, folder / "published.onnx"), folder / "raw.onnx")


def session(model: onnx.ModelProto | Path, level: object = FULL) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = level
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def with_constants_only(model: onnx.ModelProto) -> onnx.ModelProto:
    """ONNX Runtime optimises less where constants are inputs too, and that rounds otherwise."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.input[1:]
    return copy


def as_nchw(head: np.ndarray, k: int) -> np.ndarray:
    """A head's tensor of a TensorFlow export, (1, H, W, anchors · values), as output k of ours."""
    values = 81 if k < 6 else 4
    _, height, width, channels = head.shape
    return head.reshape(height, width, channels // values, values).transpose(3, 2, 0, 1).reshape(OUTPUTS[k].shape)


@pytest.mark.parametrize("level", [BARE, FULL], ids=["as written", "optimised"])
def test_on_photos_the_outputs_are_the_models_own_to_the_last_bit(
    published: onnx.ModelProto, images: list[np.ndarray], level: ort.GraphOptimizationLevel, tmp_path: Path
) -> None:
    cut(published, tmp_path)
    inner = exposed(published)
    original = session(inner if level is BARE else with_constants_only(inner), level)
    raw = session(tmp_path / "raw.onnx", level)
    image = original.get_inputs()[0]
    for tensor in images:
        feed = tensor if image.shape[1] == 3 else tensor.transpose(0, 2, 3, 1)
        expected = original.run([f"head_{k}" for k in range(12)], {image.name: feed})
        if image.shape[1] != 3:
            expected = [as_nchw(head, k) for k, head in enumerate(expected)]
        for head, output in zip(expected, raw.run(None, {"image": tensor}), strict=True):
            np.testing.assert_array_equal(head, output)
        assert len({output.tobytes() for output in expected}) == 12


def test_the_outputs_have_the_names_order_and_shapes_of_the_table(published: onnx.ModelProto, tmp_path: Path) -> None:
    found = cut(published, tmp_path)
    raw = session(tmp_path / "raw.onnx")
    assert [(o.name, tuple(o.shape), o.type) for o in raw.get_outputs()] == [
        (spec.name, spec.shape, "tensor(float)") for spec in OUTPUTS
    ]
    assert [(i.name, i.shape) for i in raw.get_inputs()] == [("image", [1, 3, 1200, 1200])]
    assert [head.node for head in found.heads] == head_nodes(published)
    assert [(head.output, head.shape) for head in found.heads] == [(spec.name, spec.shape) for spec in OUTPUTS]


def test_what_was_cut_out_is_a_model_that_runs(published: onnx.ModelProto, tmp_path: Path) -> None:
    cut(published, tmp_path)
    model = SSDResNet34.load()
    images, contexts = model.preprocess(np.zeros((4, 4, 3), np.uint8), with_scaling=True)
    with model.session(tmp_path / "raw.onnx", threads=1) as opened:
        assert len(model.postprocess(opened.run(images), contexts)) == 1


def test_nothing_of_the_postprocessing_stays(published: onnx.ModelProto, tmp_path: Path) -> None:
    cut(published, tmp_path)
    model = onnx.load(tmp_path / "raw.onnx")
    assert {node.op_type for node in model.graph.node} == {"AveragePool", "BatchNormalization", "Conv", "Relu"}
    used = {name for node in model.graph.node for name in node.input}
    assert {tensor.name for tensor in model.graph.initializer} <= used


def test_it_says_what_it_changed(trunk: onnx.ModelProto, tmp_path: Path) -> None:
    of_pytorch, of_tensorflow = (cut(export(trunk), tmp_path) for export in EXPORTS.values())
    assert {head.order for head in of_pytorch.heads} == {"value-major"}
    assert of_pytorch.changes == ("opset 11 became 17, which can be quantized",)
    assert {head.order for head in of_tensorflow.heads} == {"anchor-major"}
    assert of_tensorflow.changes == (
        "12 biases added behind a head are now inside its convolution",
        "the channels of 12 heads are in our order now, value · anchors + anchor; they were anchor · values + value",
        "the image goes in as NCHW, not NHWC",
        "opset 11 became 17, which can be quantized",
    )


def test_a_free_batch_is_fixed_to_one(trunk: onnx.ModelProto, tmp_path: Path) -> None:
    found = cut(pytorch_export(trunk, free_batch=True), tmp_path)
    assert found.changes[0] == "the free dimensions of the input are fixed: (1, 3, 1200, 1200)"
    assert session(tmp_path / "raw.onnx").get_inputs()[0].shape == [1, 3, 1200, 1200]


def test_a_model_of_the_raw_outputs_alone_is_taken_with_a_word_about_its_channels(
    trunk: onnx.ModelProto, tmp_path: Path
) -> None:
    found = cut(trunk, tmp_path)
    assert {head.order for head in found.heads} == {None}
    assert found.changes[0].startswith("the graph does not tell the channel order of class_0, class_1,")


def test_names_that_are_ours_but_mean_something_else_do_no_harm(trunk: onnx.ModelProto, tmp_path: Path) -> None:
    model = pytorch_export(trunk)
    renamed = {"head_0": "class_4", model.graph.node[0].output[0]: "class_0", "head_7": "image2"}
    for node in model.graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    found = cut(model, tmp_path)
    assert [head.node for head in found.heads] == head_nodes(pytorch_export(trunk))


def test_an_nhwc_image_that_is_used_as_such_is_turned_at_the_entrance(trunk: onnx.ModelProto, tmp_path: Path) -> None:
    model = tensorflow_export(trunk)
    model.graph.node[0].input[0] = "scaled"
    model.graph.node.insert(0, helper.make_node("Abs", ["image:0"], ["scaled"], "abs"))
    cut(model, tmp_path)
    tensor = np.full((1, 3, 1200, 1200), -0.5, np.float32)
    tensor[:, 0] = 1
    expected = session(exposed(model)).run(["head_0"], {"image:0": tensor.transpose(0, 2, 3, 1)})[0]
    raw = session(tmp_path / "raw.onnx").run(["class_0"], {"image": tensor})[0]
    np.testing.assert_array_equal(as_nchw(expected, 0), raw)


def without(model: onnx.ModelProto, *heads: str) -> onnx.ModelProto:
    """The trunk with these outputs, and what makes them, left out."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for part in (copy.graph.output, copy.graph.node):
        for item in [i for i in part if (getattr(i, "name", "") in heads) or set(getattr(i, "output", ())) & {*heads}]:
            part.remove(item)
    return copy


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("box_0", r"no heads of map 0: looked for two convolutions \(1, 324, 50, 50\) and \(1, 16, 50, 50\) that read"),
        ("box_3", r"of \d+ convolutions there are .*1 of \(1, 486, 7, 7\)"),
        ("class_5", r"no heads of map 5: .* that read one feature map computed from map 4"),
    ],
)
def test_a_missing_head_is_named_with_what_was_found(
    trunk: onnx.ModelProto, missing: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=message):
        cut(without(trunk, missing), tmp_path)
    assert not (tmp_path / "raw.onnx").exists()


def test_a_model_without_any_such_head_says_so(tmp_path: Path) -> None:
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, 1200, 1200))
    graph = helper.make_graph([helper.make_node("Relu", ["image"], ["y"])], "other", [image], [image])
    graph.output[0].name = "y"
    with pytest.raises(ModelError, match=r"of 0 convolutions there are none of any head's shape\n  next: a model that"):
        cut(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((4, 3, 1200, 1200), r"its input image is \(4, 3, 1200, 1200\), not \(1, 3, 1200, 1200\) or, NHWC"),
        ((1, 3, 300, 300), r"is \(1, 3, 300, 300\), not"),
        ((1, 3, 1200), r"is \(1, 3, 1200\), not"),
        (("n", 3, 640, 640), r"is \(\?, 3, 640, 640\), not .*\n  next: export it with batch 1"),
    ],
)
def test_an_input_of_another_shape_is_refused(
    trunk: onnx.ModelProto, shape: tuple[int | str, ...], message: str, tmp_path: Path
) -> None:
    model = pytorch_export(trunk)
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("image", TensorProto.FLOAT, shape))
    with pytest.raises(ModelError, match=message):
        cut(model, tmp_path)


def test_a_quantized_input_and_several_inputs_are_refused(trunk: onnx.ModelProto, tmp_path: Path) -> None:
    model = pytorch_export(trunk)
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    with pytest.raises(ModelError, match="its input image is uint8, not float"):
        cut(model, tmp_path)
    model.graph.input.append(helper.make_tensor_value_info("threshold", TensorProto.FLOAT, ()))
    with pytest.raises(ModelError, match="should have one input, the image, and has: image, threshold"):
        cut(model, tmp_path)


@pytest.mark.parametrize("size", [0, 100, 20_000])
def test_a_truncated_model_is_refused(published: onnx.ModelProto, size: int, tmp_path: Path) -> None:
    path = saved(published, tmp_path / "part.onnx")
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ModelError, match=r"part\.onnx: "):
        extract(path, tmp_path / "raw.onnx")
    assert [p.name for p in tmp_path.iterdir()] == ["part.onnx"]


def test_missing_external_data_is_named(trunk: onnx.ModelProto, tmp_path: Path) -> None:
    model = pytorch_export(trunk)
    external_data_helper.convert_model_to_external_data(model, location="weights.bin", size_threshold=100)
    path = saved(model, tmp_path / "published.onnx")
    extract(path, tmp_path / "raw.onnx")
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(ModelError, match=r"published\.onnx: not a usable ONNX model .*weights\.bin"):
        extract(path, tmp_path / "other.onnx")
    assert not (tmp_path / "other.onnx").exists()


def test_a_place_that_cannot_be_written_leaves_nothing_behind(trunk: onnx.ModelProto, tmp_path: Path) -> None:
    (tmp_path / "raw.onnx").mkdir()
    with pytest.raises(DataError, match="cannot be written"):
        cut(pytorch_export(trunk), tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["published.onnx", "raw.onnx"]
