"""Every signal in every phase of a run, at seeded moments: it ends, says how, leaves nothing, and can be resumed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.faults.command import Harness, children_of

PHASES = ("start", "opening sessions", "calibrating", "running", "accuracy", "mAP", "Report")
INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
CASES = [(number, phase, seed) for number in INTERRUPTS for phase in PHASES for seed in range(2)]


def events(harness: Harness) -> list[dict[str, object]]:
    found = []
    for line in harness.written("err").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:  # the last one is being written
            continue
    return found


def reached(harness: Harness, phase: str) -> bool:
    """Whether the run is in the phase, by its own progress lines."""
    for event in events(harness):
        words = [str(value) for value in event.values()]
        if phase == "start" and event.get("event") == "start":
            return True
        if phase == "accuracy" and any("accuracy" in word for word in words):
            return True
        if any(phase in word for word in words):
            return True
    return False


def start_and_reach(harness: Harness, phase: str, seed: int) -> subprocess.Popen[str]:
    process = harness.start(harness.argv("run", "c.yaml", "--output", "r", "--json-progress"))
    end = time.monotonic() + 120
    while not reached(harness, phase) and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(random.Random(f"{phase} {seed}").uniform(0, 0.4))
    return process


def assert_resumes(harness: Harness) -> None:
    done = harness.run("run", "c.yaml", "--output", "r", "--resume", "--quiet")
    assert done.status == 0, done.err
    assert harness.manifest()["status"] == "complete"
    assert (harness.folder / "r/report.html").is_file()
    assert not list((harness.folder / "r").rglob(".*.tmp"))


def quick(case: tuple[signal.Signals, str, int]) -> object:
    number, phase, seed = case
    marks = [pytest.mark.quick_fault] if (phase, seed) == ("running", 0) else []
    return pytest.param(*case, id=f"{number.name}-{phase}-{seed}", marks=marks)


@pytest.mark.parametrize(("number", "phase", "seed"), [quick(case) for case in CASES])
def test_a_run_that_is_interrupted(harness: Harness, number: signal.Signals, phase: str, seed: int) -> None:
    process = start_and_reach(harness, phase, seed)
    if process.poll() is None:
        os.kill(process.pid, number)
    done = harness.wait(process)
    manifest = harness.manifest()
    if done.status == 0:  # it was over before
        assert manifest["status"] == "complete"
        return
    assert done.status == 130, done.err
    assert "interrupted" in done.err
    if manifest and manifest["status"] != "complete":  # else: before it had a folder, or while the report was made
        assert (manifest["status"], manifest["reason"]) == ("failed", "interrupted")
    if manifest:
        assert_resumes(harness)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("phase", ["start", "running", "accuracy", "Report"])
def test_a_run_that_is_killed(harness: Harness, phase: str, seed: int) -> None:
    process = start_and_reach(harness, phase, seed)
    process.kill()
    done = harness.wait(process)
    assert done.status in (0, -signal.SIGKILL)
    if harness.manifest():
        assert_resumes(harness)


@pytest.mark.parametrize("phase", ["opening sessions", "calibrating", "running", "accuracy"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_the_death_of_the_tests_process(harness: Harness, number: signal.Signals, phase: str) -> None:
    process = start_and_reach(harness, phase, 0)
    for child in children_of(process.pid) if process.poll() is None else []:
        child.send_signal(number)
    done = harness.wait(process)
    assert done.status in (0, 4), done.err
    if done.status == 4:
        assert harness.manifest()["status"] == "failed"
        assert "died" in str(harness.manifest()["reason"])
        assert_resumes(harness)


@pytest.mark.quick_fault
def test_under_nohup_a_lost_terminal_is_nothing(harness: Harness) -> None:
    process = harness.start(["nohup", *harness.argv("run", "c.yaml", "--output", "r", "--json-progress")])
    while not reached(harness, "running") and process.poll() is None:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGHUP)
    assert harness.wait(process).status == 0
    assert harness.manifest()["status"] == "complete"


def test_the_whole_group_is_hung_up(harness: Harness) -> None:
    process = start_and_reach(harness, "running", 1)
    os.killpg(process.pid, signal.SIGHUP)
    assert harness.wait(process).status == 130
    assert harness.manifest()["reason"] == "interrupted"


@pytest.mark.parametrize("number", INTERRUPTS)
def test_signals_that_rain(harness: Harness, number: signal.Signals) -> None:
    process = start_and_reach(harness, "running", 2)
    for _ in range(20):
        if process.poll() is None:
            os.kill(process.pid, number)
        time.sleep(0.005)
    done = harness.wait(process)
    assert done.status in (130, -number), done.err
    assert not list(Path(harness.folder).rglob(".*.tmp"))
