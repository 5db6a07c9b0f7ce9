"""The words in which furiosa-models describes a model and chooses its postprocessor."""

from __future__ import annotations

from enum import Enum


class Platform(str, Enum):
    """What a postprocessor is made with. "rust", "Rust" and "RUST" are the same one."""

    PYTHON = "PYTHON"
    C = "C"
    CPP = "CPP"
    RUST = "RUST"

    @classmethod
    def _missing_(cls, value: object) -> Platform | None:
        return cls.__members__.get(str(value).upper())


class ModelTaskType(str, Enum):
    """What a model is for."""

    OBJECT_DETECTION = "OBJECT_DETECTION"


class Format(str, Enum):
    """What a model's file is."""

    ONNX = "ONNX"
