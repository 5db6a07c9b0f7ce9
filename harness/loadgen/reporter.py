"""The child's way to its parent, and the end of the process where something fails."""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import NoReturn

from harness.errors import HarnessError, RunFailed, SampleFailed, named_line
from harness.loadgen.messages import Failed, Message
from harness.loadgen.plan import Plan
from harness.pipeline.lane import LaneFailed
from harness.system_errors import NEXT_STEPS

OUTPUT_LOG = "child.log"


class Reporter:
    """Tells the parent; the first failure ends the process."""

    def __init__(self, plan: Plan, parent: Connection) -> None:
        self._plan = plan
        self._parent = parent
        self._failing = threading.Lock()
        self._sending = threading.Lock()

    def send(self, message: Message) -> None:
        """Sends a message, one at a time whichever thread calls."""
        with self._sending:
            self._parent.send(message)

    def fail(self, error: BaseException) -> NoReturn:
        """Sends the error and ends the process at once."""
        self._failing.acquire()  # for good: later failures are echoes of this one
        faulthandler.disable()
        self.send(Failed(self._ours(error)))
        self._parent.close()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(RunFailed.exit_status)

    def guard(self, callback: Callable[[Sequence[int]], None]) -> Callable[[Sequence[int]], None]:
        """The callback, made safe for LoadGen to call."""

        def guarded(indices: Sequence[int]) -> None:
            try:
                callback(indices)
            except BaseException as error:  # noqa: BLE001 - LoadGen aborts the process when a callback raises
                self.fail(error)

        return guarded

    def _ours(self, error: BaseException) -> HarnessError:
        if isinstance(error, LaneFailed):
            name = self._plan.sample_names[error.sample_index]
            return SampleFailed(
                str(error),
                where=f"sample {error.sample_index} ({name}) on {error.slot.name} in {self._plan.title}",
                hint=f"the child's own output is in {self._plan.folder / OUTPUT_LOG}",
            )
        if isinstance(error, HarnessError):
            return error
        if isinstance(error, OSError) and error.errno in NEXT_STEPS:
            where = os.fsdecode(error.filename or self._plan.folder)
            return RunFailed(f"{self._plan.title}: {error.strerror}", where=where, hint=NEXT_STEPS[error.errno])
        with suppress(OSError, ValueError):  # a full disk must not hide what it caused
            traceback.print_exception(error)
        return RunFailed(named_line(error), where=self._plan.title, hint=f"see {self._plan.folder / OUTPUT_LOG}")


def log_output(plan: Plan) -> None:
    """Sends what libraries print to a file, so that a crash leaves its last words and the terminal stays ours."""
    log = os.open(plan.folder / OUTPUT_LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    faulthandler.enable()
