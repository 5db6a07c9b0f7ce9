"""Activation ranges of a float32 model over a few images, by onnxruntime.quantization."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from harness.quantization import folding, onnx_file

if TYPE_CHECKING:
    import onnxruntime

Ranges: TypeAlias = Mapping[str, tuple[float, float]]
"""Tensor name → smallest and largest value seen (or kept, by the method)."""
Method = Literal["minmax", "entropy", "percentile"]

# Every operator that ONNX Runtime has an integer kernel for and that the models here use.
OPERATORS = ("Add", "Conv", "MaxPool", "Relu")


def calibrate(
    model: Path,
    images: Iterable[npt.NDArray[np.float32]],
    *,
    method: Method = "minmax",
    progress: Callable[[int, int], None] | None = None,
    total: int = 0,
) -> dict[str, tuple[float, float]]:
    """Runs the model over the images and gives each activation's range.

    Args:
        model: float32, one input.
        images: normalised tensors of the model's input shape, one at a time.
        method: see `Calibrator`.
        progress: told (done, total) after each image.
        total: how many images there are, for ``progress``.

    Raises:
        ModelError: the model cannot be read.
        ValueError: no image at all.
    """
    calibrator = Calibrator(model, method)
    done = 0
    for done, image in enumerate(images, 1):
        calibrator.add(image)
        if progress is not None:
            progress(done, total)
    if not done:
        raise ValueError("no calibration image")
    return calibrator.ranges()


class Calibrator:
    """ONNX Runtime's calibrator, given one image at a time.

    Args:
        model: float32, one input.
        method: min-max keeps the extremes; entropy and percentile cut rare values off by a histogram of each
            activation, and hold every activation of an image in memory.

    Raises:
        ModelError: the model cannot be read.
        DataError: the folder for temporary files cannot be written.
    """

    def __init__(self, model: Path, method: Method = "minmax") -> None:
        from onnxruntime.quantization import CalibrationMethod
        from onnxruntime.quantization.calibrate import create_calibrator

        float32 = folding.fold(onnx_file.load(model), str(model))
        self._input = float32.graph.input[0].name
        methods = {
            "minmax": CalibrationMethod.MinMax,
            "entropy": CalibrationMethod.Entropy,
            "percentile": CalibrationMethod.Percentile,
        }
        with onnx_file.temporary_copies(), tempfile.TemporaryDirectory(prefix="ssd-harness-calibration-") as folder:
            augmented, copy = Path(folder) / "augmented.onnx", Path(folder) / "model.onnx"
            # the calibrator writes beside the model, whose folder may be read-only
            copy.write_bytes(float32.SerializeToString())
            self._calibrator = create_calibrator(
                copy, list(OPERATORS), augmented_model_path=str(augmented), calibrate_method=methods[method]
            )
            self._calibrator.infer_session = _frugal_session(augmented)

    def add(self, image: npt.NDArray[np.float32]) -> None:
        """Runs the model on a normalised tensor of its input shape."""
        self._calibrator.collect_data(_One({self._input: image}))

    def ranges(self) -> dict[str, tuple[float, float]]:
        """The ranges of the images since the last `clear`."""
        found = self._calibrator.compute_data().items()
        return {name: (float(np.min(r.range_value[0])), float(np.max(r.range_value[1]))) for name, r in found}

    def clear(self) -> None:
        """Forgets the images so far. Min-max only."""
        self._calibrator.calibrate_tensors_range = None


def runtime_version() -> str:
    """The release of ONNX Runtime, whichever of its packages (CPU, GPU, …) is installed."""
    import onnxruntime

    return str(onnxruntime.__version__)


def _frugal_session(model: Path) -> onnxruntime.InferenceSession:
    """As the calibrator's own, without the memory planning that makes it take twice as much."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.enable_mem_pattern = False
    options.enable_cpu_mem_arena = False
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


class _One:
    """ONNX Runtime's reader of calibration data, for one image: one at a time lets ranges merge and progress show."""

    def __init__(self, feed: dict[str, npt.NDArray[np.float32]]) -> None:
        self._feed: dict[str, npt.NDArray[np.float32]] | None = feed

    def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
        feed, self._feed = self._feed, None
        return feed
