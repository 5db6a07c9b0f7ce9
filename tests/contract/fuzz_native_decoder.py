"""Throws random outputs at the native decoder's binding: shapes, dtypes, strides, layouts, scales, values.

    PYTHONPATH=. python tests/contract/fuzz_native_decoder.py SECONDS [SEED]

It must refuse with a ValueError exactly what `check_raw_outputs` refuses, give finite results for the rest, and never
read outside a buffer, which is for `scripts/sanitize --fuzz` to see.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from harness.model import NativeDecoder
from harness.model.native_extension import available_simd
from harness.model.ssd_resnet34.heads import OUTPUTS
from harness.model.ssd_resnet34.raw_outputs import check_raw_outputs
from harness.records import QuantizedTensor, RawOutput, TensorSpec, TiledLayout
from tests.support import raw_output_cases as cases

DTYPES: list[Any] = ["f4", ">f4", "f8", "f2", "i1", "u1", "i2", "i4", "?", "c8", "O", "S1", "M8[s]", [("a", "f4")]]
NUMBERS = [0, 1, -1, 127, 128, 255, 256, 2**31, 2**63, 2**70, 0.5, 1e-320, 1e308, float("nan"), float("inf"), None, "1"]
Rng = np.random.Generator


def some_array(rng: Rng, spec: TensorSpec) -> np.ndarray[Any, Any]:
    """Any array: right, nearly right, or wrong in its shape, dtype or memory."""
    shape = [spec.shape, spec.shape[1:], spec.shape[::-1], (*spec.shape, 1), (2, *spec.shape[1:]), (0,), ()][
        rng.choice(7, p=[0.4, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05])
    ]
    if rng.random() < 0.2:
        shape = tuple(int(n) for n in rng.integers(0, 20, rng.integers(0, 5)))
    array = np.zeros(shape, np.dtype(DTYPES[0 if rng.random() < 0.5 else rng.integers(len(DTYPES))]))
    if array.dtype.kind in "fiu" and array.size:
        array[...] = rng.integers(-100, 100, array.shape) if array.dtype.kind != "u" else 7
    return restrided(rng, array)


def restrided(rng: Rng, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The array, or something of its shape with other strides, alignment, writability or owner."""
    ways: list[Callable[[], np.ndarray[Any, Any]]] = [
        lambda: array,
        lambda: np.asfortranarray(array),
        lambda: array[::-1] if array.ndim else array,
        lambda: np.repeat(array, 2, axis=-1)[..., ::2] if array.ndim else array,
        lambda: np.broadcast_to(array.reshape(-1)[:1], array.shape) if array.size and array.ndim else array,
        lambda: array.swapaxes(-1, -2) if array.ndim > 1 else array,
        lambda: unaligned(array),
        lambda: read_only(array),
    ]
    return ways[0 if rng.random() < 0.5 else rng.integers(len(ways))]()


def unaligned(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if array.dtype.hasobject:
        return array
    return np.frombuffer(b"\0" + array.tobytes(), array.dtype, array.size, 1).reshape(array.shape)


def read_only(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def some_layout(rng: Rng, spec: TensorSpec) -> object:
    """A layout that holds the tensor, or nearly."""
    layout = cases.any_layout(rng, spec)
    if rng.random() < 0.3:
        extent = rng.choice(["ho", "co", "hi", "ci", "w"])
        numbers: list[Any] = [getattr(layout, extent) - 1, int(rng.integers(-2, 70)), *NUMBERS]
        changed = numbers[rng.integers(len(numbers))]
        return replace(layout, **{str(extent): changed})
    if rng.random() < 0.05:
        return [replace(layout, order="HWC"), "HCHWC", 5, layout.order][rng.integers(4)]  # type: ignore[arg-type]
    return layout


def some_quantized(rng: Rng, spec: TensorSpec) -> QuantizedTensor:
    dtype = np.int8 if rng.random() < 0.5 else np.uint8
    layout = some_layout(rng, spec) if rng.random() < 0.7 else None
    if isinstance(layout, TiledLayout) and rng.random() < 0.95:
        try:
            size = int(layout.ho * layout.co * layout.hi * layout.ci * layout.w) + int(rng.choice([0, 0, 0, -1, 1]))
        except (TypeError, ValueError, OverflowError):
            size = 10
        shape: tuple[int, ...] = (size if 0 <= size < 10**7 else 10,)
    else:
        shape = spec.shape
    data: Any = rng.integers(0, 256, shape, np.uint8).view(dtype)
    data = restrided(rng, data) if rng.random() < 0.2 else data
    data = some_array(rng, spec) if rng.random() < 0.05 else data
    scale: Any = rng.choice([0.1, 0.1, 0.1, 10.0 ** rng.uniform(-300, 300)])
    zero_point: Any = int(rng.integers(-128, 256))
    if rng.random() < 0.05:
        scale = NUMBERS[rng.integers(len(NUMBERS))]
    if rng.random() < 0.05:
        zero_point = NUMBERS[rng.integers(len(NUMBERS))]
    limits = np.iinfo(dtype)
    if rng.random() < 0.9 and isinstance(zero_point, int):
        zero_point = min(max(zero_point, limits.min), limits.max)
    return QuantizedTensor(data, scale, zero_point, layout)  # type: ignore[arg-type]


def some_outputs(rng: Rng, good: list[list[RawOutput]]) -> Any:
    """Twelve outputs, some of them replaced."""
    outputs: list[Any] = list(good[rng.integers(len(good))])
    for index in rng.choice(12, rng.integers(0, 6), replace=False):
        spec = OUTPUTS[index]
        way = rng.random()
        if way < 0.6:
            outputs[index] = some_quantized(rng, spec)
        elif way < 0.9:
            outputs[index] = some_array(rng, spec)
        elif way < 0.95:
            outputs[index] = outputs[rng.integers(12)]
        else:
            outputs[index] = [None, 1.0, [0.0], b"", object()][rng.integers(5)]
    if rng.random() < 0.02:
        others: list[Any] = [outputs[:11], tuple(outputs), [*outputs, outputs[0]], {}, None, iter(outputs), "x" * 12]
        return others[rng.integers(len(others))]
    return outputs


def verdict(call: Callable[..., Any], outputs: Any, **parameters: Any) -> tuple[str, Any]:
    """What is said of the outputs, and what comes of them."""
    try:
        return "accepted", call(outputs, **parameters)
    except ValueError as refusal:
        return str(refusal), None


def fuzz(seconds: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    decoders = [NativeDecoder(simd) for simd in available_simd()]
    good: list[list[RawOutput]] = []
    for k, kind in enumerate(cases.LOGITS):
        plain = cases.quantized_outputs(k, kind, dtype="int8" if k % 2 else "uint8")
        good += [[*cases.float_outputs(k, kind)], [*plain], [*cases.tiled(k, plain)]]
    end, told, tried, accepted = time.monotonic() + seconds, time.monotonic(), 0, 0
    while time.monotonic() < end:
        outputs = some_outputs(rng, good)
        parameters: dict[str, Any] = {
            "score_threshold": float(rng.choice([0.05, 0.5, rng.uniform(0.01, 0.99)])),
            "iou_threshold": float(rng.choice([0.5, rng.uniform(0, 1)])),
            "max_detections": int(rng.choice([200, 1, int(rng.integers(1, 20_000))])),
            "nms": str(rng.choice(["corrected", "reference"])),
        }
        decoder = decoders[rng.integers(len(decoders))]
        with np.errstate(all="ignore"):
            expected, _ = verdict(check_raw_outputs, outputs)
            got, found = verdict(decoder.decode, outputs, **parameters)
        if got != expected:
            sys.exit(f"seed {seed}, case {tried}: the native decoder says {got!r}, the check {expected!r}")
        tried += 1
        if got == "accepted":
            accepted += 1
            assert np.isfinite(found.boxes).all() and (np.diff(found.scores) <= 0).all()
            assert len(found) <= parameters["max_detections"]
        if time.monotonic() - told > 30:
            told = time.monotonic()
            print(f"{tried} cases, {accepted} accepted", flush=True)
    print(f"fuzzed for {seconds:.0f} s, seed {seed}: {tried} cases, {accepted} accepted, none wrong")


if __name__ == "__main__":
    fuzz(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
