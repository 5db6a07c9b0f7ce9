"""A command of the harness in a process group of its own, and what is left of it afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 150
"""No command may take longer: the longest takes some seconds on a quiet machine."""
GONE_WITHIN_S = 20
"""By then every process of a command has to be gone: a child that is still importing notices its end a little late."""

CONFIG = """\
name: fault
scenarios: [single_stream, offline]
dataset: { synthetic: { images: 8, seed: 2017 } }
backend: { name: simulated, warmup: 1, options: { latency_ms: 2 } }
tests:
  single_stream: { min_duration_s: 0.8, min_queries: 64 }
  multi_stream: { min_duration_s: 0.5, min_queries: 662 }
  server: { min_duration_s: 0.5, min_queries: 64, target_qps: 60 }
  offline: { min_duration_s: 0.8, min_queries: 64, expected_qps: 1500 }
watchdog_s: 10
"""


@dataclass(frozen=True)
class Done:
    """How a command ended: its exit status (negative: the signal) and what it wrote."""

    status: int
    out: str
    err: str


@dataclass
class Harness:
    """Runs commands in a folder, with a cache; every one has to end, and to leave no process behind."""

    folder: Path
    cache: Path
    environment: dict[str, str] = field(default_factory=dict)

    def argv(self, *arguments: object) -> list[str]:
        """The command line of a command."""
        return [sys.executable, "-m", "harness", *map(str, arguments)]

    def start(self, argv: Sequence[str], **popen: Any) -> subprocess.Popen[str]:
        """Starts a program in a session of its own; its output goes to ``out`` and ``err`` unless it is given."""
        environment = {
            **os.environ,
            "SSD_HARNESS_CACHE": str(self.cache),
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "",
            **self.environment,
        }
        environment.pop("COVERAGE_PROCESS_START", None)
        with (self.folder / "out").open("wb") as out, (self.folder / "err").open("wb") as err:
            given: dict[str, Any] = {
                "stdout": out,
                "stderr": err,
                "cwd": self.folder,
                "stdin": subprocess.DEVNULL,
            } | popen
            return subprocess.Popen(argv, env=environment, start_new_session=True, text=True, **given)

    def wait(self, process: subprocess.Popen[str]) -> Done:
        """Waits for its end and for the end of its children."""
        try:
            status = process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise AssertionError(f"it hung; it wrote:\n{self.written('err')}") from None
        left = self.left_of(process.pid)
        for stray in left:
            os.kill(stray, signal.SIGKILL)
        assert not left, f"processes left: {left}"
        return Done(status, self.written("out"), self.written("err"))

    def run(self, *arguments: object, **popen: Any) -> Done:
        """A command from its start to its end."""
        return self.wait(self.start(self.argv(*arguments), **popen))

    def shell(self, line: str) -> Done:
        """A line of bash, in which ``$H`` is the command of the harness; the status is the line's."""
        self.environment["H"] = " ".join(self.argv())
        return self.wait(self.start(["bash", "-c", line]))

    def written(self, name: str) -> str:
        """What ``out`` or ``err`` holds."""
        path = self.folder / name
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""

    def left_of(self, session: int) -> list[int]:
        """The processes of the session that do not end in time."""
        end = time.monotonic() + GONE_WITHIN_S
        while time.monotonic() < end:
            alive = [process.pid for process in psutil.process_iter() if _in_session(process, session)]
            if not alive:
                return []
            time.sleep(0.1)
        return alive

    def manifest(self, name: str = "r") -> dict[str, Any]:
        """The manifest of a run; empty if there is none."""
        path = self.folder / name / "manifest.json"
        data: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
        return data


def is_clear_error(done: Done, *statuses: int) -> bool:
    """Whether the command ended with one of the statuses and one message of what, where and next, no traceback."""
    lines = [line for line in done.err.splitlines() if line.startswith("error: ")]
    clear = len(lines) == 1 and "Traceback" not in done.err and "Traceback" not in done.out
    assert done.status in statuses, f"status {done.status}\n{done.err}"
    assert clear, done.err
    return True


def children_of(pid: int) -> list[psutil.Process]:
    """The test's process and its like: children that are not the resource tracker."""
    with_lines = [(child, " ".join(child.cmdline())) for child in psutil.Process(pid).children()]
    return [child for child, line in with_lines if "resource_tracker" not in line]


def _in_session(process: psutil.Process, session: int) -> bool:
    try:
        return os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False
