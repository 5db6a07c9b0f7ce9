"""A node's answers, until calls take them to the host."""

from __future__ import annotations

import ctypes
import threading
from collections import deque
from collections.abc import Sequence
from time import monotonic_ns

from harness.cluster.messages import HEAD, MOMENTS, ROW
from harness.pipeline.counters import COLUMNS, DONE
from harness.pipeline.postprocess import Answer, Failure, Postprocess
from harness.pipeline.pulse import Pulse

ID, ISSUED = COLUMNS.index("sample_id"), COLUMNS.index("issued_ns")
MOMENT_COLUMNS = tuple(COLUMNS.index(moment) for moment in MOMENTS)


class Outbox:
    """Every call that brings n samples takes n answers back, of whichever samples are done.

    So a call is held up by as many samples as it brought, never by a certain one, and the answers of all samples are
    taken when all calls have returned.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ready: deque[tuple[bytes, bytes]] = deque()
        self._waiting: deque[tuple[int, threading.Lock, list[tuple[bytes, bytes]]]] = deque()
        self._error: BaseException | None = None

    def put(self, rows: Sequence[bytes], records: Sequence[bytes]) -> None:
        """These samples are done: a `ROW` and an accuracy record of each."""
        with self._lock:
            self._ready.extend(zip(rows, records, strict=True))
            self._hand_out()

    def fail(self, error: BaseException) -> None:
        """There will be no more answers: every call raises this from now on."""
        with self._lock:
            self._error = self._error or error
            for _, ready, _ in self._waiting:
                ready.release()
            self._waiting.clear()

    def take(self, count: int, received_ns: int) -> bytes:
        """Waits for as many answers, and gives them as a reply.

        Args:
            received_ns: when the call came.

        Raises:
            BaseException: what `fail` was given.
        """
        answers: list[tuple[bytes, bytes]] = []
        ready = threading.Lock()
        ready.acquire()
        with self._lock:
            if self._error is None:
                self._waiting.append((count, ready, answers))
                self._hand_out()
            else:
                ready.release()
        ready.acquire()
        if len(answers) < count:
            assert self._error is not None
            raise self._error
        head = HEAD.pack(monotonic_ns() - received_ns, count)
        return b"".join([head, *(row for row, _ in answers), *(record for _, record in answers)])

    def _hand_out(self) -> None:
        while self._waiting and len(self._ready) >= self._waiting[0][0]:
            count, ready, answers = self._waiting.popleft()
            answers += [self._ready.popleft() for _ in range(count)]
            ready.release()


class Recorded:
    """A postprocess whose answers go to an outbox, with their times, as soon as they are recorded.

    It stands before the postprocess that does the work; what is not named here is that one's own.

    Args:
        pulse: of the node's sessions.
    """

    def __init__(self, postprocess: Postprocess, pulse: Pulse, sessions: int, outbox: Outbox) -> None:
        self._inner = postprocess
        self._outbox = outbox
        self._cells = pulse.cells()
        self._done_at = [pulse.row(session) + DONE for session in range(sessions)]
        self._seen = [0] * sessions
        self._records: dict[int, bytes] = {}
        self.mailbox = postprocess.mailbox
        self.beside, self.decoded = postprocess.beside, postprocess.decoded
        self.most_pending = postprocess.most_pending
        self.prepare, self.post, self.finish = postprocess.prepare, postprocess.post, postprocess.finish
        self.records, self.close = postprocess.records, postprocess.close

    @property
    def pending(self) -> int:
        """How many are posted and not collected."""
        return self._inner.pending

    def collect(self) -> tuple[Sequence[Answer], Sequence[Failure]]:
        """Takes what was done."""
        return self._inner.collect()

    def respond(self, answers: Sequence[Answer], *, to_nobody: bool = False) -> None:
        """Copies the accuracy records, which hold until `answered`."""
        for number, address, size in answers:
            self._records[number] = ctypes.string_at(address, size)

    def answered(self) -> None:
        """Records the samples, and puts their answers into the outbox."""
        self._inner.answered()
        rows: list[bytes] = []
        records: list[bytes] = []
        for session, (cell, seen) in enumerate(zip(self._done_at, self._seen, strict=True)):
            done = self._cells[cell]
            if done == seen:
                continue
            # a session has done one sample as a rule, which NumPy takes longer for than Python
            for sample in self._inner.records(session)[seen:done].tolist():
                content, issued = self._records.pop(sample[ID]), sample[ISSUED]
                moments = [sample[column] - issued for column in MOMENT_COLUMNS]
                rows.append(ROW.pack(sample[ID], session, len(content), *moments))
                records.append(content)
            self._seen[session] = done
        self._outbox.put(rows, records)
