"""Two of the same at the same time: one does the work, the other says so or takes what is done."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.faults.command import Done, Harness

FLOCK_FAILS = """
#include <errno.h>
#include <stdlib.h>
int flock(int descriptor, int operation) { errno = atoi(getenv("FLOCK_ERROR")); return -1; }
"""


COMPLETE = (0, 1)
"""Status of a run that came to its end: a short test that others disturb may be INVALID."""


def at_once(harness: Harness, count: int, *arguments: str, **environment: str) -> list[Done]:
    """The same command several times at the same moment."""
    runners = []
    for number in range(count):
        folder = harness.folder / f"terminal-{number}"
        folder.mkdir()
        runner = Harness(folder, harness.cache, {**harness.environment, **environment})
        runners.append((runner, runner.start(runner.argv(*arguments), cwd=harness.folder)))
    return [runner.wait(process) for runner, process in runners]


@pytest.mark.parametrize("count", [pytest.param(2, marks=pytest.mark.quick_fault), 4])
def test_runs_into_one_new_folder(harness: Harness, count: int) -> None:
    ended = at_once(harness, count, "run", "c.yaml", "--output", "out/same")
    complete, *refused = sorted(done.status for done in ended)
    assert complete in COMPLETE and refused == [2] * (count - 1), [done.err for done in ended]
    assert sum("another process is at this run" in done.err for done in ended) == count - 1
    assert harness.manifest("out/same")["status"] == "complete"


def test_runs_without_a_name_in_one_second(harness: Harness) -> None:
    ended = at_once(harness, 3, "run", "c.yaml", "--mode", "performance", "--scenario", "offline")
    assert all(done.status in COMPLETE for done in ended), [done.err for done in ended]
    assert len(list((harness.folder / "results").iterdir())) == 3


def test_first_runs_with_an_empty_cache(harness: Harness) -> None:
    harness.cache = harness.folder / "empty"
    names = [f"r{number}" for number in range(3)]
    runners = []
    for name in names:
        (harness.folder / name).mkdir()
        (harness.folder / name / "c.yaml").write_text((harness.folder / "c.yaml").read_text())
        runner = Harness(harness.folder / name, harness.cache)
        runners.append((runner, runner.start(runner.argv("run", "c.yaml", "--output", "r"))))
    ended = [runner.wait(process) for runner, process in runners]
    assert all(done.status in COMPLETE for done in ended), [done.err for done in ended]


@pytest.mark.parametrize("name", ["ENOLCK", "EOPNOTSUPP", "EINVAL"])
def test_a_file_system_without_locks(harness: Harness, name: str) -> None:
    import errno
    import shutil
    import subprocess

    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    source, library = harness.folder / "flock.c", harness.folder / "flock.so"
    source.write_text(FLOCK_FAILS)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    failing = {"LD_PRELOAD": str(library), "FLOCK_ERROR": str(getattr(errno, name))}
    ended = at_once(harness, 2, "run", "c.yaml", "--output", "same", **failing)
    complete, refused = sorted(done.status for done in ended)
    assert complete in COMPLETE and refused == 2, [done.err for done in ended]
    assert [path.name for path in harness.folder.glob(".*.lock")] == []


def test_a_report_while_its_run_goes_on_and_a_run_while_it_is_stopped(harness: Harness) -> None:
    process = harness.start(harness.argv("run", "c.yaml", "--output", "r"))
    while not harness.manifest():
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGSTOP)
    other = Harness(harness.folder / "other", harness.cache)
    other.folder.mkdir()
    refused = other.run("run", "../c.yaml", "--output", "../r", "--resume")
    assert refused.status == 2
    assert "another process is at this run" in refused.err
    os.kill(process.pid, signal.SIGCONT)
    assert harness.wait(process).status in COMPLETE


@pytest.mark.quick_fault
def test_a_typo_leaves_every_byte_of_a_finished_run(harness: Harness) -> None:
    assert harness.run("run", "c.yaml", "--output", "r").status == 0
    run = harness.folder / "r"
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    mistakes = (
        ("--images", "nowhere", "--annotations", "typo.json"),
        ("--images", "nowhere", "--annotations", "typo.json", "--overwrite"),
        ("--mode", "performance"),
        ("--backend", "nope", "--overwrite"),
        ("--model", "nowhere.onnx", "--backend", "onnxruntime", "--overwrite"),
    )
    for mistake in mistakes:
        assert harness.run("run", "c.yaml", "--output", "r", *mistake).status in (2, 3)
        assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    done = harness.run("run", "c.yaml", "--output", "r", "--mode", "performance", "--overwrite")
    assert done.status == 0, done.err
    assert not (run / "offline/accuracy").exists()
    assert not Path(run / ".earlier").exists()
