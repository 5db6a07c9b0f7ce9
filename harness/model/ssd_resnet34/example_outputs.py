"""Made-up raw outputs with planted objects, for simulated devices, benchmarks and tests.

They look like a trained network's: background ahead by several logits almost everywhere, and around every object a
cluster of anchors that agree on it. An object is seen by the prior boxes that overlap it by half, as in SSD's matching.
"""

from __future__ import annotations

from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

from harness.model.ssd_resnet34.heads import FEATURE_MAPS, NUM_CLASSES, NUM_PRIORS, OUTPUTS
from harness.model.ssd_resnet34.priors import prior_boxes
from harness.model.ssd_resnet34.raw_outputs import element_offsets
from harness.records import QuantizedTensor, RawOutput, TiledLayout

Scene = Literal["background", "typical", "crowded"]
CANDIDATES: dict[Scene, int] = {"background": 0, "typical": 288, "crowded": 2100}
"""About how many candidates (an anchor and a class above 0.05) each scene has."""

_OBJECTS: dict[Scene, int] = {"background": 0, "typical": 12, "crowded": 100}

# Scale and zero point of each output. Class 0 and box 0 are those of FuriosaAI's published INT8 model.
_QUANTIZATION = (
    (0.13746771, -34),
    (0.14130588, -29),
    (0.15210796, -22),
    (0.14902741, -25),
    (0.13012306, -31),
    (0.12187541, -38),
    (0.07815918, 53),
    (0.08040215, 41),
    (0.07752107, 33),
    (0.07119226, 20),
    (0.06230571, 12),
    (0.06071245, 8),
)

# In the manner of a 16-slice NPU: wide maps keep a row's cells side by side, narrow ones its channels. Class 0 and
# class 2 are those of FuriosaAI's published model.
NPU_LAYOUTS = (
    TiledLayout("HCHCW", ho=8, co=16, hi=7, ci=21, w=64),
    TiledLayout("HCHCW", ho=8, co=16, hi=4, ci=31, w=32),
    TiledLayout("HCHWC", ho=8, co=16, hi=2, ci=32, w=13),
    TiledLayout("HCHWC", ho=7, co=16, hi=1, ci=32, w=7),
    TiledLayout("HCHWC", ho=3, co=16, hi=1, ci=32, w=3),
    TiledLayout("HCHWC", ho=3, co=16, hi=1, ci=32, w=3),
    TiledLayout("HCHCW", ho=8, co=16, hi=7, ci=1, w=64),
    TiledLayout("HCHCW", ho=8, co=16, hi=4, ci=2, w=32),
    TiledLayout("HCHWC", ho=8, co=1, hi=2, ci=32, w=13),
    TiledLayout("HCHWC", ho=7, co=1, hi=1, ci=32, w=7),
    TiledLayout("HCHWC", ho=3, co=1, hi=1, ci=32, w=3),
    TiledLayout("HCHWC", ho=3, co=1, hi=1, ci=32, w=3),
)


@overload
def example_outputs(
    seed: int, *, quantized: Literal[False], tiled: Literal[False] = False, scene: Scene = "typical"
) -> list[npt.NDArray[np.float32]]: ...


@overload
def example_outputs(
    seed: int, *, quantized: bool, tiled: bool = False, scene: Scene = "typical"
) -> list[RawOutput]: ...


def example_outputs(
    seed: int, *, quantized: bool, tiled: bool = False, scene: Scene = "typical"
) -> list[RawOutput] | list[npt.NDArray[np.float32]]:
    """The twelve raw outputs of a made-up image, the same for the same seed.

    Args:
        seed: any whole number from 0.
        quantized: int8 NCHW with a published model's scales, rather than float32 NCHW.
        tiled: int8 in `NPU_LAYOUTS`.
        scene: how many objects; see `CANDIDATES`.
    """
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((NUM_CLASSES, NUM_PRIORS), np.float32) - np.float32(1.5)
    logits[0] = 9.5 + 0.6 * rng.standard_normal(NUM_PRIORS, np.float32)
    deltas = rng.standard_normal((4, NUM_PRIORS), np.float32)
    _plant(rng, logits, deltas, _OBJECTS[scene], CANDIDATES[scene])
    starts = np.cumsum([m.grid**2 * m.anchors for m in FEATURE_MAPS])[:-1]
    parts = [part for tensor in (logits, deltas) for part in np.split(tensor, starts, axis=1)]
    outputs = [np.ascontiguousarray(part).reshape(spec.shape) for part, spec in zip(parts, OUTPUTS, strict=True)]
    if tiled:
        return list[RawOutput](tile_like_an_npu(quantize(outputs)))
    return list[RawOutput](quantize(outputs)) if quantized else outputs


def quantize(outputs: list[npt.NDArray[np.float32]]) -> list[QuantizedTensor]:
    """Float32 raw outputs as an INT8 model of `example_outputs` gives them: rounded to nearest and saturated."""
    return [
        QuantizedTensor(steps(x, scale, zero_point), scale, zero_point)
        for x, (scale, zero_point) in zip(outputs, _QUANTIZATION, strict=True)
    ]


def steps(values: npt.NDArray[Any], scale: float, zero_point: int) -> npt.NDArray[np.int8]:
    """Real values in steps of an int8 output: rounded to nearest and saturated."""
    return np.asarray((np.rint(values / scale) + zero_point).clip(-128, 127).astype(np.int8))


def tile(output: QuantizedTensor, layout: TiledLayout, padding: int = 127) -> QuantizedTensor:
    """A quantized NCHW output in a tiled layout, every place that holds no element set to ``padding``."""
    data = output.data.reshape(output.data.shape[-3:])
    size = layout.ho * layout.co * layout.hi * layout.ci * layout.w
    flat: npt.NDArray[Any] = np.full(size, padding, data.dtype)
    flat[element_offsets(layout, data.shape)] = data
    return QuantizedTensor(flat, output.scale, output.zero_point, layout)


def tile_like_an_npu(outputs: list[QuantizedTensor]) -> list[QuantizedTensor]:
    """Quantized NCHW outputs in `NPU_LAYOUTS`."""
    return [tile(output, layout) for output, layout in zip(outputs, NPU_LAYOUTS, strict=True)]


def _plant(
    rng: np.random.Generator,
    logits: npt.NDArray[np.float32],
    deltas: npt.NDArray[np.float32],
    objects: int,
    candidates: int,
) -> None:
    """Writes ``objects`` objects into the logits and box outputs of at most ``candidates`` anchors."""
    priors = prior_boxes()
    for _ in range(objects):
        size = np.exp(rng.uniform(np.log(0.06), np.log(0.5), 2)).clip(max=0.9)
        centre = rng.uniform(size / 2, 1 - size / 2)
        seen = overlap(priors, centre, size)
        anchors = np.argsort(-seen, kind="stable")[: candidates // objects]
        anchors = anchors[seen[anchors] > 0.3]
        label = int(rng.integers(1, NUM_CLASSES))
        logits[0, anchors] = rng.normal(3.0, 1.0, len(anchors))
        logits[label, anchors] = rng.normal(5.5, 1.5, len(anchors))
        noise = rng.normal(0, 0.2, (4, len(anchors)))
        near = priors[anchors].T
        deltas[:2, anchors] = (centre[:, None] - near[:2]) / (0.1 * near[2:]) + noise[:2]
        deltas[2:, anchors] = np.log(size[:, None] / near[2:]) / 0.2 + noise[2:]


def overlap(
    priors: npt.NDArray[np.float32], centre: npt.NDArray[np.float64], size: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """(N,) IoU of every prior box with one box."""
    low = np.maximum(priors[:, :2] - priors[:, 2:] / 2, centre - size / 2)
    high = np.minimum(priors[:, :2] + priors[:, 2:] / 2, centre + size / 2)
    both: npt.NDArray[np.float64] = (high - low).clip(min=0).prod(axis=1)
    return np.asarray(both / (priors[:, 2:].prod(axis=1) + size.prod() - both))
