"""Measures the decoders of SSD-ResNet34 beside each other, on made-up images.

`furiosa-native-postprocess` (FuriosaAI's published postprocessor) takes part where it is installed.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable

import numpy as np

from harness.model.decoder_timing import (
    Contestants,
    DecoderBench,
    Postprocess,
    ReadSpeed,
    interleaved,
    time_decoders,
)
from harness.model.ssd_resnet34.example_outputs import Scene, example_outputs, quantize, tile_like_an_npu
from harness.model.ssd_resnet34.heads import NUM_CLASSES, NUM_PRIORS
from harness.model.ssd_resnet34.native_decoder import NativeDecoder
from harness.model.ssd_resnet34.numpy_decoder import NumpyDecoder

SCENES: tuple[Scene, ...] = ("background", "typical", "crowded")
NUMPY, PUBLISHED = "NumPy float32", "furiosa-native-postprocess"
_CLASS_BYTES = NUM_CLASSES * NUM_PRIORS  # of the six class outputs in int8


def bench_decoders(
    *, rounds: int = 100, threads: int | None = None, seed: int = 1, progress: Callable[[int, int], None] | None = None
) -> DecoderBench:
    """Times every postprocessor on a background-only, a typical and a crowded image.

    Args:
        rounds: in each, every postprocessor has its turn: ten calls of a native one, one of another.
        threads: for the throughput; every core this process may use if left out.
        seed: of the images.
        progress: told how many of the measurements are done, and of how many.

    Raises:
        BackendError: the native postprocessor was not built here.
    """
    native, published = NativeDecoder(), _published()
    scenes: dict[str, Contestants] = {scene: _contestants(scene, seed, native, published) for scene in SCENES}
    timings = time_decoders(scenes, rounds, threads, progress)
    missing = "To compare: pip install --no-deps furiosa-native-postprocess==0.10.0 (Python 3.11 or older)"
    return DecoderBench(
        "SSD-ResNet34",
        native.simd,
        "published",
        timings,
        _read_speed(native, seed),
        "" if published else missing,
    )


def _published() -> Callable[[list[object], list[object]], object] | None:
    os.environ.setdefault("RAYON_NUM_THREADS", "1")  # one thread each; it would take a second one now and then
    try:
        module = importlib.import_module("furiosa_native_postprocess")
    except ImportError:
        return None
    evaluate: Callable[[list[object], list[object]], object] = module.ssd_resnet34.RustPostProcessor().eval
    return evaluate


def _contestants(
    scene: Scene,
    seed: int,
    native: NativeDecoder,
    published: Callable[[list[object], list[object]], object] | None,
) -> Contestants:
    outputs = example_outputs(seed, quantized=False, scene=scene)
    images = [np.asarray(output) for output in outputs]
    int8 = quantize(images)
    tiled = tile_like_an_npu(int8)
    found: dict[str, Postprocess] = {
        NUMPY: lambda: NumpyDecoder().decode(outputs),
        "native float32": lambda: native.decode(outputs),
        "native int8": lambda: native.decode(int8),
        "native int8, NPU layout": lambda: native.decode(tiled),
    }
    if published:
        tensors: list[object] = [image[0] for image in images]
        found[PUBLISHED] = lambda: published(tensors[6:], tensors[:6])
    return Contestants(found, (NUMPY, PUBLISHED), PUBLISHED)


def _read_speed(native: NativeDecoder, seed: int) -> ReadSpeed:
    from harness.native import _decode

    outputs = example_outputs(seed, quantized=True, scene="background")
    buffer = np.ones(_CLASS_BYTES, np.uint8)
    seconds = interleaved(
        {
            "read": lambda: _decode.read(buffer),
            "scan": lambda: native.scan(outputs, repeats=1),
            "11 scans": lambda: native.scan(outputs, repeats=11),
            "decode": lambda: native.decode(outputs),
        },
        rounds=50,
    )
    read, scan, scans, decode = (float(np.median(s)) for s in seconds.values())
    per_gb = _CLASS_BYTES / 1e9
    return ReadSpeed(_CLASS_BYTES, per_gb / read, per_gb / ((scans - scan) / 10), per_gb / decode)
