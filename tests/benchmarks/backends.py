"""ONNX Runtime against OpenVINO on the default INT8 model: latency, interleaved, and how far their outputs are apart.

.venv/bin/python tests/benchmarks/backends.py [--rounds 15] [--threads 2] [--precision int8|float32]
"""

from __future__ import annotations

import argparse
import statistics
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter

import numpy as np
import numpy.typing as npt

from harness.model.registry import load_model
from harness.records import QuantizedTensor, RawOutput
from harness.sessions import SessionRequest, open_session

CASES = {
    "onnxruntime": ("onnxruntime", {}),
    "openvino": ("openvino", {}),
    "openvino f32": ("openvino", {"precision": "f32"}),
}
"""Title → backend and its options. OpenVINO computes in bf16 what is not INT8, where the CPU has it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=("int8", "float32"), default="int8")
    parser.add_argument("--model", type=Path)
    args = parser.parse_args()
    model = load_model("ssd_resnet34")
    file = args.model or model.default_file(args.precision, print)
    with ExitStack() as stack:
        sessions = {}
        for title, (backend, options) in CASES.items():
            request = SessionRequest.of(model, file, device="cpu", threads=args.threads, options=options)
            sessions[title] = stack.enter_context(open_session(backend, request))
        dtype = sessions["onnxruntime"].input.dtype
        noise = np.random.default_rng(0).integers(0, 256, model.input.shape, np.uint8)
        image: npt.NDArray[np.uint8] | npt.NDArray[np.float32] = noise
        if dtype != "uint8":
            image = noise.astype(np.float32) / np.float32(128) - np.float32(1)
        outputs = {title: [real(raw) for raw in session.run(image)] for title, session in sessions.items()}
        times_s: dict[str, list[float]] = {title: [] for title in sessions}
        for _ in range(args.rounds):
            for title, session in sessions.items():
                began = perf_counter()
                session.run(image)
                times_s[title].append(perf_counter() - began)
    print(f"{args.precision}, {args.threads} threads, {args.rounds} rounds, interleaved")
    print(f"{'':14}{'median ms':>10}{'least ms':>10}{'ratio':>7}   largest and mean difference, share of equal values")
    for title, seconds in times_s.items():
        ratios = [ours / theirs for ours, theirs in zip(seconds, times_s["onnxruntime"], strict=True)]
        figures = f"{statistics.median(seconds) * 1e3:10.1f}{min(seconds) * 1e3:10.1f}{statistics.median(ratios):7.3f}"
        print(f"{title:14}{figures}   {apart(outputs['onnxruntime'], outputs[title])}")


def real(raw: RawOutput) -> tuple[np.ndarray, float]:
    """The real values, and the size of a quantization step (1 where there is none)."""
    if isinstance(raw, QuantizedTensor):
        return raw.scale * (raw.data.astype(np.float32) - raw.zero_point), raw.scale
    return raw.copy(), 1.0


def apart(expected: list[tuple[np.ndarray, float]], found: list[tuple[np.ndarray, float]]) -> str:
    steps = np.concatenate([np.abs(a - b).ravel() / step for (a, step), (b, _) in zip(expected, found, strict=True)])
    return f"{steps.max():.3g}, {steps.mean():.3g}, {np.mean(steps < 1e-3) * 100:.2f} %"


if __name__ == "__main__":
    main()
