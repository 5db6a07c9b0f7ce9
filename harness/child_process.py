"""Work in a process of its own: what may hang or crash in a library must not take Ctrl-C, or us, with it."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from typing import Any, TypeVar, cast

from harness.errors import HarnessError, RunFailed, Stalled, named_line

T = TypeVar("T")
Say = Callable[[str], None]

OWN_SIGNAL_S = 0.5
CLOSE_S = 5.0
"""For a child to end when its result is here."""


class ChildDied(Exception):
    """The child ended without the message that was waited for.

    Attributes:
        exit_status: of the process; negative: the signal that ended it; None: it has not ended yet.
    """

    def __init__(self, exit_status: int | None) -> None:
        super().__init__(f"exit status {exit_status}")
        self.exit_status = exit_status


class ChildProcess:
    """A spawned process at ``function(*args, parent, *shared)``, where ``parent`` is a connection for its messages.

    The arguments may be of any size. They travel through a pipe of their own, written by a thread, so that a child that
    dies or stops before it has read them keeps nobody waiting: `multiprocessing` itself would write them while the
    process starts, into a pipe whose other end it holds, and wait for ever once the pipe's 64 kB are full.

    Args:
        function, args: picklable; the child imports what they need.
        shared: what only a process that is just being started can inherit, such as shared memory.
        name: of the process.
    """

    def __init__(
        self,
        function: Callable[..., None],
        args: tuple[Any, ...],
        shared: tuple[Any, ...] = (),
        name: str | None = None,
    ) -> None:
        self._ended = False
        self._exit_status: int | None = None
        work = ForkingPickler.dumps((function, args))
        context = get_context("spawn")
        work_reader, work_writer = context.Pipe(duplex=False)
        self._messages, message_writer = context.Pipe(duplex=False)
        self._process = context.Process(
            target=_begin, args=(work_reader, message_writer, shared), name=name, daemon=True
        )
        try:
            self._process.start()
        except BaseException:
            work_writer.close()
            self._messages.close()
            raise
        finally:
            work_reader.close()
            message_writer.close()
        self._handing_over = threading.Thread(target=_hand_over, args=(work_writer, work), daemon=True)
        self._handing_over.start()

    def receive(self, timeout_s: float | None = None) -> Any | None:
        """The child's next message; None when there was none for ``timeout_s``.

        Raises:
            ChildDied: there will be no other.
            HarnessError: the child could not begin.
        """
        ready = wait([self._messages, self._process.sentinel], timeout_s)
        # a child that ended while they were looked at one after the other may have sent its last message between
        if self._messages in ready or (ready and self._messages.poll()):
            try:
                message = self._messages.recv()
            except (EOFError, OSError):  # OSError: it died in the middle of a message
                raise ChildDied(exit_status(self._process)) from None
            if isinstance(message, _CannotBegin):
                raise message.error
            return message
        if ready:
            raise ChildDied(exit_status(self._process))
        return None

    def end(self, patience_s: float = 0) -> int | None:
        """Waits for the child's own end for ``patience_s``, then kills it; gives its exit status."""
        if not self._ended:
            self._ended = True
            self._process.join(patience_s)
            if self._process.is_alive():
                self._process.kill()
            self._process.join()
            self._exit_status = self._process.exitcode
            self._handing_over.join()
            self._process.close()
            self._messages.close()
        return self._exit_status


def run_in_child(
    function: Callable[..., T], *args: Any, say: Say = lambda text: None, limit_s: float | None = None
) -> T:
    """Gives ``function(*args, say)``, run in a child process that is gone when this returns or raises.

    Args:
        function, args: picklable. The function's last argument is a `Say` of the child's own; its texts arrive at
            ``say``.
        limit_s: it may not take longer; none: it may take for ever.

    Raises:
        HarnessError: what the function raised.
        RunFailed: the process died.
        Stalled: it took longer.
    """
    return cast(T, _result(ChildProcess(_run, (function, args)), function.__name__, say, limit_s))


def enter_in_child(function: Callable[..., AbstractContextManager[T]], *args: Any, limit_s: float) -> T:
    """Gives what ``with function(*args)`` enters, in a child process that is gone when this returns or raises.

    The child leaves it when its value is here: whether that fails or hangs is no longer of interest.

    Args:
        function, args: picklable, and so is the value.
        limit_s: it may not take longer.

    Raises:
        HarnessError: what the function raised.
        RunFailed: the process died.
        Stalled: it took longer.
    """
    return cast(T, _result(ChildProcess(_enter, (function, args)), function.__name__, lambda text: None, limit_s))


def _result(child: ChildProcess, name: str, say: Say, limit_s: float | None = None) -> Any:
    deadline = None if limit_s is None else time.monotonic() + limit_s
    try:
        while True:
            message = child.receive(None if deadline is None else max(0, deadline - time.monotonic()))
            if isinstance(message, _Returned):
                child.end(patience_s=CLOSE_S)
                return message.value
            if isinstance(message, HarnessError):
                raise message
            if message is None:
                raise Stalled(f"the process for {name} gave no answer for {limit_s:g} s")
            say(str(message))
    except ChildDied as death:
        status = death.exit_status
        how = f"signal {-status}" if status is not None and status < 0 else f"exit status {status}"
        raise RunFailed(f"the process for {name} died ({how})") from None
    finally:
        child.end()


def exit_status(process: BaseProcess) -> int | None:
    """The exit status of a child that is at its end; negative: the signal that ended it.

    Who ends a whole group of processes one by one, as service managers do, may reach the child before us: then this is
    where our own signal finds us, and the run ends as interrupted.
    """
    process.join(5)  # it comes a moment after the end of the child's pipes
    if process.exitcode == -signal.SIGTERM:
        time.sleep(OWN_SIGNAL_S)
    return process.exitcode


def live_as_child() -> None:
    """Leaves Ctrl-C and a lost terminal to the parent; ends this process when the parent is gone, whatever ended it."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="parent watch", daemon=True).start()


@dataclass(frozen=True)
class _Returned:
    value: Any


@dataclass(frozen=True)
class _CannotBegin:
    error: HarnessError


def _hand_over(writer: Connection, work: memoryview) -> None:
    with contextlib.suppress(OSError), writer:  # OSError: the child is gone, which whoever receives finds out
        writer.send_bytes(work)


def _begin(work: Connection, parent: Connection, shared: tuple[Any, ...]) -> None:
    """The child's first steps."""
    live_as_child()
    try:
        function, args = work.recv()
    except EOFError:
        return  # the parent died
    except Exception as error:  # noqa: BLE001 - the process's edge: a module of ours or a library cannot be imported
        text = f"the child process cannot begin: {named_line(error)}"
        parent.send(_CannotBegin(RunFailed(text, hint="check the installation: `ssd-harness doctor system`")))
        return
    finally:
        work.close()
    function(*args, parent, *shared)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(RunFailed.exit_status)


def _run(function: Callable[..., Any], args: tuple[Any, ...], parent: Connection) -> None:
    try:
        result = function(*args, parent.send)
    except BaseException as error:  # noqa: BLE001 - the process's edge
        parent.send(_ours(error))
    else:
        parent.send(_Returned(result))


def _enter(function: Callable[..., AbstractContextManager[Any]], args: tuple[Any, ...], parent: Connection) -> None:
    returned = False
    try:
        with function(*args) as result:
            parent.send(_Returned(result))
            returned = True
    except BaseException as error:  # noqa: BLE001 - the process's edge
        if not returned:
            parent.send(_ours(error))


def _ours(error: BaseException) -> HarnessError:
    if isinstance(error, HarnessError):
        return error
    place = traceback.extract_tb(error.__traceback__)[-1]
    hint = "an error of the backend or of the harness: please report it with this line"
    return RunFailed(named_line(error), where=f"{place.filename}, line {place.lineno}", hint=hint)
