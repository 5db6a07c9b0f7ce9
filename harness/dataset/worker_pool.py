"""Worker processes for work on many files, one core each, which end with us and are watched."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from queue import Empty, SimpleQueue

import cv2

from harness.child_process import live_as_child
from harness.errors import DataError, Stalled

STALL_S = 120.0
"""Nothing that a worker does takes nearly as long: an image takes hundredths of a second."""


FileAndSource = tuple[Path, Path]
"""A file to make, and the one that it is made of."""


def in_workers(
    make: Callable[[FileAndSource], None], items: Iterable[FileAndSource], workers: int, done: Callable[[int], None]
) -> None:
    """Calls ``make(item)`` for every item in worker processes.

    Args:
        make: picklable; sent to each worker once.
        workers: how many processes.
        done: told how many items are done, after each one.

    Raises:
        HarnessError: what ``make`` raised; the rest is given up.
        DataError: a worker died.
        Stalled: no worker finished an item for `STALL_S`: one is stopped, or waits for something that never comes.
    """
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),  # a fork would copy the threads' locks as they are
        initializer=_start_worker,
        initargs=(make,),
    )
    finished: SimpleQueue[Future[None]] = SimpleQueue()
    try:
        with _sigint_held():  # the workers inherit that, and leave Ctrl-C to us
            waiting = {pool.submit(_work, item): item for item in items}
        for future in waiting:
            future.add_done_callback(finished.put)
        for count in range(1, len(waiting) + 1):
            future = finished.get(timeout=STALL_S)
            future.result()
            done(count)
            del waiting[future]
    except BrokenProcessPool as error:
        raise DataError(
            "a worker process died while images were preprocessed",
            hint="if memory ran out, try fewer workers; it goes on where it stopped",
        ) from error
    except BaseException as error:
        # kill: a process that was stopped would get SIGTERM when it goes on only
        for worker in set(multiprocessing.active_children()) - before:
            worker.kill()
        if isinstance(error, Empty):
            raise Stalled(
                f"no image was preprocessed for {STALL_S:g} s",
                where=str(next(iter(waiting.values()))[1]),
                hint="a worker was stopped, or a disk does not answer; start again: it goes on where it stopped",
            ) from None
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


def _start_worker(make: Callable[[FileAndSource], None]) -> None:
    global _make  # noqa: PLW0603 - a worker process has nothing else to keep it in
    _make = make
    cv2.setNumThreads(1)  # there is a worker for every core
    live_as_child()  # a parent that was killed cannot end its workers: they would wait for work for ever


def _work(item: FileAndSource) -> None:
    _make(item)


_make: Callable[[FileAndSource], None]
