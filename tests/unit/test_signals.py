"""SIGTERM and SIGHUP end a command as Ctrl-C does, and nothing interrupts the writing of its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from harness.signals import signals_interrupt, uninterrupted


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_a_keyboard_interrupt_and_afterwards_what_it_was(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), signals_interrupt():
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) == before


def test_what_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals_interrupt():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_end_is_written_without_interruption() -> None:
    with signals_interrupt(), uninterrupted():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_after_the_work_does_not_change_its_status(number: signal.Signals) -> None:
    kill = f"os.kill(os.getpid(), {int(number)})"
    at_once = f"import os; from harness.signals import end_with; end_with(3); {kill}"
    assert subprocess.run([sys.executable, "-c", at_once], check=False).returncode == 3
    at_the_very_end = f"""
import os, sys
from harness.signals import end_with

class Last:
    def __del__(self, kill=os.kill, pid=os.getpid()):
        kill(pid, {int(number)})

sys.last = Last()
end_with(3)
sys.exit(3)
"""
    assert subprocess.run([sys.executable, "-c", at_the_very_end], check=False).returncode == 3
