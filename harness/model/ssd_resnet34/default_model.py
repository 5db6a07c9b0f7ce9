"""The default ONNX files, built on first use into a cache folder and found there ever after."""

from __future__ import annotations

import fcntl
import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from harness import output_quantization
from harness.errors import DataError
from harness.files import write_json
from harness.model.ssd_resnet34 import heads, network, preprocess
from harness.model.ssd_resnet34.heads import IMAGE_SIZE
from harness.model.ssd_resnet34.preprocess import MEAN, STD
from harness.quantization import calibration, int8, onnx_file

Precision = Literal["int8", "float32"]

SEED = 0
CALIBRATION_IMAGES = 2  # min-max keeps the extremes, and two stark images have them


def default_file(precision: Precision, cache: Path, report: Callable[[str], None]) -> Path:
    """The default model of that precision.

    Args:
        precision: "float32": normalised float32 in, float32 out; "int8": uint8 in, int8 out with scale and zero-point
            in the metadata.
        cache: where models are kept; several processes may ask at once, and one of them builds.
        report: told, in a sentence, before each step that takes seconds.

    Raises:
        DataError: the cache cannot be written.
    """
    file = cache / f"ssd_resnet34_{precision}_{_key(precision)}.onnx"
    if file.is_file():
        return file
    with _only_one(cache):
        if not file.is_file():
            if precision == "float32":
                _build_float32(file, report)
            else:
                _build_int8(file, cache, report)
    return file


def default_ranges(cache: Path, report: Callable[[str], None]) -> dict[str, tuple[float, float]]:
    """The activation ranges that the default INT8 model was quantized with.

    Raises:
        DataError: the cache cannot be written.
    """
    int8_file = default_file("int8", cache, report)
    return {name: (low, high) for name, (low, high) in json.loads(_ranges_file(int8_file).read_bytes()).items()}


def _ranges_file(int8_file: Path) -> Path:
    return int8_file.with_suffix(".ranges.json")


def _key(precision: Precision) -> str:
    """A hash of all that the file depends on: the code that makes it, with its settings, and the libraries."""
    modules, parts = [heads, network], [f"seed {SEED}", f"onnx {version('onnx')}"]
    if precision == "int8":
        modules += [sys.modules[__name__], preprocess, output_quantization, calibration, int8]
        parts += [f"onnxruntime {calibration.runtime_version()}"]
    digest = hashlib.sha256(", ".join(parts).encode())
    for module in modules:
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def _only_one(cache: Path) -> Iterator[None]:
    """Holds the folder's lock; the system lets go of it when a process ends, however it ends."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock = (cache / ".lock").open("w")
    except OSError as error:
        raise DataError(
            f"the model cache cannot be written ({error.strerror})", where=str(cache), hint="choose another folder"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build_float32(file: Path, report: Callable[[str], None]) -> None:
    report("building the default float32 model")
    onnx_file.save(network.build(network.seeded_weights(SEED)), file)


def _build_int8(file: Path, cache: Path, report: Callable[[str], None]) -> None:
    float32 = cache / f"ssd_resnet34_float32_{_key('float32')}.onnx"
    if not float32.is_file():
        _build_float32(float32, report)
    report(f"calibrating the default INT8 model on {CALIBRATION_IMAGES} made-up images")
    ranges = calibration.calibrate(float32, calibration_tensors(SEED, CALIBRATION_IMAGES))
    write_json(_ranges_file(file), ranges)
    report("quantizing the default INT8 model")
    normalisation = int8.Normalisation(MEAN.tolist(), STD.tolist())
    int8.quantize(float32, ranges, file, normalisation=normalisation, quantized_outputs=True)


def calibration_tensors(seed: int, count: int) -> Iterator[npt.NDArray[np.float32]]:
    """Made-up images of much contrast: coloured fields, plain rectangles, noise.

    Yields:
        (1, 3, 1200, 1200) float32, normalised.
    """
    rng = np.random.default_rng(seed)
    for contrast in np.linspace(100, 127, count):
        fields = np.repeat(np.repeat(rng.uniform(-1, 1, (3, 8, 8)), IMAGE_SIZE // 8, 1), IMAGE_SIZE // 8, 2)
        for _ in range(30):
            side, (top, left) = rng.integers(20, 400), rng.integers(0, IMAGE_SIZE - 20, 2)
            fields[:, top : top + side, left : left + side] = rng.uniform(-1, 1, (3, 1, 1))
        noise = rng.normal(0, 12, (3, IMAGE_SIZE, IMAGE_SIZE))
        pixels = np.clip(127.5 + contrast * fields + noise, 0, 255).astype(np.float32)
        yield ((pixels / np.float32(255) - MEAN[:, None, None]) / STD[:, None, None])[np.newaxis]
