"""Preprocessed images on disk: one file each, found again by the image's bytes and the preprocessing's key."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from harness.cpu_quota import usable_cores
from harness.dataset.tensor_file import seems_whole, write_tensor
from harness.dataset.tensors import CachedTensors, Preprocess, read_image, tensor_of
from harness.dataset.worker_pool import in_workers
from harness.errors import DataError, DatasetError
from harness.files import unfinished, write_text

POOL_PAYS_FROM = 64
"""Fewer images than this are done before the worker processes have started."""
_STALE_AFTER_S = 3600
"""What a killed build left is taken for another build's work for so long."""


class TensorCache:
    """A folder of uint8 tensors.

    Files are written under a name of their own and moved into place; what an earlier, broken build finished is not done
    again. Any number of builds on any number of machines may share a folder, and where nothing is missing it need not
    be writable. The content of a file is checked when it is loaded.

    Args:
        folder: made if need be; each key has a folder of its own in it.
        preprocess: gives the uint8 tensor of one encoded image; must be picklable, worker processes call it.
        key: names everything that the tensor depends on besides the image's bytes.
        shape: of a tensor, (3, H, W).
    """

    def __init__(self, folder: Path, preprocess: Preprocess, key: str, shape: tuple[int, ...]) -> None:
        self.folder = folder / hashlib.sha256(f"{key} {shape}".encode()).hexdigest()[:16]
        self._preprocess = preprocess
        self._key = key
        self._shape = shape

    @property
    def bytes_per_image(self) -> int:
        """What one tensor takes on disk, without the few bytes of the file's header."""
        return int(np.prod(self._shape))

    def build(
        self, sources: Sequence[Path], progress: Callable[[int, int], None], workers: int | None = None
    ) -> CachedTensors:
        """Makes the tensors that are not there yet.

        Args:
            sources: the images, by sample index.
            progress: told how many of them have their tensor.
            workers: processes; None for one per core.

        Raises:
            DatasetError: an image cannot be read or is not whole; named.
            DataError: the folder cannot be written, the disk has too little space, or a worker process died.
            Stalled: a worker process does not go on.
        """
        self._prepare_folder()
        files: list[Path] = []
        missing: dict[Path, Path] = {}
        with ThreadPoolExecutor(usable_cores()) as threads:
            for source, (file, whole) in zip(sources, threads.map(self._look_up, sources), strict=True):
                files.append(file)
                if not whole:
                    missing[file] = source
                progress(len(files) - len(missing), len(sources))
        self._check_space(len(missing))
        had = len(sources) - len(missing)
        self._make(missing, workers or usable_cores(), lambda made: progress(had + made, len(sources)))
        digests = b"".join(bytes.fromhex(file.stem) for file in files)
        return CachedTensors(self.folder, digests, sources, self._preprocess, self._shape, made=len(missing))

    def _look_up(self, source: Path) -> tuple[Path, bool]:
        """Where the image's tensor belongs, and whether it seems to be there."""
        file = self.folder / f"{hashlib.sha256(read_image(source)).hexdigest()}.npy"
        return file, seems_whole(file, self._shape)

    def _prepare_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _not_writable(self.folder, error) from error
        with contextlib.suppress(OSError):  # neither is needed
            if not (self.folder / "preprocessing.txt").exists():
                write_text(self.folder / "preprocessing.txt", f"{self._key}\n")
            for left in unfinished(self.folder):
                if time.time() - left.stat().st_mtime > _STALE_AFTER_S:
                    left.unlink()

    def _check_space(self, images: int) -> None:
        needed, free = images * self.bytes_per_image, shutil.disk_usage(self.folder).free
        if needed > free:
            raise DataError(
                f"the tensors of {images} images need {needed / 1e9:.3g} GB, and {free / 1e9:.3g} GB are free",
                where=str(self.folder),
                hint="free some space, name another cache folder, or take fewer images",
            )

    def _make(self, missing: dict[Path, Path], workers: int, tell: Callable[[int], None]) -> None:
        """Makes the files, each of its source, and tells how many are made after every one."""
        make = functools.partial(_make_file, self._preprocess, self._shape)
        if workers == 1 or len(missing) < POOL_PAYS_FROM:
            for made, file_and_source in enumerate(missing.items(), start=1):
                make(file_and_source)
                tell(made)
        else:
            in_workers(make, missing.items(), min(workers, len(missing)), tell)


def _make_file(preprocess: Preprocess, shape: tuple[int, ...], file_and_source: tuple[Path, Path]) -> None:
    file, source = file_and_source
    encoded = read_image(source)
    if hashlib.sha256(encoded).hexdigest() != file.stem:
        raise DatasetError("changed while it was being read", where=str(source))
    tensor = tensor_of(source, encoded, preprocess)
    if tensor.shape != shape or tensor.dtype != np.uint8:
        raise TypeError(f"the preprocessing gave {tensor.dtype} {tensor.shape}, not uint8 {shape}")
    try:
        write_tensor(file, np.ascontiguousarray(tensor))
    except IsADirectoryError as error:
        with contextlib.suppress(OSError):  # one that is empty is in nobody's way
            file.rmdir()
            write_tensor(file, np.ascontiguousarray(tensor))
            return
        raise DataError("there is a folder where a cached tensor belongs", where=str(file), hint="remove it") from error
    except OSError as error:
        raise _not_writable(file.parent, error) from error


def _not_writable(folder: Path, error: OSError) -> DataError:
    return DataError(
        f"the tensor cache cannot be written: {error.strerror}",
        where=str(folder),
        hint="free some space there, or name another cache folder in SSD_HARNESS_CACHE",
    )
