"""OpenVINO through the harness against OpenVINO's own benchmark_app, turn by turn: Offline against its throughput mode,
SingleStream against its latency mode, on the default INT8 model.

    python tests/benchmarks/openvino_parity.py --rounds 5 [--inferences 32] [--modes throughput,latency]

Throughput is in inferences a second, latency the median in ms. Both count from the first inference to the last; each
turn is a process of its own, and both warm up before.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from harness.model.registry import load_model

BIN = Path(sys.executable).parent


def app(file: Path, mode: str, inferences: int) -> float:
    command = [str(BIN / "benchmark_app"), "-m", str(file), "-hint", mode, "-niter", str(inferences), "-d", "CPU"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    pattern = r"Throughput:\s+([\d.]+) FPS" if mode == "throughput" else r"Median:\s+([\d.]+) ms"
    found = re.search(pattern, printed)
    assert found is not None, printed
    return float(found[1])


def harness(mode: str, inferences: int, options: list[str]) -> float:
    scenario = "offline" if mode == "throughput" else "single_stream"
    with tempfile.TemporaryDirectory() as folder:
        command = [str(BIN / "ssd-harness"), "run", "--backend", "openvino", "--scenario", scenario]
        command += ["--mode", "performance", "--count", "4", "--duration", "0.1", "--queries", str(inferences)]
        command += ["--set", "backend.warmup=2", "--set", "tests.offline.expected_qps=1"]
        command += ["--set", "tests.single_stream.expected_latency_ms=1000", *options, "--output", f"{folder}/run"]
        subprocess.run(command, capture_output=True, text=True, check=False)
        figures = json.loads(Path(folder, "run/summary.json").read_text())["scenarios"][scenario]
    return float(figures["samples_per_second"] if mode == "throughput" else figures["latency_ms"]["p50"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--inferences", type=int, default=32)
    parser.add_argument("--modes", default="throughput,latency")
    parser.add_argument("--set", action="append", default=[], help="a setting of the harness's run")
    args = parser.parse_args()
    file = load_model("ssd_resnet34").default_file("int8", print)
    options = [part for setting in args.set for part in ("--set", setting)]
    for mode in args.modes.split(","):
        apps, ours = [], []
        for number in range(args.rounds):
            apps.append(app(file, mode, args.inferences))
            ours.append(harness(mode, args.inferences, options))
            print(f"{mode} {number + 1}: benchmark_app {apps[-1]:.3f}, harness {ours[-1]:.3f}", flush=True)
        ratio = statistics.median(ours) / statistics.median(apps)
        medians = f"benchmark_app {statistics.median(apps):.3f}, harness {statistics.median(ours):.3f}"
        print(f"{mode}, medians of {args.rounds}: {medians}, harness / benchmark_app {ratio:.4f}")


if __name__ == "__main__":
    main()
