"""A model's hash is that of everything its figures depend on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from harness.files import sha256_file
from harness.model.file_hash import sha256_of_model


def with_external_weights(folder: Path, value: float) -> Path:
    weights = onnx.numpy_helper.from_array(np.full(2000, value, np.float32), "weights")
    output = onnx.helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, [2000])
    node = onnx.helper.make_node("Identity", ["weights"], ["out"])
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "graph", [], [output], [weights]))
    onnx.save(model, folder / "a.onnx", save_as_external_data=True, location="a.onnx.data", size_threshold=0)
    return folder / "a.onnx"


def test_external_weights_of_an_onnx_model_count(tmp_path: Path) -> None:
    model = with_external_weights(tmp_path, 1)
    before, file = sha256_of_model(model), sha256_file(model)
    (tmp_path / "a.onnx.data").write_bytes(np.full(2000, 2, np.float32).tobytes())
    assert sha256_file(model) == file
    assert sha256_of_model(model) != before


def test_the_weights_of_an_openvino_model_count(tmp_path: Path) -> None:
    model = tmp_path / "a.xml"
    model.write_text("<net/>")
    (tmp_path / "a.bin").write_bytes(b"1")
    before = sha256_of_model(model)
    (tmp_path / "a.bin").write_bytes(b"2")
    assert sha256_of_model(model) != before


def test_a_model_of_one_file_has_that_files_hash(tmp_path: Path) -> None:
    for name in ("a.onnx", "a.enf", "a.xml"):
        (tmp_path / name).write_bytes(b"anything")
        assert sha256_of_model(tmp_path / name) == sha256_file(tmp_path / name)
