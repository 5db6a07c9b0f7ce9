"""The default model's trained weights as the package ships them: INT8, a scale for each output channel.

Both ONNX files are built from them, so the float32 model's weights are exactly those of the INT8 one.
`scripts/train_default_model.py` trains them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.model.ssd_resnet34 import network

WEIGHTS = Path(__file__).parent / "trained" / "weights.npz"
RANGES = WEIGHTS.with_name("ranges.json")
"""Activation ranges of the float32 model: tensor → smallest and largest value."""

LARGEST = 127


def pack(weights: network.Weights) -> dict[str, npt.NDArray[np.int8] | npt.NDArray[np.float32]]:
    """Float32 weights as they are shipped.

    Args:
        weights: what `network.build` takes.

    Returns:
        per convolution ``<name>.weight`` int8 in -127..127, ``<name>.scale`` float32 (channels_out,), and
        ``<name>.bias`` float32. Packing what `unpack` gives changes nothing.
    """
    packed: dict[str, npt.NDArray[np.int8] | npt.NDArray[np.float32]] = {}
    for conv in network.convolutions():
        weight = weights[f"{conv.name}.weight"]
        scale = (np.abs(weight).max((1, 2, 3)) / LARGEST).astype(np.float32)
        scale[scale == 0] = 1  # a channel of zeros
        packed[f"{conv.name}.weight"] = np.rint(weight / scale[:, None, None, None]).astype(np.int8)
        packed[f"{conv.name}.scale"] = scale
        packed[f"{conv.name}.bias"] = weights[f"{conv.name}.bias"].astype(np.float32)
    return packed


def unpack(packed: Mapping[str, npt.NDArray[np.int8] | npt.NDArray[np.float32]]) -> dict[str, npt.NDArray[np.float32]]:
    """What `network.build` takes, of what `pack` gave."""
    weights: dict[str, npt.NDArray[np.float32]] = {}
    for conv in network.convolutions():
        scale = packed[f"{conv.name}.scale"].astype(np.float32)
        weights[f"{conv.name}.weight"] = packed[f"{conv.name}.weight"].astype(np.float32) * scale[:, None, None, None]
        weights[f"{conv.name}.bias"] = packed[f"{conv.name}.bias"].astype(np.float32)
    return weights


def trained_weights() -> dict[str, npt.NDArray[np.float32]]:
    """The shipped weights, as `network.build` takes them."""
    with np.load(WEIGHTS) as packed:
        return unpack(packed)


def trained_ranges() -> dict[str, tuple[float, float]]:
    """The shipped activation ranges."""
    return {name: (low, high) for name, (low, high) in json.loads(RANGES.read_bytes()).items()}
