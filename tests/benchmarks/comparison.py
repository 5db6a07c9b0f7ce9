"""Twenty times: two runs of the same thing, and one that is 3 % slower. What does `report --compare` say?

    .venv/bin/python -m tests.benchmarks.comparison [--pairs 20] [--latency-ms 20] [--repeat 1] [--drawn]

Real runs of `ssd-harness run` on a simulated device with 2 % noise: SingleStream and Offline, 200 samples each. Every
run has a seed of its own, so that no two devices draw the same times. With --drawn nothing is run: the times of all
samples are drawn, which shows the method without the noise of the machine that it is tried on.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from harness.report.comparison import compare
from harness.runs.recorded_run import load_run
from tests.support.made_runs import made_run, made_samples

NOISE, SLOWDOWN = 0.02, 0.03


def run(folder: Path, latency_ms: float, seed: int, repeat: int) -> Path:
    """One run; gives its directory."""
    options = f"{{latency_ms: {latency_ms}, latency_std_ms: {NOISE * latency_ms}, seed: {seed}}}"
    command = [sys.executable, "-m", "harness", "run", "smoke", "--mode", "performance", "--output", str(folder)]
    command += ["--set", f"backend.options={options}", "--queries", "200", "--duration", "1", "--repeat", str(repeat)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode > 1:
        raise SystemExit(done.stderr)
    return folder


def drawn(folder: Path, latency_ms: float, seed: int, repeat: int) -> Path:
    """The same, made up."""
    single = [made_samples(200, latency_ms=latency_ms, seed=seed + 1000 * k) for k in range(repeat)]
    offline = [
        made_samples(200, latency_ms=latency_ms, seed=seed + 1000 * k + 500, sessions=2, offline=True)
        for k in range(repeat)
    ]
    scenarios = {"single_stream": single[0], "offline": offline[0]}
    return made_run(folder, scenarios, repeats={"single_stream": single[1:], "offline": offline[1:]})


def verdict(one: Path, other: Path) -> tuple[str, bool]:
    """The sentence of a comparison, and whether anything got slower."""
    compared = compare(load_run(one), load_run(other))
    return compared.verdict, compared.worse


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--latency-ms", type=float, default=20.0)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--drawn", action="store_true")
    args = parser.parse_args()
    make = drawn if args.drawn else run
    unchanged = found = 0
    with tempfile.TemporaryDirectory() as name:
        for k in range(args.pairs):
            folder = Path(name) / str(k)
            base = make(folder / "base", args.latency_ms, 3 * k, args.repeat)
            same = make(folder / "same", args.latency_ms, 3 * k + 1, args.repeat)
            slow = make(folder / "slow", args.latency_ms * (1 + SLOWDOWN), 3 * k + 2, args.repeat)
            of_same, (of_slow, slower) = verdict(base, same)[0], verdict(base, slow)
            unchanged += of_same == "no significant change"
            found += slower
            print(f"{k + 1:2}  same: {of_same:24}  3 % slower: {of_slow}", flush=True)
    print(f"'no significant change' in {unchanged} of {args.pairs} of the same thing")
    print(f"3 % slower found in {found} of {args.pairs}")


if __name__ == "__main__":
    main()
