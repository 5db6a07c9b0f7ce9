"""The queue's limits beside those of another checkout, in turns: samples a second, share of ideal, added time.

    python tests/benchmarks/queue_against.py ../other-checkout --rounds 3 --seconds 3

The other checkout needs an installed `.venv` of its own. CPU time is that of the whole child process, so its beginning
and end are in it: about 2 s, the same on both sides.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parents[2]
CASES = (
    ("single_stream", 1, 12.5, True),
    ("offline", 1, 12.5, True),
    ("offline", 16, 12.5, True),
    ("offline", 64, 12.5, True),
    ("offline", 256, 12.5, False),
    ("offline", 1024, 12.5, False),
    ("offline", 1, 0.0, True),
    ("offline", 64, 0.0, True),
    ("offline", 64, 0.0, False),
)
ONE = """
import dataclasses, json, resource, sys
from harness.benchmark.queue_limits import Case, measure
scenario, devices, latency_ms, decode, seconds = json.loads(sys.argv[1])
if __name__ == "__main__":
    limit = measure(Case(scenario, devices, latency_ms, decode=decode), seconds)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = usage.ru_utime + usage.ru_stime
    print(json.dumps([limit.samples_per_second, limit.share_of_ideal, limit.added_us, cpu_s]))
"""


def measured(checkout: Path, case: tuple[str, int, float, bool], seconds: float) -> tuple[float, float, str, float]:
    """Samples a second, share of ideal, added µs as text, and the child's CPU seconds."""
    command = [str(checkout / ".venv/bin/python"), "-c", ONE, json.dumps([*case, seconds])]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=True)
    per_second, share, added, cpu_s = json.loads(done.stdout)
    text = "/".join(f"{added[key]:.0f}" for key in ("p50", "p90") if key in added)
    return per_second, share or 0.0, text, cpu_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--cases", default="", help="numbers of the lines, e.g. 0,3; none: all")
    args = parser.parse_args()
    chosen = [CASES[int(text)] for text in args.cases.split(",")] if args.cases else CASES
    sides = {"other": args.other.resolve(), "here": HERE}
    print(f"load {os.getloadavg()[0]:.1f}")
    for case in chosen:
        found: dict[str, list[tuple[float, float, str, float]]] = {side: [] for side in sides}
        for _ in range(args.rounds):
            for side, checkout in sides.items():
                found[side].append(measured(checkout, case, args.seconds))
        scenario, devices, latency_ms, decode = case
        print(f"{scenario}, {devices} of {latency_ms:g} ms, {'native decoder' if decode else 'no decoder'}")
        for side, rows in found.items():
            rates, shares, added, cpu_s = zip(*rows, strict=True)
            print(
                f"  {side:6} {median(rates):10,.1f}/s  {median(shares) * 100:6.2f} % of ideal"
                f"  added p50/p90 µs {' '.join(added) if added[0] else '–'}  CPU {median(cpu_s):.2f} s"
            )
        ratio = median(row[0] for row in found["here"]) / median(row[0] for row in found["other"])
        print(f"  × {ratio:.3f}; load {os.getloadavg()[0]:.1f}", flush=True)


if __name__ == "__main__":
    main()
