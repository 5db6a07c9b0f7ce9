"""Code written for furiosa-models 0.10 finds the same names here, and gets the same tensors and detections.

The comparisons need ``pip install --no-deps furiosa-models==0.10.2 furiosa-native-postprocess==0.10.0`` (Python 3.11 at
most), and are skipped, by name, without. PyTorch is needed for its Python postprocessor alone.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np
import pytest

import harness
from harness import Platform, SSDResNet34
from harness.model.ssd_resnet34.example_outputs import example_outputs


@pytest.fixture(scope="module")
def theirs() -> Any:
    """furiosa-models' module of SSDResNet34."""
    pytest.importorskip("furiosa.models", reason="furiosa-models is not installed")
    pytest.importorskip("furiosa_native_postprocess", reason="furiosa-native-postprocess is not installed")
    with pytest.MonkeyPatch.context() as patched, warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves its lists of labels open
        warnings.simplefilter("ignore", DeprecationWarning)  # and takes torch.jit.script
        if importlib.util.find_spec("torch") is None:  # its module imports it at the top
            torch: Any = ModuleType("torch")
            torch.nn = SimpleNamespace(functional=None)
            torch.jit = SimpleNamespace(script=lambda function: function)
            for name in ("torch", "torch.nn", "torch.nn.functional"):
                patched.setitem(sys.modules, name, torch)
        from furiosa.models.vision import ssd_resnet34

        return ssd_resnet34


@pytest.fixture
def images(data: Path, tmp_path: Path) -> list[str | np.ndarray]:
    """Two photos as paths, one as pixels, one grey file, grey pixels."""
    photos = sorted((data / "coco/val2017").glob("*.jpg"))
    grey = next(p for p in photos if cv2.imread(str(p), cv2.IMREAD_UNCHANGED).ndim == 2)
    pixels = np.asarray(cv2.imread(str(photos[2])))
    return [str(photos[0]), str(photos[1]), pixels, str(grey), pixels[:, :, 0]]


@pytest.mark.parametrize("with_scaling", [False, True])
def test_preprocess_gives_the_same_tensors_and_contexts(
    theirs: Any, images: list[str | np.ndarray], with_scaling: bool
) -> None:
    expected, expected_contexts = theirs.SSDResNet34PreProcessor()(images, with_scaling=with_scaling)
    found, contexts = SSDResNet34().preprocess(images, with_scaling=with_scaling)
    assert contexts == expected_contexts
    assert found.dtype == np.dtype("float32" if with_scaling else "uint8")
    if with_scaling:
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    else:
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("seed", range(3))
def test_the_native_postprocessor_gives_the_same_detections(theirs: Any, seed: int) -> None:
    outputs, contexts = example_outputs(seed, quantized=False), [{"width": 640, "height": 427}]
    (expected,) = theirs.SSDResNet34NativePostProcessor()(outputs, contexts)
    (found,) = SSDResNet34(postprocessor_type=Platform.RUST).postprocess(outputs, contexts)
    _assert_same(found, expected)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # their code hands PyTorch's tensors to NumPy's functions
@pytest.mark.parametrize("seed", range(3))
def test_the_python_postprocessor_gives_the_same_detections(theirs: Any, seed: int) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    outputs, contexts = example_outputs(seed, quantized=False), [{"width": 640, "height": 427}]
    (expected,) = theirs.SSDResNet34PythonPostProcessor()(outputs, contexts)
    (found,) = SSDResNet34(postprocessor_type=Platform.PYTHON, nms="reference").postprocess(outputs, contexts)
    _assert_same(found, expected)


def _assert_same(found: list[Any], expected: list[Any]) -> None:
    def order(results: list[Any]) -> list[Any]:
        return sorted(results, key=lambda r: (r.index, -float(r.score)))

    assert len(found) == len(expected) > 0
    for ours, other in zip(order(found), order(expected), strict=True):
        assert (ours.index, ours.label) == (other.index, other.label)
        assert ours.score == pytest.approx(float(other.score), abs=1e-5)
        assert list(ours.boundingbox) == pytest.approx(list(other.boundingbox), abs=0.02)


def test_the_documented_example_runs_as_it_is_written(tmp_path: Path) -> None:
    # docs/examples/ssd_resnet34_native.py of furiosa-models 0.10, without the NPU's runner
    cv2.imwrite(str(tmp_path / "cat.jpg"), np.zeros((20, 30, 3), np.uint8))
    resnet34 = SSDResNet34(postprocessor_type=Platform.RUST)
    image, contexts = resnet34.preprocess([str(tmp_path / "cat.jpg")])
    assert (image.shape, image.dtype) == ((1, 3, 1200, 1200), np.uint8)
    output = example_outputs(1, quantized=False)
    assert resnet34.postprocessor(output, contexts=contexts[0]) == resnet34.postprocess(output, contexts)
    assert resnet34.preprocessor([str(tmp_path / "cat.jpg")])[1] == contexts


@pytest.mark.parametrize(
    ("named", "native"),
    [("Rust", True), ("rust", True), (Platform.RUST, True), (Platform.CPP, True), ("Python", False), (None, True)],
)
def test_a_platform_chooses_the_postprocessor(named: str | None, native: bool) -> None:
    assert SSDResNet34(postprocessor_type=named).use_native is native


@pytest.mark.parametrize("named", [Platform.C, "Java"])
def test_a_platform_that_is_not_there_is_a_value_error(named: str) -> None:
    with pytest.raises(ValueError, match=r"in C|Java"):
        SSDResNet34(postprocessor_type=named)


def test_the_model_describes_itself() -> None:
    model = SSDResNet34()
    assert (model.format.value, model.task_type.value, model.framework) == ("ONNX", "OBJECT_DETECTION", "PyTorch")
    assert (model.input.shape, len(model.outputs), len(model.CLASSES)) == ((1, 3, 1200, 1200), 12, 81)
    assert {"Platform", "SSDResNet34", "ObjectDetectionResult", "LtrbBoundingBox"} <= set(harness.__all__)


def test_the_files_come_as_bytes_with_the_ranges_of_their_tensors(
    int8_model: Path, float32_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.model.ssd_resnet34.model.cache_dir", lambda: int8_model.parent.parent)
    monkeypatch.setattr(
        "harness.model.ssd_resnet34.model.default_model.default_file",
        lambda precision, cache, report: int8_model if precision == "int8" else float32_model,
    )
    model = SSDResNet34()
    model.resolve_all()
    assert model.origin == float32_model.read_bytes()
    assert model.model_source() == model.model_source(num_pe=1) == int8_model.read_bytes()
    with pytest.raises(ValueError, match="num_pe: expected 1 or 2; got 3"):
        model.model_source(num_pe=cast(Any, 3))
    ranges = model.tensor_name_to_range
    assert ranges["image"][0] == pytest.approx(-2.1, abs=0.2)
    assert {spec.name for spec in model.outputs} <= ranges.keys()
    assert all(low <= high for low, high in ranges.values())
