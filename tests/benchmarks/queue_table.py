"""Measures the table of docs/explanation/devices.md again and writes it there: about six minutes.

    python tests/benchmarks/queue_table.py [--seconds 4] [--rounds 7]

Nothing else should run meanwhile; the table says whether anything did.
"""

from __future__ import annotations

import argparse
import io
import re
import subprocess
from pathlib import Path

from rich.console import Console

from harness.benchmark.queue_limits import bench_queue
from harness.commands.bench_queue import table_of

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "explanation" / "devices.md"
BLOCK = re.compile(r"```\n\$ ssd-harness bench queue .*?\n```\n", re.DOTALL)
WIDTH = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    page = PAGE.read_text(encoding="utf-8")
    assert len(BLOCK.findall(page)) == 1, f"{PAGE} has no table of bench queue, or several"
    limits = bench_queue(
        args.seconds, lambda done, total: print(f"{done} of {total}", flush=True), most_rounds=args.rounds
    )
    written = io.StringIO()
    Console(file=written, width=WIDTH).print(table_of(limits))
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout
    lines = [line.rstrip() for line in written.getvalue().strip("\n").splitlines()]
    command = f"$ ssd-harness bench queue --seconds {args.seconds:g} --rounds {args.rounds}"
    block = "\n".join(["```", f"{command}   # commit {commit.strip()}", *lines, "```", ""])
    PAGE.write_text(BLOCK.sub(lambda found: block, page), encoding="utf-8")
    print(written.getvalue())


if __name__ == "__main__":
    main()
