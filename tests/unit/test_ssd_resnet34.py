from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import harness
from harness import SSDResNet34
from harness.errors import ModelError, UsageError
from harness.records import QuantizedTensor
from tests.support.onnx_models import write_model


def test_the_import_needs_no_runtime() -> None:
    code = "import sys; from harness import SSDResNet34; print(sorted({'onnxruntime', 'onnx'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'YOLO'"):
        _ = harness.YOLO


@pytest.mark.parametrize("quantized", [True, False])
def test_a_session_runs_several_images_and_gives_arrays_of_the_callers_own(tmp_path: Path, quantized: bool) -> None:
    file = write_model(tmp_path / "tiny.onnx", quantized=quantized)
    images, contexts = SSDResNet34.load().preprocess([np.full((4, 4), v, np.uint8) for v in (3, 9)])
    with SSDResNet34.load().session(file, threads=1) as session:
        outputs = session.run(images)
        session.run(images[:1])
    data = [o.data if isinstance(o, QuantizedTensor) else o for o in outputs]
    assert [array.shape[0] for array in data] == [2] * 12
    if quantized:
        assert isinstance(outputs[0], QuantizedTensor)
        data = [(o.data.astype(np.float32) - o.zero_point) * o.scale for o in outputs]
    assert [data[0][0].max(), data[0][1].max()] == [3, 9]
    assert SSDResNet34.load().postprocess(outputs, contexts) == [[], []]


def test_images_of_the_wrong_type_are_refused_with_the_way_out(tmp_path: Path) -> None:
    with SSDResNet34.load().session(write_model(tmp_path / "tiny.onnx")) as session:
        with pytest.raises(UsageError, match=r"takes uint8 images, not float32\n  next: .*with_scaling=False"):
            session.run(np.zeros((1, 3, 1200, 1200), np.float32))
        with pytest.raises(UsageError, match=r"images must be \(N, 3, 1200, 1200\), not \(3, 1200, 1200\)"):
            session.run(np.zeros((3, 1200, 1200), np.uint8))


def test_a_file_of_another_model_is_refused(tmp_path: Path) -> None:
    file = write_model(tmp_path / "small.onnx", size=300)
    with pytest.raises(ModelError, match=r"small\.onnx: its input image uint8 \(1, 3, 300, 300\)"):
        SSDResNet34.load().session(file)
