"""Backends of third parties that do what no backend should: the run ends, says which and where, and leaves nothing."""

from __future__ import annotations

import pytest

from tests.faults.command import ROOT, Done, Harness, is_clear_error

MODULE = """
import ctypes, os, signal, sys, threading, time
import numpy as np
SIMULATED = True
class Odd(Exception):
    def __reduce__(self): raise TypeError("cannot be pickled")
class Session:
    def __init__(self, request):
        self.input, self.outputs, self.runs = request.input, request.outputs, 0
        self.good = request.example_outputs(0, quantized=False)
        self.fault, self.at = request.options["fault"], request.options.get("at", 10)
        self.when("init")
    def when(self, moment):
        name, _, where = self.fault.rpartition("@")
        if where != moment: return None
        if name == "exit 0": os._exit(0)
        if name == "segfault": ctypes.string_at(0)
        if name == "abort": os.abort()
        if name == "SystemExit": sys.exit(0)
        if name == "hang": time.sleep(1000)
        if name == "unpicklable": raise Odd("odd")
        if name == "chdir": os.chdir("/"); return None
        if name == "umask": os.umask(0o777); return None
        if name == "noise": print("x" * 1_000_000, flush=True); return None
        if name == "closes stdout": os.close(1); os.close(2); return None
        if name == "signals": signal.signal(signal.SIGTERM, signal.SIG_IGN); return None
        if name == "thread": threading.Thread(target=time.sleep, args=(1000,)).start(); return None
        if name == "fork": os.fork() or os.execvp("sleep", ["sleep", "3"]); return None
        if name == "None": return "None"
        if name == "few": return "few"
        if name == "shape": return "shape"
        if name == "text": return "text"
        raise {"KeyboardInterrupt": KeyboardInterrupt, "MemoryError": MemoryError, "RecursionError": RecursionError,
               "ValueError": ValueError, "GeneratorExit": GeneratorExit, "BrokenPipeError": BrokenPipeError,
               "OSError": lambda text: OSError(28, text)}[name]("as asked \\x1b[31m")
    def run(self, images):
        self.runs += 1
        time.sleep(0.001)
        wrong = self.when("run") if self.runs == self.at else None
        if wrong == "None": return None
        if wrong == "few": return self.good[:3]
        if wrong == "shape": return [np.zeros((1,), np.float32)] * len(self.good)
        if wrong == "text": return "outputs"
        return self.good
    def close(self): self.when("close")
    def __enter__(self): return self
    def __exit__(self, *_): self.close()
def open_session(request): return Session(request)
def default_devices(*, throughput): return "odd"
def describe(): return {"version": "0"}
"""

ENDS = (
    "exit 0",
    "segfault",
    "abort",
    "SystemExit",
    "unpicklable",
    "KeyboardInterrupt",
    "MemoryError",
    "RecursionError",
)
RAISES = ("ValueError", "GeneratorExit", "BrokenPipeError", "OSError", "signals")
"""Signal handlers can be installed in the main thread only: Python refuses that by a ValueError."""
WRONG = ("None", "few", "shape", "text")
HARMLESS = ("chdir", "umask", "noise", "closes stdout", "thread", "fork")


def run(harness: Harness, fault: str, *more: str) -> Done:
    (harness.folder / "odd").mkdir(exist_ok=True)
    (harness.folder / "odd/backend.py").write_text(MODULE)
    harness.environment["PYTHONPATH"] = f"{harness.folder}:{ROOT}"
    option = f'backend.options={{"fault": "{fault}"}}'
    scenario = ("--scenario", "offline", "--mode", "performance", "--output", "r")
    return harness.run("run", "c.yaml", "--backend", "odd.backend", "--set", option, *scenario, *more)


@pytest.mark.parametrize("moment", ["init", "run"])
@pytest.mark.parametrize("fault", [*ENDS, *RAISES])
def test_one_that_ends_or_raises(harness: Harness, fault: str, moment: str) -> None:
    done = run(harness, f"{fault}@{moment}")
    is_clear_error(done, 3, 4)
    assert harness.manifest()["status"] == "failed"
    assert "\x1b" not in done.err


@pytest.mark.parametrize("fault", [pytest.param("None", marks=pytest.mark.quick_fault), *WRONG[1:]])
def test_one_that_gives_no_outputs(harness: Harness, fault: str) -> None:
    is_clear_error(run(harness, f"{fault}@run"), 3, 4)


@pytest.mark.parametrize("fault", HARMLESS)
@pytest.mark.parametrize("moment", ["init", "run"])
def test_one_that_meddles_with_its_process(harness: Harness, fault: str, moment: str) -> None:
    done = run(harness, f"{fault}@{moment}")
    assert done.status == 0, done.err
    assert harness.manifest()["status"] == "complete"


@pytest.mark.parametrize(
    ("moment", "said"),
    [
        pytest.param("init", "gave no answer for 3 s", marks=pytest.mark.quick_fault),
        ("run", "no sign of life for 3 s while running (odd#0 at sample"),
    ],
)
def test_one_that_hangs(harness: Harness, moment: str, said: str) -> None:
    done = run(
        harness,
        f"hang@{moment}",
        "--set",
        "watchdog_s=3",
        "--set",
        "startup_s=3" if moment == "init" else "mode=performance",
    )
    is_clear_error(done, 4)
    assert said in done.err


@pytest.mark.parametrize("fault", ["hang", "segfault", "exit 0", "ValueError"])
def test_one_whose_close_fails_after_the_test_is_over(harness: Harness, fault: str) -> None:
    done = run(harness, f"{fault}@close", "--set", "watchdog_s=3")
    assert done.status == 0, done.err
    assert harness.manifest()["status"] == "complete"
    assert (harness.folder / "r/offline/performance/run_1/mlperf_log_summary.txt").is_file()
