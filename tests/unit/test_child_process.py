"""Work in a process of its own ends as it should: with its result, its error, its death, or Ctrl-C."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for_any
from typing import Any

import pytest

from harness import child_process
from harness.child_process import ChildDied, ChildProcess, Say, enter_in_child, run_in_child
from harness.errors import ModelError, RunFailed, Stalled


def double(value: int, say: Say) -> int:
    say("doubling")
    return 2 * value


def refuse(say: Say) -> None:
    raise ModelError("not a model", where="a.onnx", hint="another")


def die(say: Say) -> None:
    os._exit(7)


def sleep(say: Say) -> None:
    say("asleep")
    time.sleep(60)


def test_the_result_and_what_was_said_arrive() -> None:
    said: list[str] = []
    assert run_in_child(double, 21, say=said.append) == 42
    assert said == ["doubling"]
    assert not multiprocessing.active_children()


def test_an_error_of_ours_arrives_whole() -> None:
    with pytest.raises(ModelError) as caught:
        run_in_child(refuse)
    assert str(caught.value) == "a.onnx: not a model\n  next: another"


def test_a_death_is_told() -> None:
    with pytest.raises(RunFailed, match=r"the process for die died \(exit status 7\)"):
        run_in_child(die)


def interrupt_oneself(say: Say) -> None:
    raise KeyboardInterrupt("as asked")


def test_whatever_it_raises_arrives_in_words() -> None:
    with pytest.raises(RunFailed, match="KeyboardInterrupt: as asked"):
        run_in_child(interrupt_oneself)


@contextmanager
def held(entered: float, left: str) -> Iterator[str]:
    time.sleep(entered)
    yield "here"
    if left == "hangs":
        time.sleep(60)
    if left == "dies":
        os._exit(7)
    raise OSError("the driver is busy")


@pytest.mark.parametrize("left", ["hangs", "dies", "raises"])
def test_how_something_is_left_costs_not_its_value(
    left: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(child_process, "CLOSE_S", 0.3)
    assert enter_in_child(held, 0, left, limit_s=60) == "here"
    assert not multiprocessing.active_children()
    assert capfd.readouterr().err == ""


def test_it_may_not_take_for_ever() -> None:
    with pytest.raises(Stalled, match=r"the process for held gave no answer for 0\.5 s"):
        enter_in_child(held, 60, "hangs", limit_s=0.5)
    assert not multiprocessing.active_children()


def test_ctrl_c_ends_it_at_once() -> None:
    def interrupt(_: str) -> None:
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_in_child(sleep, say=interrupt)
    assert time.monotonic() - began < 50  # the child sleeps for a minute
    assert not multiprocessing.active_children()


def terminate(say: Say) -> None:
    say("about to be ended")
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)


def test_the_signal_that_ended_it_is_on_its_way_to_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_process, "OWN_SIGNAL_S", 60)  # it ends the waiting

    def interrupt(_: str) -> None:
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()

    with pytest.raises(KeyboardInterrupt):
        run_in_child(terminate, say=interrupt)


def test_a_child_that_alone_was_ended_is_told_as_a_death() -> None:
    with pytest.raises(RunFailed, match=r"died \(signal 15\)"):
        run_in_child(terminate)


def stubborn(say: Say) -> None:
    raise ZeroDivisionError("by a third party")


def test_an_error_of_no_kind_of_ours_says_where_it_arose() -> None:
    with pytest.raises(RunFailed, match=r"test_child_process.py, line \d+: ZeroDivisionError: by a third"):
        run_in_child(stubborn)


class DiesWhenRead:
    """Its pickle ends whatever process reads it."""

    def __init__(self, exit_status: int) -> None:
        self.exit_status = exit_status

    def __reduce__(self) -> tuple[object, ...]:
        return os._exit, (self.exit_status,)


class CannotBeRead:
    def __reduce__(self) -> tuple[object, ...]:
        return __import__, ("no_such_library",)


def wait_for_ever(lot: bytes, parent: Connection) -> None:
    threading.Event().wait()


A_LOT = bytes(1 << 20)
"""Far more than the 64 kB that a pipe holds."""


def test_a_child_that_dies_before_it_has_read_its_work_is_a_death_at_once() -> None:
    began = time.monotonic()
    with pytest.raises(RunFailed, match=r"died \(exit status 3\)"):
        run_in_child(double, (DiesWhenRead(3), A_LOT))
    assert time.monotonic() - began < 120


def test_a_child_killed_at_its_birth_is_a_death_at_once() -> None:
    child = ChildProcess(wait_for_ever, (A_LOT,))
    [process] = multiprocessing.active_children()
    process.kill()
    with pytest.raises(ChildDied) as caught:
        child.receive()
    assert caught.value.exit_status == -signal.SIGKILL
    assert child.end() == -signal.SIGKILL
    assert child.end() == -signal.SIGKILL


def test_a_child_that_stops_before_it_has_read_its_work_does_not_stop_us() -> None:
    child = ChildProcess(wait_for_ever, (A_LOT,))
    [process] = multiprocessing.active_children()
    assert process.pid is not None
    os.kill(process.pid, signal.SIGSTOP)
    assert child.receive(0.3) is None
    assert child.end() == -signal.SIGKILL


def test_a_child_whose_libraries_cannot_be_imported_says_so() -> None:
    with pytest.raises(RunFailed, match="cannot begin: ModuleNotFoundError: No module named 'no_such_library'"):
        run_in_child(double, CannotBeRead())


def say_and_end(parent: Connection) -> None:
    parent.send("the last word")


def test_the_last_message_of_a_child_that_ends_meanwhile_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    child = ChildProcess(say_and_end, ())

    def late(watched: list[Any], timeout_s: float | None) -> list[Any]:
        """As if the message came after it was looked for, and the end before that was looked for."""
        wait_for_any(watched[1:])
        return watched[1:]

    monkeypatch.setattr(child_process, "wait", late)
    assert child.receive() == "the last word"
    with pytest.raises(ChildDied):
        child.receive()
    assert child.end() == 0
