"""Measures the decoders beside each other: the same made-up images, one process, turn and turn about.

`furiosa-native-postprocess` (FuriosaAI's published postprocessor) takes part where it is installed.
"""

from __future__ import annotations

import importlib
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.model.ssd_resnet34.example_outputs import Scene, example_outputs, quantize, tile_like_an_npu
from harness.model.ssd_resnet34.heads import NUM_CLASSES, NUM_PRIORS
from harness.model.ssd_resnet34.native_decoder import NativeDecoder
from harness.model.ssd_resnet34.numpy_decoder import NumpyDecoder

SCENES: tuple[Scene, ...] = ("background", "typical", "crowded")
NUMPY, PUBLISHED = "NumPy float32", "furiosa-native-postprocess"
_CLASS_BYTES = NUM_CLASSES * NUM_PRIORS  # of the six class outputs in int8
_SLOW = (NUMPY, PUBLISHED)  # one call a turn
_CALLS_A_TURN = 10
_SLICE_S = 0.1  # how long each count of images per second lasts

Postprocess = Callable[[], object]


@dataclass(frozen=True)
class DecoderTiming:
    """One postprocessor on one image.

    Attributes:
        scene: what the image shows, see `example_outputs.CANDIDATES`.
        postprocessor: which one, and what it takes.
        calls: how many calls the figures are of.
        median_ms, p99_ms: of one call from Python, one thread.
        times_faster: the published postprocessor's median over this one's; None where it is not installed.
        images_per_second: of one thread; the median of a few short counts, as the next two.
        images_per_second_all: of ``threads`` threads at once.
        threads: how many those were.
        scaling: the one over the other, of counts made one right after the other.
    """

    scene: Scene
    postprocessor: str
    calls: int
    median_ms: float
    p99_ms: float
    times_faster: float | None
    images_per_second: float
    images_per_second_all: float
    threads: int
    scaling: float


@dataclass(frozen=True)
class ReadSpeed:
    """How near the int8 scan comes to the speed of reading alone, one thread.

    Attributes:
        bytes: of the six class outputs in int8, which a decode must read at least once.
        read_gb_per_s: of reading as many bytes again and again and doing nothing with them, so from the caches that
            hold them; 10⁹ bytes.
        scan_gb_per_s: of the scan alone, NCHW, on a background-only image.
        decode_gb_per_s: of a whole call from Python on that image.
    """

    bytes: int
    read_gb_per_s: float
    scan_gb_per_s: float
    decode_gb_per_s: float


@dataclass(frozen=True)
class DecoderBench:
    """What `bench_decoders` measured, and with which instruction set."""

    simd: str
    timings: list[DecoderTiming]
    read_speed: ReadSpeed


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
    native = NativeDecoder()
    threads = threads or len(os.sched_getaffinity(0))
    timings: list[DecoderTiming] = []
    published = _published()
    for scene in SCENES:
        contestants = _contestants(scene, seed, native, published)
        calls = _interleaved(contestants, rounds)
        reference = float(np.median(calls[PUBLISHED])) if PUBLISHED in calls else None
        for name, call in contestants.items():
            median_s = float(np.median(calls[name]))
            one, every = _throughputs(call, threads, slices=max(1, rounds // 20))
            timings.append(
                DecoderTiming(
                    scene=scene,
                    postprocessor=name,
                    calls=len(calls[name]),
                    median_ms=median_s * 1e3,
                    p99_ms=float(np.percentile(calls[name], 99)) * 1e3,
                    times_faster=reference / median_s if reference else None,
                    images_per_second=float(np.median(one)),
                    images_per_second_all=float(np.median(every)),
                    threads=threads,
                    scaling=float(np.median(every / one)),
                )
            )
            if progress:
                progress(len(timings), len(SCENES) * len(contestants))
    return DecoderBench(native.simd, timings, _read_speed(native, seed))


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
) -> dict[str, Postprocess]:
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
    return found


def _interleaved(contestants: dict[str, Postprocess], rounds: int) -> dict[str, list[float]]:
    """Seconds of every call."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, call in contestants.items():
            for _ in range(1 if name in _SLOW else _CALLS_A_TURN):
                start = time.perf_counter()
                call()
                seconds[name].append(time.perf_counter() - start)
    return seconds


def _throughputs(
    call: Postprocess, threads: int, slices: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Calls per second of one thread and of so many, turn and turn about."""
    pairs = [(_throughput(call, 1), _throughput(call, threads)) for _ in range(slices)]
    one, every = np.array(pairs).T
    return one, every


def _throughput(call: Postprocess, threads: int) -> float:
    """Calls per second of so many threads at once, each on a core of its own as long as there are as many."""
    counts = [0] * threads
    cores = sorted(os.sched_getaffinity(0))
    begin, end = threading.Barrier(threads + 1), threading.Event()

    def work(k: int) -> None:
        os.sched_setaffinity(0, {cores[k % len(cores)]})  # of this thread
        begin.wait()
        while True:
            call()
            counts[k] += 1
            if end.is_set():
                return

    workers = [threading.Thread(target=work, args=(k,)) for k in range(threads)]
    for worker in workers:
        worker.start()
    begin.wait()
    start = time.perf_counter()
    time.sleep(_SLICE_S)
    end.set()
    for worker in workers:
        worker.join()
    return sum(counts) / (time.perf_counter() - start)


def _read_speed(native: NativeDecoder, seed: int) -> ReadSpeed:
    from harness.native import _decode

    outputs = example_outputs(seed, quantized=True, scene="background")
    buffer = np.ones(_CLASS_BYTES, np.uint8)
    seconds = _interleaved(
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
