"""Seeded random raw outputs of every kind a decoder may meet, for tests and for the fuzzer."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt

from harness.model.ssd_resnet34.example_outputs import example_outputs, tile
from harness.model.ssd_resnet34.heads import NUM_CLASSES, OUTPUTS
from harness.model.ssd_resnet34.raw_outputs import as_float32
from harness.records import Detections, QuantizedTensor, RawOutput, RawOutputs, TensorSpec, TiledLayout

Logits = Literal["planted", "crowded", "noise", "ties", "constant", "background", "foreground", "extreme", "not finite"]
LOGITS: tuple[Logits, ...] = (
    "planted",
    "crowded",
    "noise",
    "ties",
    "constant",
    "background",
    "foreground",
    "extreme",
    "not finite",
)


def float_outputs(seed: int, logits: Logits) -> list[npt.NDArray[np.float32]]:
    """The twelve raw outputs as float32 NCHW."""
    rng = np.random.default_rng(seed)
    if logits in ("planted", "crowded"):
        return example_outputs(seed, quantized=False, scene="typical" if logits == "planted" else "crowded")
    outputs = [rng.standard_normal(spec.shape, np.float32) for spec in OUTPUTS]
    ahead = {"noise": rng.uniform(3, 12), "background": 40.0, "foreground": -30.0}.get(logits, rng.uniform(-2, 6))
    for k in range(6):
        outputs[k][:, : outputs[k].shape[1] // NUM_CLASSES] += np.float32(ahead)
    if logits == "ties":
        outputs = [np.rint(output) for output in outputs]
    elif logits == "constant":
        outputs = [np.full_like(output, rng.integers(-3, 4)) for output in outputs]
    elif logits == "extreme":
        with np.errstate(over="ignore"):
            outputs = [output * np.float32(10.0 ** rng.uniform(0, 38)) for output in outputs]
    elif logits == "not finite":
        for output in outputs:
            sprinkled = rng.random(output.shape) < rng.choice([0.0001, 0.01, 0.3])
            output[sprinkled] = rng.choice(np.array([np.nan, np.inf, -np.inf], np.float32), sprinkled.sum())
    return outputs


def quantized_outputs(seed: int, logits: Logits, *, dtype: Literal["int8", "uint8"]) -> list[QuantizedTensor]:
    """The same as quantized NCHW, with scales from sensible to absurd."""
    rng = np.random.default_rng(seed + 1)
    limits = np.iinfo(dtype)
    scales = rng.choice([1.0, 1.0, 1.0, 10.0 ** rng.uniform(-6, 3), 10.0 ** rng.uniform(-44, 38)])
    quantized = []
    for output in float_outputs(seed, logits):
        scale, zero_point = rng.uniform(0.05, 0.15), int(rng.integers(limits.min, limits.max + 1))
        with np.errstate(invalid="ignore", over="ignore"):
            rounded = np.nan_to_num(np.rint(output / scale) + zero_point, posinf=limits.max, neginf=limits.min)
        data = rounded.clip(limits.min, limits.max).astype(dtype)
        quantized.append(QuantizedTensor(data, scale * scales, zero_point))
    return quantized


def any_layout(rng: np.random.Generator, spec: TensorSpec) -> TiledLayout:
    """A tiled layout that holds the tensor, with padding here and there."""
    _, channels, height, width = spec.shape
    hi = int(rng.integers(1, height + 1))
    ho = math.ceil(height / hi) + int(rng.integers(0, 2))
    co = int(rng.choice([1, 2, 16, int(rng.integers(1, channels + 1))]))
    ci = math.ceil(channels / co) + int(rng.integers(0, 3))
    w = int(rng.choice([w for w in (width, width + int(rng.integers(1, 9)), 16, 32, 64) if w >= width]))
    order: Literal["HCHCW", "HCHWC"] = "HCHCW" if rng.random() < 0.5 else "HCHWC"
    return TiledLayout(order, ho=ho, co=co, hi=hi, ci=int(ci), w=w)


def tiled(seed: int, outputs: list[QuantizedTensor]) -> list[QuantizedTensor]:
    """Quantized NCHW outputs in layouts of all sorts, the padding full of the highest value."""
    rng = np.random.default_rng(seed + 2)
    highest = int(np.iinfo(outputs[0].data.dtype).max)
    return [tile(output, any_layout(rng, spec), highest) for output, spec in zip(outputs, OUTPUTS, strict=True)]


def dequantized(outputs: RawOutputs) -> list[RawOutput]:
    """Any outputs as float32 NCHW."""
    return [as_float32(output, spec).reshape(spec.shape) for output, spec in zip(outputs, OUTPUTS, strict=True)]


def assert_same(found: Detections, expected: Detections) -> None:
    """Equal count, labels and order, scores to 1e-6 and boxes to 1e-5."""
    assert len(found) == len(expected)
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.boxes, expected.boxes, rtol=1e-5, atol=1e-5)


def assert_identical(found: Detections, expected: Detections) -> None:
    """Equal bit for bit."""
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_array_equal(found.scores, expected.scores)
    np.testing.assert_array_equal(found.boxes, expected.boxes)
