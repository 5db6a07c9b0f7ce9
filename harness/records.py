"""The vocabulary shared by every part: tensors as devices give them, and detections. Imports nothing of ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Nms: TypeAlias = Literal["corrected", "reference"]
"""How boxes suppress each other: as it is right, or as a model's published reference does it."""


@dataclass(frozen=True)
class Normalisation:
    """What turns a uint8 pixel into the float32 model's input: (pixel / 255 − mean) / std, per channel."""

    mean: Sequence[float]
    std: Sequence[float]


@dataclass(frozen=True)
class Decoding:
    """How raw outputs become detections.

    Attributes:
        score_threshold: in (0, 1); a detection's score is above it.
        iou_threshold: in [0, 1]; of two boxes of a class that overlap more, the better one stays.
        max_detections: of one image, all classes together.
        nms: how boxes suppress each other.
    """

    score_threshold: float
    iou_threshold: float
    max_detections: int
    nms: Nms = "corrected"


@dataclass(frozen=True)
class TensorSpec:
    """What one input or output of a model is.

    Attributes:
        name: its name in the graph.
        shape: NCHW, batch 1.
        dtype: "uint8", "int8" or "float32".
    """

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class TiledLayout:
    """A tiled, padded int8 layout of a feature map, as NPUs leave it in memory.

    The element (c, h, w) of a (C, H, W) tensor lies at these places of the flat buffer:

    - ``HCHCW``: ``(((ho·Co + co)·Hi + hi)·Ci + ci)·W + w`` with c = co·Ci + ci and h = ho·Hi + hi
    - ``HCHWC``: ``(((ho·Co + co)·Hi + hi)·W + w)·Ci + ci`` with c = co·ceil(C/Co) + ci and h = ho·Hi + hi

    Attributes:
        order: which of the two.
        ho, co, hi, ci, w: the padded extents; the buffer holds ho·co·hi·ci·w elements.
    """

    order: Literal["HCHCW", "HCHWC"]
    ho: int
    co: int
    hi: int
    ci: int
    w: int


@dataclass(frozen=True, eq=False)
class QuantizedTensor:
    """A raw output as a quantized device gives it: real value = scale · (data − zero_point).

    Attributes:
        data: int8 or uint8; (C, H, W) or (1, C, H, W), or any shape of the right size when ``layout`` is given.
        scale: above 0, per tensor.
        zero_point: in the range of the dtype.
        layout: None for plain NCHW.
    """

    data: npt.NDArray[np.int8] | npt.NDArray[np.uint8]
    scale: float
    zero_point: int
    layout: TiledLayout | None = None


RawOutput: TypeAlias = "npt.NDArray[np.float32] | QuantizedTensor"
RawOutputs: TypeAlias = Sequence[RawOutput]


@dataclass(frozen=True, eq=False)
class Detections:
    """What was found in one image, best first.

    Attributes:
        boxes: (K, 4) float32, left, top, right, bottom, normalised to the image (not clipped to [0, 1]).
        scores: (K,) float32 in (0, 1], descending.
        labels: (K,) int32 in 1..80 (0 is background and never appears).
    """

    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.scores)
