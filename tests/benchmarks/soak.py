"""A long Offline test of simulated devices that answer at once: does it end when it should, and does it stay small?

    .venv/bin/python tests/benchmarks/soak.py [--seconds 600] [--devices 16] [--every 30]

The length is the calibration's: nobody tells LoadGen how fast the devices are. Prints the memory, descriptors and
threads of the test's process and of its parent over time, and at the end how long the test lasted by what was asked
for. The aims: within 10 %; descriptors and threads flat; memory of some 60 bytes a sample beside what it began with.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

WITHIN = 0.10


def row(process: psutil.Process) -> str:
    """RSS in MB, descriptors and threads."""
    with process.oneshot():
        megabytes = process.memory_info().rss / 1e6
        return f"{megabytes:8.1f} MB {process.num_fds():4d} descriptors {process.num_threads():4d} threads"


def test_process(parent: psutil.Process) -> psutil.Process | None:
    """The child that runs LoadGen, if it is there."""
    children = [child for child in parent.children() if "resource_tracker" not in " ".join(child.cmdline())]
    return children[0] if children else None


def watch(process: subprocess.Popen[bytes], every_s: float) -> None:
    """Prints a line as often as that until the process has ended."""
    parent, began = psutil.Process(process.pid), time.monotonic()
    while process.poll() is None:
        try:
            child = test_process(parent)
            said = "no test" if child is None else row(child)
            print(f"{time.monotonic() - began:6.0f} s  test {said}  parent {row(parent)}", flush=True)
        except psutil.Error:
            pass  # one of them has just ended
        try:
            process.wait(every_s)
        except subprocess.TimeoutExpired:
            continue


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600, help="the duration that is asked for")
    parser.add_argument("--devices", type=int, default=16)
    parser.add_argument("--every", type=float, default=30, help="seconds between two lines")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "run"
        command = [sys.executable, "-m", "harness", "run", "demo", "--scenario", "offline", "--mode", "performance"]
        command += ["--backend", "simulated", "--devices", f"simulated*{args.devices}", "--output", str(output)]
        command += ["--set", "backend.options={latency_ms: 0}", "--duration", str(args.seconds), "--queries", "1"]
        with subprocess.Popen([*command, "--no-live"]) as process:
            try:
                watch(process, args.every)
            finally:
                process.terminate()  # whoever ends this script ends its run
        figures = json.loads((output / "summary.json").read_text())["scenarios"]["offline"]
        record = json.loads((output / "offline/performance/run_1/test.json").read_text())
    samples, duration_s = figures["samples"], figures["duration_s"]
    ratio = duration_s / args.seconds
    print(f"{samples} samples, {figures['samples_per_second']:.0f}/s, peak {record['peak_memory_bytes'] / 1e6:.0f} MB")
    verdict = "VALID" if figures["valid"] else "INVALID"
    print(f"lasted {duration_s:.1f} s of {args.seconds:g} s asked for: {ratio:.3f}, {verdict}")
    return int(process.returncode or not 1 <= ratio <= 1 + WITHIN)


if __name__ == "__main__":
    sys.exit(main())
