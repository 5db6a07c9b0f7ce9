"""Where the default INT8 model's time goes, operator by operator, as ONNX Runtime's profiler sees it.

    .venv/bin/python tests/benchmarks/model_operators.py [--model X.onnx] [--runs 5]

Prints the time of each kind of operator, and every operator that is not on integers or only re-orders data.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median

import numpy as np
import onnxruntime

from harness.model.ssd_resnet34.model import MODEL

MOST_SHOWN = 8
INTEGER = {"QLinearConv", "QLinearAdd", "NhwcMaxPool", "MaxPool"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="none: the default INT8 model")
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    model = args.model or MODEL.default_file("int8", print)

    times = profile(model, args.runs)
    total = sum(ms for _, _, ms in times)
    by_kind: dict[str, list[float]] = defaultdict(list)
    for kind, _, ms in times:
        by_kind[kind].append(ms)
    print(f"{model.name}: {total:.1f} ms an image on {len(os.sched_getaffinity(0))} threads (sum of medians)")
    for kind, values in sorted(by_kind.items(), key=lambda operator: -sum(operator[1])):
        print(f"  {kind:22} {len(values):4} nodes {sum(values):8.2f} ms {100 * sum(values) / total:6.2f} %")
    print("not on integers, or re-ordering data:")
    others = sorted((operator for operator in times if operator[0] not in INTEGER), key=lambda operator: -operator[2])
    for kind, name, ms in others[:MOST_SHOWN]:
        print(f"  {kind:22} {name:50} {ms:8.3f} ms {100 * ms / total:6.2f} %")
    rest = others[MOST_SHOWN:]
    print(f"  {len(rest)} more, together {sum(operator[2] for operator in rest):.3f} ms")
    print("the first layer, and the slowest five:")
    convolutions = [operator for operator in times if operator[0] == "QLinearConv"]
    for kind, name, ms in convolutions[:1] + sorted(convolutions, key=lambda operator: -operator[2])[:5]:
        print(f"  {kind:22} {name:50} {ms:8.3f} ms {100 * ms / total:6.2f} %")


def profile(model: Path, runs: int) -> list[tuple[str, str, float]]:
    """(operator, node, median ms) in the order of the graph."""
    pixels = np.random.default_rng(1).integers(0, 256, MODEL.input.shape).astype(np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = len(os.sched_getaffinity(0))
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        for _ in range(runs + 1):  # the first warms up
            session.run(None, {session.get_inputs()[0].name: pixels})
        events = json.loads(Path(session.end_profiling()).read_bytes())
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            found[event["args"]["op_name"], event["name"].removesuffix("_kernel_time")].append(event["dur"] / 1000)
    return [(kind, name, median(values[1:])) for (kind, name), values in found.items()]


if __name__ == "__main__":
    main()
