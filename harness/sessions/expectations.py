"""What the contract's checks expect of sessions, and how it is said when they do otherwise."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.records import QuantizedTensor, RawOutput, TensorSpec

Image = npt.NDArray[Any]


class Broken(Exception):
    """The contract is broken; says how."""


def need(holds: bool, otherwise: str) -> None:
    """Raises `Broken` with ``otherwise`` unless it holds."""
    if not holds:
        raise Broken(otherwise)


def raises(kinds: type[Exception] | tuple[type[Exception], ...], action: Callable[[], object], doing: str) -> Exception:
    """The error that the action raised; `Broken` when it raised none of the kinds."""
    expected = " or ".join(kind.__name__ for kind in (kinds if isinstance(kinds, tuple) else (kinds,)))
    try:
        action()
    except kinds as error:
        return error
    except Exception as error:
        raise Broken(f"{doing} raised {type(error).__name__} ({error}), not {expected}") from error
    raise Broken(f"{doing} raised nothing; expected {expected}")


def noise_image(spec: TensorSpec, seed: int) -> Image:
    """Noise of the seed, 0..255 or [0, 1]; its first value is the seed, or its 255th."""
    pixels = np.random.default_rng(seed).integers(0, 256, spec.shape, np.uint8)
    pixels.flat[0] = seed
    return pixels if spec.dtype == "uint8" else pixels.astype(np.float32) / 255


def data_of(output: RawOutput) -> Image:
    """The array of an output, quantized or not."""
    return output.data if isinstance(output, QuantizedTensor) else output


def copies_of(outputs: Sequence[RawOutput]) -> list[Image]:
    """The arrays as they are now."""
    return [data_of(output).copy() for output in outputs]


def equal_outputs(expected: Sequence[Image], outputs: Sequence[RawOutput]) -> bool:
    """Are all values the same?"""
    return all(np.array_equal(a, data_of(b), equal_nan=True) for a, b in zip(expected, outputs, strict=True))


def need_same(expected: Sequence[Image], outputs: Sequence[RawOutput], what: str) -> None:
    """Raises `Broken` when a value is another; NaN is never the same."""
    for k, (before, output) in enumerate(zip(expected, outputs, strict=True)):
        differing = int(np.count_nonzero(before != data_of(output)))
        need(differing == 0, f"{what}: {differing} of {before.size} values of output {k} differ")


def need_described(spec: TensorSpec, output: RawOutput) -> None:
    """Raises `Broken` unless the output has the described type and shape, and a sane quantization."""
    data = data_of(output)
    need(str(data.dtype) == spec.dtype, f"{spec.name} is {data.dtype}, described as {spec.dtype}")
    quantized = isinstance(output, QuantizedTensor)
    need(quantized == (spec.dtype != "float32"), f"{spec.name} is {spec.dtype} and {type(output).__name__}")
    if isinstance(output, QuantizedTensor):
        need(math.isfinite(output.scale) and output.scale > 0, f"{spec.name} has the scale {output.scale}")
        limits = np.iinfo(data.dtype)
        inside = limits.min <= output.zero_point <= limits.max
        need(inside, f"{spec.name} has the zero-point {output.zero_point}, outside of {data.dtype}")
        if output.layout is not None:
            tiled = output.layout
            size = tiled.ho * tiled.co * tiled.hi * tiled.ci * tiled.w
            need(data.size == size, f"{spec.name} has {data.size} elements, its layout {size}")
            return
    need(data.shape == spec.shape, f"{spec.name} is {data.shape}, described as {spec.shape}")
