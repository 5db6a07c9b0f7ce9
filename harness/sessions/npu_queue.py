"""furiosa-runtime's queue, kept full: images go in by its Submitter, a thread waits at its Receiver."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from time import monotonic_ns
from typing import Any

import numpy.typing as npt

from harness.errors import RunFailed, first_line

LOOK_S = 0.25
"""How often images that take too long are looked for."""

Arrays = Sequence[npt.NDArray[Any]]
Done = Callable[[Arrays | RunFailed, int, int], None]
"""Told of an image's outputs or its failure, and of the ns at which the device began and ended."""


@dataclass(frozen=True)
class _Submitted:
    image: npt.NDArray[Any]  # the runtime reads it in place until it is done
    done: Done
    submitted_ns: int


class NpuQueue:
    """The queue of one session.

    Args:
        submitter, receiver: the runtime's; closed with the queue.
        runtime_error: the base of the exceptions that the runtime raises.
        timeout_s: an image that takes longer has failed.
    """

    def __init__(self, submitter: Any, receiver: Any, runtime_error: type[Exception], timeout_s: float) -> None:
        self.model = submitter.model
        self._submitter, self._receiver = submitter, receiver
        self._runtime_error = runtime_error
        self._timeout_s = timeout_s
        self._numbers = count()
        self._submitted: dict[int, _Submitted] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._receive, name="NPU queue", daemon=True)
        self._thread.start()

    def submit(self, image: npt.NDArray[Any], done: Done) -> None:
        """Begins an inference; ``done`` is called once, from another thread.

        Raises:
            RunFailed: the runtime does not take the image.
        """
        number = next(self._numbers)
        self._submitted[number] = _Submitted(image, done, monotonic_ns())
        try:
            self._submitter.submit([image], number)
        except self._runtime_error as error:
            del self._submitted[number]
            raise RunFailed(f"furiosa-runtime failed ({first_line(error)})") from error

    def run(self, image: npt.NDArray[Any]) -> Arrays:
        """Inference of one image.

        Raises:
            RunFailed: the runtime failed, or gave no answer in time.
        """
        found: list[Arrays | RunFailed] = []
        arrived = threading.Event()

        def keep(outputs: Arrays | RunFailed, began_ns: int, ended_ns: int) -> None:
            found.append(outputs)
            arrived.set()

        self.submit(image, keep)
        arrived.wait()
        if isinstance(found[0], RunFailed):
            raise found[0]
        return found[0]

    def close(self) -> None:
        """Gives the NPU back."""
        self._closing.set()
        self._submitter.close()
        self._receiver.close()
        self._thread.join()

    def _receive(self) -> None:
        wait_s = min(LOOK_S, self._timeout_s / 4)
        ended_ns = 0
        while not self._closing.is_set():
            try:
                number, outputs = self._receiver.recv(timeout=wait_s)
            except self._runtime_error as error:
                if type(error).__name__ != "QueueWaitTimeout":
                    self._fail(error, older_than_ns=0)  # the runtime does not say which of them failed
                elif self._submitted:
                    self._fail(error, older_than_ns=int(self._timeout_s * 1e9))
                continue
            began_ns, ended_ns = ended_ns, monotonic_ns()
            flight = self._submitted.pop(number, None)
            if flight is not None:  # else one that was given up
                # it begins when it is submitted, or when the device is done with the one before it
                flight.done(outputs, max(flight.submitted_ns, began_ns), ended_ns)

    def _fail(self, error: Exception, older_than_ns: int) -> None:
        now_ns = monotonic_ns()
        for number, flight in list(self._submitted.items()):
            if now_ns - flight.submitted_ns >= older_than_ns:
                del self._submitted[number]
                failure = RunFailed(f"furiosa-runtime failed ({first_line(error)})")
                flight.done(failure, flight.submitted_ns, now_ns)
