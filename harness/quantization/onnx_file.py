"""ONNX files read with clear errors, and written whole or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import DataError, ModelError
from harness.files import replacing
from harness.records import TensorSpec

if TYPE_CHECKING:
    import onnx


def load(path: Path, *, check: bool = True) -> onnx.ModelProto:
    """The model in a file, with its external data.

    Args:
        check: that onnx knows every operator and finds them well used. A published model may end in others.

    Raises:
        ModelError: no such file, not a whole ONNX model, or its external data is missing.
    """
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    if not path.is_file():
        raise ModelError("no such model file", where=str(path), hint="check the path")
    try:
        model = onnx.load(path)
        if check:
            onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError, OSError) as error:
        raise ModelError(
            f"not a usable ONNX model ({str(error).splitlines()[0]})",
            where=str(path),
            hint="copy or download it again; external data files belong beside it",
        ) from error
    return model


def specs(model: onnx.ModelProto) -> tuple[list[TensorSpec], list[TensorSpec]]:
    """The inputs and the outputs as the model declares them; a free size is −1."""
    from onnx import TensorProto

    def spec(value: onnx.ValueInfoProto) -> TensorSpec:
        tensor = value.type.tensor_type
        shape = tuple(d.dim_value if d.HasField("dim_value") else -1 for d in tensor.shape.dim)
        dtype = TensorProto.DataType.Name(tensor.elem_type).lower()
        return TensorSpec(value.name, shape, "float32" if dtype == "float" else dtype)

    constants = {tensor.name for tensor in model.graph.initializer}
    return [spec(v) for v in model.graph.input if v.name not in constants], [spec(v) for v in model.graph.output]


def weight_type(model: onnx.ModelProto) -> str:
    """The data type of most of the model's constant values, in ONNX's words: "int8", "float"."""
    from math import prod

    from onnx import TensorProto

    sizes: dict[int, int] = {}
    for tensor in model.graph.initializer:
        sizes[tensor.data_type] = sizes.get(tensor.data_type, 0) + prod(tensor.dims)
    return TensorProto.DataType.Name(max(sizes, key=lambda kind: sizes[kind])).lower() if sizes else "none"


def save(model: onnx.ModelProto, path: Path) -> None:
    """Writes the model under its name only when it is whole. Parent folders are made.

    Raises:
        DataError: the file cannot be written (no space, no permission).
    """
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(model.SerializeToString())
    except OSError as error:
        raise DataError(
            f"the model cannot be written ({error.strerror})",
            where=str(path),
            hint="free some space or choose another folder",
        ) from error


@contextmanager
def temporary_copies() -> Iterator[None]:
    """Around calls of ONNX Runtime's tools that write copies of a model into the folder for temporary files.

    Raises:
        DataError: instead of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise DataError(
            f"a temporary copy of the model cannot be written ({error.strerror})",
            where=tempfile.gettempdir(),
            hint="free some space there; TMPDIR names another place",
        ) from error
