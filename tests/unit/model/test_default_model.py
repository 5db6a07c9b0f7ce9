from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest

from harness import SSDResNet34
from harness.dataset.scene import draw_scene
from harness.errors import DataError
from harness.model.coco_labels import CLASSES
from harness.model.ssd_resnet34 import default_model, network, weights
from harness.model.ssd_resnet34.heads import OUTPUTS
from harness.model.ssd_resnet34.raw_outputs import as_float32
from harness.records import QuantizedTensor
from tests.support.onnx_models import write_model

SCENE = 4  # of two objects


def test_int8_agrees_with_float32_and_both_find_what_is_there(int8_model: Path, float32_model: Path) -> None:
    scene = draw_scene(seed=4711, index=SCENE)
    picture = scene.pixels[..., ::-1]
    model = SSDResNet34.load()
    images, contexts = model.preprocess(picture)
    with model.session(int8_model) as session:
        int8 = session.run(images)
    images, _ = model.preprocess(picture, with_scaling=True)
    with model.session(float32_model) as session:
        float32 = session.run(images)

    assert all(isinstance(output, QuantizedTensor) for output in int8)
    for spec, quantized, exact in zip(OUTPUTS, int8, float32, strict=True):
        found = as_float32(quantized, spec).ravel()
        cosine = found @ exact.ravel() / np.linalg.norm(found) / np.linalg.norm(np.asarray(exact))
        assert cosine > 0.99, spec.name
    labels = sorted(CLASSES[item.category + 1] for item in scene.objects)
    for outputs in (int8, float32):
        results = model.postprocess(outputs, contexts, confidence_threshold=0.5)[0]
        assert sorted(result.label for result in results) == labels


def test_what_is_built_once_is_found_again(int8_model: Path, model_cache: Path) -> None:
    told: list[str] = []
    assert default_model.default_file("int8", model_cache, told.append) == int8_model
    assert told == []


def test_the_int8_model_is_a_quarter_of_the_float32_one(int8_model: Path, float32_model: Path) -> None:
    assert int8_model.stat().st_size / float32_model.stat().st_size == pytest.approx(0.253, abs=0.005)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Building takes no time: a tiny model in place of the network."""
    proto = onnx.load(write_model(tmp_path / "tiny.onnx", input_dtype="float32"))
    monkeypatch.setattr(network, "build", lambda weights: proto)
    monkeypatch.setattr(weights, "trained_weights", dict)
    return tmp_path / "cache"


def test_the_model_object_keeps_it_in_the_users_cache(quick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSD_HARNESS_CACHE", str(quick))
    file = SSDResNet34.load().default_file("float32", lambda doing: None)
    assert file.parent == quick / "models"


def test_another_release_of_a_library_or_other_code_means_another_file(
    quick: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    files = [default_model.default_file("float32", quick, lambda doing: None)]
    changed = tmp_path / "network.py"
    changed.write_bytes(Path(str(network.__file__)).read_bytes() + b"# changed")
    with monkeypatch.context() as patched:
        patched.setattr(network, "__file__", str(changed))
        files.append(default_model.default_file("float32", quick, lambda doing: None))
    monkeypatch.setattr(default_model, "version", lambda library: "99.0")
    files.append(default_model.default_file("float32", quick, lambda doing: None))
    assert len(set(files)) == 3
    assert all(file.is_file() for file in files)


def test_of_two_that_ask_at_once_one_builds(quick: Path) -> None:
    # The lock belongs to the open file, so threads contend for it as processes do.
    told: list[str] = []
    with ThreadPoolExecutor(2) as pool:
        files = set(pool.map(lambda _: default_model.default_file("float32", quick, told.append), range(2)))
    assert told == ["building the default float32 model"]
    assert len(files) == 1
    assert sorted(quick.iterdir()) == [quick / ".lock", *files]


def test_a_cache_folder_that_is_a_file_is_a_data_error(quick: Path) -> None:
    quick.write_text("")
    with pytest.raises(DataError, match=r"cache: the model cache cannot be written \(File exists\)"):
        default_model.default_file("float32", quick, lambda doing: None)
