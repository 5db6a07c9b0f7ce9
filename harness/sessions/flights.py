"""Images on their way through an asynchronous session, for checks: submitted together, their completions collected."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from time import monotonic_ns

from harness.records import RawOutput
from harness.sessions.expectations import Broken, Image, need
from harness.sessions.protocol import AsynchronousSession, Completion, Completions

COMPLETED_S = 60.0
"""How long a check waits for a completion."""


class Collected(Completions):
    """Keeps completions until they are asked for."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Completion] = SimpleQueue()

    def put(self, completion: Completion) -> None:
        """See `Completions.put`."""
        self._queue.put(completion)

    def put_at(self, due_ns: int, completion: Completion) -> None:
        """See `Completions.put_at`."""
        threading.Timer(max(0.0, (due_ns - monotonic_ns()) / 1e9), self.put, (completion,)).start()

    def get(self, timeout_s: float = COMPLETED_S) -> Completion:
        """The next completion.

        Raises:
            Broken: none came in time.
        """
        try:
            return self._queue.get(timeout=timeout_s)
        except Empty:
            raise Broken(f"no completion for {timeout_s:g} s") from None

    def empty(self) -> bool:
        """Whether there is none now."""
        return self._queue.empty()


def submitted_together(session: AsynchronousSession, images: Sequence[Image]) -> dict[int, Completion]:
    """Submits the images with the tags 0, 1, …, no more than may be in flight; gives the completions by tag.

    Raises:
        Broken: one is missing, comes twice, or was not submitted.
    """
    completions = Collected()
    for tag, image in enumerate(images):
        session.submit(tag, image, completions)
    completed: dict[int, Completion] = {}
    for _ in images:
        completion = completions.get()
        need(0 <= completion.tag < len(images), f"a completion has the tag {completion.tag}, which was not submitted")
        need(completion.tag not in completed, f"the image {completion.tag} was completed twice")
        completed[completion.tag] = completion
    need(completions.empty(), "more completions than images")
    return completed


def outputs_of(completion: Completion) -> list[RawOutput]:
    """The outputs.

    Raises:
        Exception: the one with which the inference failed.
    """
    if isinstance(completion.outputs, Exception):
        raise completion.outputs
    return completion.outputs
