"""Activation ranges as a YAML file: what calibration found, for which model, from how many images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, FiniteFloat, PositiveInt, model_validator

from harness.errors import DataError, UsageError
from harness.files import write_text
from harness.quantization.calibration import Method
from harness.settings import Section, read_yaml, validate


class RangesFile(Section):
    """The content of the file."""

    method: Method
    images: PositiveInt
    images_sha256: str
    """Of the calibration images: of their own sha256, sorted."""
    model_sha256: str
    """Of the float32 model's file: ranges fit this very model."""
    onnxruntime: str
    ranges: Annotated[dict[str, tuple[FiniteFloat, FiniteFloat]], Field(min_length=1)]
    """Tensor → smallest and largest value."""
    float32_inputs: tuple[str, ...] | None = None
    """The convolution inputs that lose most by being quantized, and stay float32; none: they were not looked for."""

    @model_validator(mode="after")
    def _in_order(self) -> RangesFile:
        for name, (low, high) in self.ranges.items():
            if low > high:
                raise ValueError(f"the range of {name} begins at {low} and ends at {high}")
        return self


def read_ranges(path: Path, model_sha256: str) -> RangesFile:
    """The ranges in a file.

    Raises:
        UsageError: it cannot be read, is not such a file, or is for another model than that.
    """
    found = validate(RangesFile, read_yaml(path), str(path))
    if found.model_sha256 != model_sha256:
        raise UsageError(
            f"these ranges are of another model (sha256 {found.model_sha256[:12]}…, not {model_sha256[:12]}…)",
            where=str(path),
            hint="calibrate this very model: ssd-harness prepare model --calibrate MODEL --ranges YAML",
        )
    return found


def write_ranges(path: Path, content: RangesFile) -> None:
    """Writes the file, whole or not at all.

    Raises:
        DataError: it cannot be written.
    """
    data = content.model_dump(mode="json")
    try:
        write_text(path, yaml.safe_dump(data, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True))
    except OSError as error:
        raise DataError(f"the ranges cannot be written ({error.strerror})", where=str(path)) from error
