"""Input tensors by sample index, for LoadSamplesToRam: read from a cache, or preprocessed on the spot."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from harness.errors import DatasetError
from harness.files import sha256_file

Tensor: TypeAlias = "npt.NDArray[Any]"
Preprocess: TypeAlias = Callable[[bytes], Tensor]
"""From an encoded image to its (3, H, W) tensor; raises ValueError for bytes that are not a whole image."""


class Tensors(Protocol):
    """The input tensors of a dataset."""

    def __len__(self) -> int: ...

    @property
    def sha256(self) -> str:
        """Of the contents of all image files, in their order."""
        ...

    def load(self, indices: Sequence[int]) -> list[Tensor]:
        """The tensors of these samples, in this order, in memory of their own.

        Returns:
            (1, 3, H, W) C-contiguous arrays; nothing of them is kept here.

        Raises:
            DatasetError: an image or its tensor cannot be read any more; named.
        """
        ...


class CachedTensors:
    """Tensors read from the files of a `TensorCache`.

    Args:
        files: one .npy file per sample, as ``TensorCache.build`` left them.
        sources: the images they were made of, for messages.
        made: how many of the files that build made anew.
    """

    def __init__(self, files: Sequence[Path], sources: Sequence[Path], made: int) -> None:
        self.made = made
        self._files = files
        self._sources = sources

    def __len__(self) -> int:
        return len(self._files)

    @property
    def sha256(self) -> str:
        """See `Tensors.sha256`."""
        return _sha256_of(file.stem for file in self._files)  # a file is named by its image's content

    def load(self, indices: Sequence[int]) -> list[Tensor]:
        """See `Tensors.load`."""
        return _in_threads(self._load_one, indices)

    def _load_one(self, index: int) -> Tensor:
        try:
            mapped = np.lib.format.open_memmap(self._files[index], mode="r")
        except (OSError, ValueError) as error:
            raise DatasetError(
                f"its cached tensor {self._files[index]} cannot be read any more: {error}",
                where=str(self._sources[index]),
                hint="start again: it is made anew",
            ) from error
        return np.array(mapped[np.newaxis])


class DirectTensors:
    """Tensors preprocessed whenever they are loaded: for those too big to keep, such as float32 ones (17 MB each).

    Args:
        sources: the images.
        preprocess: gives the tensor of one encoded image.
    """

    def __init__(self, sources: Sequence[Path], preprocess: Preprocess) -> None:
        self._sources = sources
        self._preprocess = preprocess

    def __len__(self) -> int:
        return len(self._sources)

    @property
    def sha256(self) -> str:
        """See `Tensors.sha256`."""
        return _sha256_of(_in_threads(sha256_file, self._sources))

    def load(self, indices: Sequence[int]) -> list[Tensor]:
        """See `Tensors.load`."""
        return _in_threads(self._load_one, indices)

    def check(self, progress: Callable[[int, int], None]) -> None:
        """Preprocesses every image once and keeps none.

        Raises:
            DatasetError: one of them cannot be used; named.
        """
        step = 4 * available_cores()
        for start in range(0, len(self), step):
            progress(start, len(self))
            _in_threads(lambda index: self._load_one(index).size, range(start, min(start + step, len(self))))
        progress(len(self), len(self))

    def _load_one(self, index: int) -> Tensor:
        source = self._sources[index]
        return tensor_of(source, read_image(source), self._preprocess)[np.newaxis]


def _sha256_of(contents: Iterable[str]) -> str:
    """Of the sha256 of each image."""
    return hashlib.sha256("".join(f"{content}\n" for content in contents).encode()).hexdigest()


def read_image(source: Path) -> bytes:
    """The bytes of an image file.

    Raises:
        DatasetError: it cannot be read.
    """
    try:
        return source.read_bytes()
    except OSError as error:
        raise DatasetError(f"cannot be read: {error.strerror}", where=str(source)) from error


def tensor_of(source: Path, encoded: bytes, preprocess: Preprocess) -> Tensor:
    """The (3, H, W) tensor of an encoded image.

    Raises:
        DatasetError: it is not a whole image.
    """
    try:
        return preprocess(encoded)
    except ValueError as error:
        raise DatasetError(str(error), where=str(source), hint="fetch this image again") from error


def available_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


def _in_threads(function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    # Reading, decoding and resizing all leave Python's lock.
    with ThreadPoolExecutor(min(available_cores(), 16)) as threads:
        return list(threads.map(function, items))
