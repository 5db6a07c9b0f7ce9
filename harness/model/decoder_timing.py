"""Times decoders beside each other: the same made-up images, one process, turn and turn about."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from harness.cpu_quota import usable_cores

_CALLS_A_TURN = 10
_COLD_CALLS = 20
_COLD_AFTER_S = 0.0125  # a device's time, for which a decoder's code and data leave the caches
_SLICE_S = 0.1  # how long each count of images per second lasts

Postprocess: TypeAlias = Callable[[], object]


@dataclass(frozen=True)
class DecoderTiming:
    """One postprocessor on one image.

    Attributes:
        scene: what the image shows.
        postprocessor: which one, and what it takes.
        calls: how many calls the figures are of.
        median_ms, p99_ms: of one call from Python, one thread.
        cold_ms: the median of calls that each come after 12.5 ms of nothing, as after a device's work.
        times_faster: the median of the one that all are held against over this one's; None where that is not installed.
        images_per_second: of one thread; the median of a few short counts, as the next two.
        images_per_second_all: of ``threads`` threads at once.
        threads: how many those were.
        scaling: the one over the other, of counts made one right after the other.
    """

    scene: str
    postprocessor: str
    calls: int
    median_ms: float
    p99_ms: float
    cold_ms: float
    times_faster: float | None
    images_per_second: float
    images_per_second_all: float
    threads: int
    scaling: float


@dataclass(frozen=True)
class ReadSpeed:
    """How near the int8 scan comes to the speed of reading alone, one thread.

    Attributes:
        bytes: of the class outputs in int8, which a decode must read at least once.
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
    """What was measured.

    Attributes:
        model: its name for people.
        simd: the instruction set of the native decoder.
        reference: the one that ``times_faster`` is held against, in a word.
        timings: scene after scene.
        read_speed: None where it was not measured.
        remark: what else a person should know; may be empty.
    """

    model: str
    simd: str
    reference: str
    timings: list[DecoderTiming]
    read_speed: ReadSpeed | None = None
    remark: str = ""


@dataclass(frozen=True)
class Contestants:
    """The postprocessors of one scene.

    Attributes:
        calls: name → one call of it.
        slow: those that have one call a turn, not ten.
        reference: the name of the one that the others are held against; it may be missing in ``calls``.
    """

    calls: Mapping[str, Postprocess]
    slow: tuple[str, ...]
    reference: str


def time_decoders(
    scenes: Mapping[str, Contestants], rounds: int, threads: int | None, progress: Callable[[int, int], None] | None
) -> list[DecoderTiming]:
    """Times every postprocessor of every scene.

    Args:
        scenes: what an image shows → who decodes it.
        rounds: in each, every postprocessor of a scene has its turn.
        threads: for the throughput; None: every core that this process may use.
        progress: told how many of the measurements are done, and of how many.
    """
    threads = threads or usable_cores()
    total = sum(len(contestants.calls) for contestants in scenes.values())
    timings: list[DecoderTiming] = []
    for scene, contestants in scenes.items():
        calls = interleaved(contestants.calls, rounds, contestants.slow)
        reference = calls.get(contestants.reference)
        for name, call in contestants.calls.items():
            median_s = float(np.median(calls[name]))
            one, every = _throughputs(call, threads, slices=max(1, rounds // 20))
            timings.append(
                DecoderTiming(
                    scene=scene,
                    postprocessor=name,
                    calls=len(calls[name]),
                    median_ms=median_s * 1e3,
                    p99_ms=float(np.percentile(calls[name], 99)) * 1e3,
                    cold_ms=float(np.median(_cold(call))) * 1e3,
                    times_faster=float(np.median(reference)) / median_s if reference else None,
                    images_per_second=float(np.median(one)),
                    images_per_second_all=float(np.median(every)),
                    threads=threads,
                    scaling=float(np.median(every / one)),
                )
            )
            if progress:
                progress(len(timings), total)
    return timings


def interleaved(
    contestants: Mapping[str, Postprocess], rounds: int, slow: tuple[str, ...] = ()
) -> dict[str, list[float]]:
    """Seconds of every call."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, call in contestants.items():
            for _ in range(1 if name in slow else _CALLS_A_TURN):
                start = time.perf_counter()
                call()
                seconds[name].append(time.perf_counter() - start)
    return seconds


def _cold(call: Postprocess) -> list[float]:
    """Seconds of calls that each come after a pause."""
    seconds = []
    for _ in range(_COLD_CALLS):
        time.sleep(_COLD_AFTER_S)
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
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
