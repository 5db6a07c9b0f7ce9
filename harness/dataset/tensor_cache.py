"""Preprocessed images on disk: one .npy file each, found again by the image's bytes and the preprocessing's key."""

from __future__ import annotations

import contextlib
import hashlib
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import cv2
import numpy as np

from harness.child_process import live_as_child
from harness.dataset.tensors import CachedTensors, Preprocess, available_cores, read_image, tensor_of
from harness.errors import DataError, DatasetError

POOL_PAYS_FROM = 64
"""Fewer images than this are done before the worker processes have started."""
_PARTIAL = ".partial"
_PARTIAL_IS_STALE_AFTER_S = 3600


class TensorCache:
    """A folder of uint8 tensors.

    Files are written under another name and moved into place, so a file with its final name is whole; what an
    earlier, broken build finished is not done again. Any number of builds may share a folder.

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
            DataError: the folder cannot be written, or the disk has too little space.
        """
        self._prepare_folder()
        files: list[Path] = []
        missing: dict[Path, Path] = {}
        with ThreadPoolExecutor(available_cores()) as threads:
            for source, (file, whole) in zip(sources, threads.map(self._look_up, sources), strict=True):
                files.append(file)
                if not whole:
                    missing[file] = source
                progress(len(files) - len(missing), len(sources))
        self._check_space(len(missing))
        had = len(sources) - len(missing)
        self._make(missing, workers or available_cores(), lambda made: progress(had + made, len(sources)))
        return CachedTensors(files, sources, made=len(missing))

    def _look_up(self, source: Path) -> tuple[Path, bool]:
        """Where the image's tensor belongs, and whether it is there and whole."""
        file = self.folder / f"{hashlib.sha256(read_image(source)).hexdigest()}.npy"
        return file, self._is_whole(file)

    def _is_whole(self, file: Path) -> bool:
        try:
            mapped = np.lib.format.open_memmap(file, mode="r")
        except (OSError, ValueError):  # absent, empty, cut short, or not .npy
            return False
        return bool(mapped.shape == self._shape and mapped.dtype == np.uint8)

    def _prepare_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "preprocessing.txt").write_text(f"{self._key}\n")
            for partial in self.folder.glob(f"*{_PARTIAL}"):
                with contextlib.suppress(FileNotFoundError):
                    if time.time() - partial.stat().st_mtime > _PARTIAL_IS_STALE_AFTER_S:
                        partial.unlink()
        except OSError as error:
            raise _not_writable(self.folder, error) from error

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
        if workers == 1 or len(missing) < POOL_PAYS_FROM:
            for made, (file, source) in enumerate(missing.items(), start=1):
                _make_file(file, source, self._preprocess, self._shape)
                tell(made)
        else:
            _make_in_processes(missing, self._preprocess, self._shape, workers, tell)


def _make_file(file: Path, source: Path, preprocess: Preprocess, shape: tuple[int, ...]) -> None:
    encoded = read_image(source)
    if hashlib.sha256(encoded).hexdigest() != file.stem:
        raise DatasetError("changed while it was being read", where=str(source))
    tensor = tensor_of(source, encoded, preprocess)
    if tensor.shape != shape or tensor.dtype != np.uint8:
        raise TypeError(f"the preprocessing gave {tensor.dtype} {tensor.shape}, not uint8 {shape}")
    partial = file.with_name(f"{file.stem}.{os.getpid()}{_PARTIAL}")
    try:
        try:
            # Not synced to disk: after a power failure a file may be cut short, which its size shows.
            with partial.open("wb") as stream:
                np.save(stream, tensor)
            partial.replace(file)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _not_writable(file.parent, error) from error


def _not_writable(folder: Path, error: OSError) -> DataError:
    return DataError(
        f"the tensor cache cannot be written: {error.strerror}",
        where=str(folder),
        hint="free some space there, or name another cache folder",
    )


def _make_in_processes(
    missing: dict[Path, Path],
    preprocess: Preprocess,
    shape: tuple[int, ...],
    workers: int,
    tell: Callable[[int], None],
) -> None:
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(
        min(workers, len(missing)),
        mp_context=multiprocessing.get_context("spawn"),  # a fork would copy the threads' locks as they are
        initializer=_start_worker,
        initargs=(preprocess, shape),
    )
    try:
        with _sigint_held():  # the workers inherit that, and leave Ctrl-C to us
            futures: list[Future[None]] = [pool.submit(_work, file, source) for file, source in missing.items()]
        for made, future in enumerate(as_completed(futures), start=1):
            future.result()
            tell(made)
    except BrokenProcessPool as error:
        raise DataError(
            "a worker process died while images were preprocessed",
            hint="if memory ran out, try fewer workers; it goes on where it stopped",
        ) from error
    except BaseException:
        for worker in set(multiprocessing.active_children()) - before:
            worker.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _sigint_held() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker(preprocess: Preprocess, shape: tuple[int, ...]) -> None:
    global _task  # noqa: PLW0603 - a worker process has nothing else to keep it in
    _task = preprocess, shape
    cv2.setNumThreads(1)  # there is a worker for every core
    live_as_child()  # a parent that was killed cannot end its workers: they would wait for work for ever


def _work(file: Path, source: Path) -> None:
    _make_file(file, source, *_task)


_task: tuple[Preprocess, tuple[int, ...]]
