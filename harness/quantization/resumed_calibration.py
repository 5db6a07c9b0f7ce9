"""Min-max calibration that goes on where it was: each image's ranges are kept, by its and the model's content."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from harness.errors import DataError
from harness.files import write_json
from harness.quantization.calibration import Calibrator, Ranges, runtime_version

Images: TypeAlias = Mapping[str, Callable[[], npt.NDArray[np.float32]]]
"""What names an image's content → its normalised tensor, made when it is called."""


def calibrate_minmax(
    model: Path, model_sha256: str, images: Images, cache: Path, progress: Callable[[int, int], None]
) -> tuple[dict[str, tuple[float, float]], int]:
    """The extremes over all images.

    Args:
        model: float32, one input.
        images: one or more.
        cache: a folder for the ranges of each image (5 kB); stopped at any moment, the next call takes what is there.
        progress: told (done, total).

    Returns:
        The ranges, and how many images were run now.

    Raises:
        ModelError: the model cannot be read.
        DataError: the cache cannot be written.
    """
    folder = cache / f"{model_sha256[:32]}-onnxruntime-{runtime_version()}"
    calibrator, made = None, 0
    merged: dict[str, tuple[float, float]] = {}
    for done, (name, tensor) in enumerate(images.items()):
        progress(done, len(images))
        file = folder / f"{name}.json"
        ranges = _kept(file)
        if ranges is None:
            calibrator = calibrator or Calibrator(model)
            calibrator.clear()
            calibrator.add(tensor())
            ranges, made = calibrator.ranges(), made + 1
            _keep(file, ranges)
        for tensor_name, (low, high) in ranges.items():
            least, most = merged.get(tensor_name, (low, high))
            merged[tensor_name] = min(least, low), max(most, high)
    progress(len(images), len(images))
    return merged, made


def _kept(file: Path) -> Ranges | None:
    try:
        return {str(name): (float(low), float(high)) for name, (low, high) in json.loads(file.read_bytes()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return None  # not there, or not whole: made anew


def _keep(file: Path, ranges: Ranges) -> None:
    try:
        write_json(file, ranges)
    except OSError as error:
        raise DataError(f"the ranges of an image cannot be kept ({error.strerror})", where=str(file)) from error
