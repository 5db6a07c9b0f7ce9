"""Input tensors by sample index, for LoadSamplesToRam: read from a cache, or preprocessed on the spot."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeAlias, overload

import numpy as np
import numpy.typing as npt

from harness.dataset.tensor_file import DamagedTensor, read_tensor, seems_whole, write_tensor
from harness.errors import DatasetError
from harness.files import sha256_file

Tensor: TypeAlias = "npt.NDArray[Any]"
Preprocess: TypeAlias = Callable[[bytes], Tensor]
"""From an encoded image to its (3, H, W) tensor; raises ValueError for bytes that are not a whole image."""


_log = logging.getLogger(__name__)


class PathList(Sequence[Path]):
    """Paths of files that mostly lie in one folder. Small when pickled: a child process is sent one."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._folders = list(dict.fromkeys(str(path.parent) for path in paths))
        numbers = {folder: number for number, folder in enumerate(self._folders)}
        self._entries = [(numbers[str(path.parent)], path.name) for path in paths]

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, index: int) -> Path: ...

    @overload
    def __getitem__(self, index: slice) -> list[Path]: ...

    def __getitem__(self, index: int | slice) -> Path | list[Path]:
        if isinstance(index, slice):
            return [self[k] for k in range(len(self))[index]]
        folder, name = self._entries[index]
        return Path(self._folders[folder], name)


class Tensors(Protocol):
    """The input tensors of a dataset."""

    def __len__(self) -> int: ...

    @property
    def sha256(self) -> str:
        """The sha256 of the contents of all image files, in their order."""
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

    A file whose content is damaged is made again from its image.

    Args:
        folder: of the tensors, each named by the sha256 of its image.
        digests: the sha256 of each sample's image, 32 bytes each.
        sources: the images they were made of.
        preprocess: gives the tensor of one encoded image.
        shape: of a tensor, (3, H, W).
        made: how many of the files the build made anew.
    """

    def __init__(
        self,
        folder: Path,
        digests: bytes,
        sources: Sequence[Path],
        preprocess: Preprocess,
        shape: tuple[int, ...],
        made: int,
    ) -> None:
        self.made = made
        self._folder = folder
        self._digests = digests
        self._sources = PathList(sources)
        self._preprocess = preprocess
        self._shape = shape

    def __len__(self) -> int:
        return len(self._sources)

    @property
    def sha256(self) -> str:
        """See `Tensors.sha256`."""
        return _sha256_of(self._digest(index) for index in range(len(self)))

    @property
    def files(self) -> Sequence[Path]:
        """The images that the tensors were made of."""
        return self._sources

    def image_digests(self) -> list[str]:
        """The sha256 of each image."""
        return [self._digest(index) for index in range(len(self))]

    def elsewhere(self, cache: Path, files: Sequence[Path]) -> CachedTensors:
        """The same tensors on another machine, where the images are these files and tensors are kept below ``cache``.

        What is not there yet is made when it is loaded.
        """
        folder = cache / self._folder.name
        return CachedTensors(folder, self._digests, files, self._preprocess, self._shape, made=0)

    def holds(self, index: int) -> bool:
        """Whether a tensor seems to be there, so that its image is not needed."""
        return seems_whole(self._folder / f"{self._digest(index)}.npy", self._shape)

    def load(self, indices: Sequence[int]) -> list[Tensor]:
        """See `Tensors.load`."""
        return _in_threads(self._load_one, indices)

    def _digest(self, index: int) -> str:
        return self._digests[32 * index : 32 * (index + 1)].hex()

    def _load_one(self, index: int) -> Tensor:
        digest = self._digest(index)
        file = self._folder / f"{digest}.npy"
        try:
            tensor = read_tensor(file, self._shape)
        except DamagedTensor as damage:
            tensor = self._make_again(index, digest, file, damage)
        return tensor[np.newaxis]

    def _make_again(self, index: int, digest: str, file: Path, damage: DamagedTensor) -> Tensor:
        source = self._sources[index]
        encoded = read_image(source)
        if hashlib.sha256(encoded).hexdigest() != digest:
            raise DatasetError(
                f"its cached tensor {file} {damage}, and the image has changed since it was made",
                where=str(source),
                hint="start again: the tensor is made anew",
            )
        _log.warning("the cached tensor %s of %s %s: made again", file, source, damage)
        tensor = tensor_of(source, encoded, self._preprocess)
        with contextlib.suppress(OSError):  # the cache may be read-only; then it is made again the next time too
            write_tensor(file, tensor)
        return tensor


class DirectTensors:
    """Tensors preprocessed whenever they are loaded: for those too big to keep, such as float32 ones.

    17 MB each, those of COCO's 5000 images would take 86 GB of disk, and reading one back takes about as long from a
    disk of 1 GB/s (17 ms) as making it (27 ms), which LoadGen does not time.

    Args:
        sources: the images.
        preprocess: gives the tensor of one encoded image.
    """

    def __init__(self, sources: Sequence[Path], preprocess: Preprocess) -> None:
        self._sources = PathList(sources)
        self._preprocess = preprocess

    def __len__(self) -> int:
        return len(self._sources)

    @property
    def sha256(self) -> str:
        """See `Tensors.sha256`."""
        return _sha256_of(self.image_digests())

    @property
    def files(self) -> Sequence[Path]:
        """The images."""
        return self._sources

    def image_digests(self) -> list[str]:
        """The sha256 of each image, which are all read for it."""
        return _in_threads(sha256_file, self._sources)

    def elsewhere(self, cache: Path, files: Sequence[Path]) -> DirectTensors:
        """The same on another machine, where the images are these files; nothing is kept in ``cache``."""
        return DirectTensors(files, self._preprocess)

    def holds(self, index: int) -> bool:
        """Never: its image is always needed."""
        return False

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
    """The sha256 over the sha256 of each image."""
    return hashlib.sha256("".join(f"{content}\n" for content in contents).encode()).hexdigest()


def read_image(source: Path) -> bytes:
    """The bytes of an image file.

    Raises:
        DatasetError: it cannot be read, or is no regular file: a pipe would be waited for, perhaps for ever.
    """
    try:
        with open(source, "rb", opener=_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise DatasetError("is no regular file", where=str(source))
            return file.read()
    except OSError as error:
        raise DatasetError(f"cannot be read: {error.strerror}", where=str(source)) from error


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


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
