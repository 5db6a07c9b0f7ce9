"""The scale and zero-point of quantized outputs, as they travel in an ONNX model's metadata.

One metadata property, `METADATA_KEY`, holds a JSON object: output name → ``{"scale": …, "zero_point": …}``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

METADATA_KEY = "ssd_harness.output_quantization"


class Quantization(NamedTuple):
    """real value = scale · (integer − zero_point), for a whole tensor."""

    scale: float
    zero_point: int


def to_metadata(outputs: Mapping[str, Quantization]) -> str:
    """The value of the metadata property."""
    return json.dumps({name: q._asdict() for name, q in outputs.items()}, sort_keys=True)


def from_metadata(value: str) -> dict[str, Quantization]:
    """The reverse of `to_metadata`.

    Raises:
        ValueError: not such a value.
    """
    try:
        return {
            str(name): Quantization(float(q["scale"]), int(q["zero_point"])) for name, q in json.loads(value).items()
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not a table of scales and zero-points: {value[:80]!r}") from error
