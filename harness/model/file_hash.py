"""What a model file is: the sha256 of it and of the weights that lie beside it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from harness.files import sha256_file


def sha256_of_model(path: Path) -> str:
    """The sha256 of the file; with weights in other files, of the names and hashes of all.

    Weights lie elsewhere in ONNX models with external data and in OpenVINO's models, whose ``.bin`` stands beside the
    ``.xml``. What such a file lacks, loading it says.
    """
    digest = sha256_file(path)
    beside = [file for file in _weights(path) if file.is_file()]
    if not beside:
        return digest
    entries = [f"model {digest}", *(f"{file.name} {sha256_file(file)}" for file in beside)]
    return hashlib.sha256("".join(f"{entry}\n" for entry in entries).encode()).hexdigest()


def _weights(path: Path) -> list[Path]:
    if path.suffix == ".xml":
        return [path.with_suffix(".bin")]
    if path.suffix != ".onnx":
        return []
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        model = onnx.load(path, load_external_data=False)
    except (DecodeError, OSError):
        return []  # no model: whoever loads it says so
    locations = {
        entry.value
        for tensor in model.graph.initializer
        if tensor.data_location == onnx.TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    }
    # ONNX Runtime reads no file outside of the model's folder
    return [path.parent / name for name in sorted(locations) if ".." not in Path(name).parts and name[:1] != "/"]
