"""How fast images become tensors here: one step after the other on one core, and the worker processes together."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from time import perf_counter

from harness.cpu_quota import usable_cores
from harness.dataset.tensor_cache import POOL_PAYS_FROM, TensorCache
from harness.dataset.tensor_file import read_tensor, write_tensor
from harness.dataset.tensors import Preprocess, read_image
from harness.errors import UsageError


@dataclass(frozen=True)
class PreprocessBench:
    """What was measured; the milliseconds are medians over the images, on one core.

    Attributes:
        images: how many, each made once for every one of the rounds.
        read_ms: reading the encoded image, from the system's memory.
        tensor_ms: decoding and resizing.
        write_ms: writing the tensor with its checksum.
        load_ms: reading the tensor back and checking it, as LoadSamplesToRam does.
        workers: processes of the pool.
        images_per_second: of the pool, the median of the rounds, from its first finished image on.
        rounds_per_second: of each round.
    """

    images: int
    read_ms: float
    tensor_ms: float
    write_ms: float
    load_ms: float
    workers: int
    images_per_second: float
    rounds_per_second: tuple[float, ...]


def bench_preprocessing(
    sources: Sequence[Path],
    preprocess: Preprocess,
    shape: tuple[int, ...],
    *,
    workers: int | None = None,
    rounds: int = 3,
    progress: Callable[[int, int], None],
) -> PreprocessBench:
    """Measures with tensors in a temporary folder, which are removed.

    Args:
        sources: images of different contents, at least `POOL_PAYS_FROM`: fewer are not given to worker processes.
        preprocess: gives the uint8 tensor of one encoded image; picklable.
        shape: of a tensor, (3, H, W).
        workers: processes; None for one per core.
        rounds: times that the pool makes all tensors.
        progress: told how many of all images are made.

    Raises:
        UsageError: too few images.
        DataError: an image cannot be used, or the disk is full.
    """
    if len(sources) < POOL_PAYS_FROM:
        raise UsageError(f"{len(sources)} images; at least {POOL_PAYS_FROM} are needed", where="images")
    workers = workers or usable_cores()
    with tempfile.TemporaryDirectory(prefix="ssd-harness-") as folder:
        steps = _steps(sources[:POOL_PAYS_FROM], preprocess, shape, Path(folder))
        rates = []
        for number in range(rounds):
            moments: list[tuple[int, float]] = []

            def note(made: int, total: int, before: int = number * len(sources)) -> None:
                moments.append((made, perf_counter()))  # noqa: B023 - used up within its round
                progress(before + made, rounds * len(sources))

            cache = TensorCache(Path(folder, str(number)), preprocess, "bench", shape)
            cache.build(sources, note, workers)
            made = [moment for moment in moments if moment[0]]
            rates.append((made[-1][0] - made[0][0]) / (made[-1][1] - made[0][1]))
    return PreprocessBench(len(sources), *steps, workers, median(rates), tuple(rates))


def _steps(
    sources: Sequence[Path], preprocess: Preprocess, shape: tuple[int, ...], folder: Path
) -> tuple[float, float, float, float]:
    times: list[tuple[float, ...]] = []
    file = folder / "tensor.npy"
    for source in sources:
        moments = [perf_counter()]
        encoded = read_image(source)
        moments.append(perf_counter())
        tensor = preprocess(encoded)
        moments.append(perf_counter())
        write_tensor(file, tensor)
        moments.append(perf_counter())
        read_tensor(file, shape)
        moments.append(perf_counter())
        times.append(tuple((end - start) * 1e3 for start, end in pairwise(moments)))
    read, make, write, load = (median(step) for step in zip(*times, strict=True))
    return read, make, write, load
