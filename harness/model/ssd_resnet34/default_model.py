"""The default ONNX files, built on first use into a cache folder and found there ever after."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from harness import output_quantization
from harness.errors import DataError
from harness.files import sha256_file
from harness.locks import taking_turns
from harness.model.ssd_resnet34 import heads, network, preprocess, weights
from harness.model.ssd_resnet34.preprocess import MEAN, STD
from harness.quantization import calibration, int8, onnx_file
from harness.records import Normalisation

Precision = Literal["int8", "float32"]


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


def _key(precision: Precision) -> str:
    """A hash of all that the file depends on: the code that makes it, with its settings, and the libraries."""
    modules, parts = [heads, network, weights], [sha256_file(weights.WEIGHTS), f"onnx {version('onnx')}"]
    if precision == "int8":
        modules += [sys.modules[__name__], preprocess, output_quantization, calibration, int8]
        parts += [sha256_file(weights.RANGES), f"onnxruntime {calibration.runtime_version()}"]
    digest = hashlib.sha256(", ".join(parts).encode())
    for module in modules:
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def _only_one(cache: Path) -> Iterator[None]:
    """Holds the folder's lock; the system lets go of it when a process ends, however it ends."""
    with ExitStack() as held:
        try:
            cache.mkdir(parents=True, exist_ok=True)
            held.enter_context(taking_turns(cache / ".lock"))
        except OSError as error:
            raise DataError(
                f"the model cache cannot be written ({error.strerror})",
                where=str(cache),
                hint="name another cache folder with the environment variable SSD_HARNESS_CACHE",
            ) from error
        yield


def _build_float32(file: Path, report: Callable[[str], None]) -> None:
    report("building the default float32 model")
    onnx_file.save(network.build(weights.trained_weights()), file)


def _build_int8(file: Path, cache: Path, report: Callable[[str], None]) -> None:
    float32 = cache / f"ssd_resnet34_float32_{_key('float32')}.onnx"
    if not float32.is_file():
        _build_float32(float32, report)
    report("quantizing the default INT8 model")
    normalisation = Normalisation(MEAN.tolist(), STD.tolist())
    int8.quantize(float32, weights.trained_ranges(), file, normalisation=normalisation, quantized_outputs=True)
