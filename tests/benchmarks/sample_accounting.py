"""What a lane pays for its records and for the counters that the live view reads, in nanoseconds a sample.

    .venv/bin/python tests/benchmarks/sample_accounting.py [--rounds 7]

"tally" is everything that exists for a watching process: the sums, the histogram, the count. It also writes the moment
of completion into the records, which a loop in Python did before. One answered at a time is what every scenario but
Offline does; 64 at a time is Offline on a device that takes less than 50 µs.
"""

from __future__ import annotations

import argparse
from array import array
from collections.abc import Callable
from functools import partial
from statistics import median
from time import thread_time_ns

from harness.native import _pipeline
from harness.pipeline.counters import COLUMNS, LAYOUT, PythonTally, Tally
from harness.pipeline.pulse import Pulse

SAMPLES = 64_000
TOGETHER = (1, 64)


def loop_ns(answer: Callable[[array[int], int], None] | None, together: int) -> float:
    """Processor time a sample of a loop that makes records, and answers them unless ``answer`` is None."""
    records = array("q")
    row = (1, 0, 1_000, 2_000, 12_502_000, 12_560_000, 12_560_000)
    began = thread_time_ns()
    for _ in range(SAMPLES // together):
        for _ in range(together):
            records.extend(row)
        if answer is not None:
            answer(records, together)
    return (thread_time_ns() - began) / SAMPLES


def moment_only(records: array[int], count: int) -> None:
    """The moment of completion, written in Python."""
    columns = len(COLUMNS)
    for last in range(len(records) - 1, len(records) - 1 - columns * count, -columns):
        records[last] = 12_600_000


def add(tally: Tally, records: array[int], count: int) -> None:
    tally.add(records, count, 12_600_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    cells = Pulse(1).cells()
    native = _pipeline.Tally(cells, 0, LAYOUT, False)
    python = PythonTally(cells, 0, from_start=False)
    ways: dict[str, Callable[[array[int], int], None]] = {
        "moment of completion only, Python": moment_only,
        "tally, native": partial(add, native),
        "tally, Python": partial(add, python),
    }
    found: dict[tuple[str, int], list[float]] = {}
    for _ in range(args.rounds):
        for name, way in ways.items():
            for together in TOGETHER:
                alone = loop_ns(None, together)
                found.setdefault((name, together), []).append(loop_ns(way, together) - alone)
    print(f"{'ns a sample, median of ' + str(args.rounds):40}" + "".join(f"{f'{n} at a time':>15}" for n in TOGETHER))
    for name in ways:
        print(f"{name:40}" + "".join(f"{median(found[name, n]):15.0f}" for n in TOGETHER))


if __name__ == "__main__":
    main()
