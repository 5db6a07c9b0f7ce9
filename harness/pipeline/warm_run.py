"""Runs a session on the calling thread, which is awake and warm when the device is done."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import monotonic_ns

from harness.pipeline.mailbox import Mailbox
from harness.records import RawOutputs
from harness.sessions.protocol import AsynchronousSession, Completion, Tensor

WAKING_NS = 200_000
"""An idle processor wakes a thread as late as that."""
LATE_NS = 200_000
"""How long beyond the expected moment the thread stays awake."""
WORTH = 4
"""A device that works no longer than so many times what is done beforehand leaves no processor cold."""
REMEMBERED = 8
IDLE_S = 60.0


class WarmRun:
    """Like the session's own ``run``, of which the host's processors have nothing to do.

    After 12 ms of that a processor wakes a thread 150 µs late, and its caches have lost the decoder's code, tables and
    scratch. So shortly before the device is expected to be done, as early as in the fastest of the last few runs,
    ``warm`` is called, and from then on the thread looks at the clock instead of sleeping. That costs some 0.4 ms of
    one processor's time an image.

    Args:
        warm: goes the way that the outputs will go, without them.
    """

    def __init__(self, session: AsynchronousSession, mailbox: Mailbox, warm: Callable[[], None]) -> None:
        self._session = session
        self._mailbox = mailbox
        self._warm = warm
        self._warm_ns = 0
        self._took_ns: deque[int] = deque(maxlen=REMEMBERED)

    def __call__(self, images: Tensor) -> RawOutputs:
        """The outputs of one image.

        Raises:
            Exception: as the session's `submit`, or the one with which the inference failed.
        """
        began_ns = monotonic_ns()
        self._session.submit(0, images, self._mailbox)
        outputs = self._wait(began_ns).outputs
        self._took_ns.append(monotonic_ns() - began_ns)
        if isinstance(outputs, BaseException):
            raise outputs
        return outputs

    def _wait(self, began_ns: int) -> Completion:
        messages: list[Completion] = []
        took_ns = min(self._took_ns, default=0)
        lead_ns = WAKING_NS + 2 * self._warm_ns
        if took_ns > WORTH * lead_ns:
            expected_ns = began_ns + took_ns
            messages = self._mailbox.get((expected_ns - lead_ns - monotonic_ns()) / 1e9, 0)
            if not messages:
                warming_ns = monotonic_ns()
                self._warm()
                warmed_ns = monotonic_ns()
                self._warm_ns = warmed_ns - warming_ns
                messages = self._mailbox.get((expected_ns + LATE_NS - warmed_ns) / 1e9, 0, True)
        while not messages:
            messages = self._mailbox.get(IDLE_S, 0)
        return messages[0]
