"""The default model in float32 and INT8 on one thread and on two, INT8 with float outputs, two sessions against one.

    .venv/bin/python tests/benchmarks/model_precision.py [--rounds 5]

All take turns in one call, because timings drift; the threads are pinned. Prints medians in ms an image, and ratios.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from time import monotonic_ns

import numpy as np

from harness.model.ssd_resnet34.model import MODEL
from harness.model.ssd_resnet34.weights import trained_ranges
from harness.quantization import int8 as quantization
from harness.sessions import Session, SessionRequest, open_session

IMAGES = 4  # of each timed call that compares sessions


def opened(model: Path, cores: list[int]) -> Session:
    os.sched_setaffinity(0, cores)
    request = SessionRequest.of(MODEL, model, threads=len(cores))
    return open_session("onnxruntime", request)


def run(session: Session, cores: list[int], image: np.ndarray, count: int = 1) -> None:
    os.sched_setaffinity(0, cores)
    for _ in range(count):
        session.run(image)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    cores = sorted(os.sched_getaffinity(0))[:2]
    first, second = cores[:1], cores[1:]

    pixels = np.random.default_rng(1).integers(0, 256, MODEL.input.shape).astype(np.uint8)
    mean, std = (
        np.reshape(statistic, (3, 1, 1)).astype(np.float32)
        for statistic in (MODEL.normalisation.mean, MODEL.normalisation.std)
    )
    normalised = (pixels / np.float32(255) - mean) / std
    int8, float32 = (MODEL.default_file(precision, print) for precision in ("int8", "float32"))
    with tempfile.TemporaryDirectory() as folder:
        floating = Path(folder) / "float_outputs.onnx"
        quantization.quantize(float32, trained_ranges(), floating, normalisation=MODEL.normalisation)
        two_floating = opened(floating, cores)
    one, other, two = opened(int8, first), opened(int8, second), opened(int8, cores)
    one_float32, two_float32 = opened(float32, first), opened(float32, cores)

    def pair() -> None:
        with ThreadPoolExecutor(2) as pool:
            done = [pool.submit(run, s, c, pixels, IMAGES // 2) for s, c in ((one, first), (other, second))]
        for future in done:
            future.result()

    timed: dict[str, tuple[Callable[[], None], int]] = {
        "INT8, 1 thread": (lambda: run(one, first, pixels), 1),
        "INT8, 2 threads": (lambda: run(two, cores, pixels), 1),
        "INT8, float outputs, 2 threads": (lambda: run(two_floating, cores, pixels), 1),
        "float32, 1 thread": (lambda: run(one_float32, first, normalised), 1),
        "float32, 2 threads": (lambda: run(two_float32, cores, normalised), 1),
        "INT8, 2 sessions of 1 thread": (pair, IMAGES),
        "INT8, 1 session of 2 threads": (lambda: run(two, cores, pixels, IMAGES), IMAGES),
    }
    times: dict[str, list[float]] = {name: [] for name in timed}
    for turn in range(rounds + 1):
        for name, (call, images) in timed.items():
            start = monotonic_ns()
            call()
            if turn:  # the first warms up
                times[name].append((monotonic_ns() - start) / 1e6 / images)

    medians = {name: median(values) for name, values in times.items()}
    for name, ms in medians.items():
        print(f"{name:30} {ms:8.1f} ms an image (least {min(times[name]):.1f})")
    for n in ("1 thread", "2 threads"):
        print(f"INT8 is {medians[f'float32, {n}'] / medians[f'INT8, {n}']:.2f} times as fast as float32 on {n}")
    outputs = medians["INT8, float outputs, 2 threads"] / medians["INT8, 2 threads"]
    print(f"INT8 outputs give {outputs:.3f} times what float outputs give, on 2 threads")
    sessions = medians["INT8, 1 session of 2 threads"] / medians["INT8, 2 sessions of 1 thread"]
    print(f"two sessions of one thread give {sessions:.2f} times what one session of two threads gives")


if __name__ == "__main__":
    main()
