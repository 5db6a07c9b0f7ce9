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
        method: min-max keeps the extremes; the other two cut rare values off, and hold every activation in memory.
        progress: told (done, total) after each image.
        total: how many images there are, for ``progress``.

    Raises:
        ModelError: the model cannot be read.
        ValueError: no image at all.
    """
    from onnxruntime.quantization import CalibrationMethod
    from onnxruntime.quantization.calibrate import create_calibrator

    float32 = folding.fold(onnx_file.load(model), str(model))
    name = float32.graph.input[0].name
    methods = {
        "minmax": CalibrationMethod.MinMax,
        "entropy": CalibrationMethod.Entropy,
        "percentile": CalibrationMethod.Percentile,
    }
    with tempfile.TemporaryDirectory(prefix="ssd-harness-calibration-") as folder:
        augmented, copy = Path(folder) / "augmented.onnx", Path(folder) / "model.onnx"
        onnx_file.save(float32, copy)  # the calibrator writes beside the model, whose folder may be read-only
        calibrator = create_calibrator(
            copy, list(OPERATORS), augmented_model_path=str(augmented), calibrate_method=methods[method]
        )
        calibrator.infer_session = _frugal_session(augmented)
        done = 0
        for done, image in enumerate(images, 1):
            calibrator.collect_data(_One({name: image}))
            if progress is not None:
                progress(done, total)
        if not done:
            raise ValueError("no calibration image")
        ranges = calibrator.compute_data()
    return {name: (float(np.min(r.range_value[0])), float(np.max(r.range_value[1]))) for name, r in ranges.items()}


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
