"""ONNX files read with clear errors, and written whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import DataError, ModelError
from harness.files import replacing

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
