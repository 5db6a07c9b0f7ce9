"""The other ways to feed and to read a model file, which `ssd-harness doctor model` tries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class InputReading:
    """One way to feed a model.

    Attributes:
        name: a stable key.
        about: what it decides, in a word or two: "normalisation", "colour order".
        problem: what is wrong if this one is right; empty for the expected way.
        advice: what to do about it.
        tensor: an encoded image → the (3, H, W) tensor.
        keeps_aspect: False if this way stretches an image that the model object letterboxes. The boxes are then
            normalised to the image as they come.
    """

    name: str
    about: tuple[str, ...]
    problem: str
    advice: str
    tensor: Callable[[bytes], npt.NDArray[np.uint8] | Floats]
    keeps_aspect: bool = True


@dataclass(frozen=True, eq=False)
class OutputReading:
    """One way to read a model's outputs.

    Attributes:
        name: A stable key.
        about: What it decides: "class layout", "box order".
        problem: What is wrong if this one is right; empty for the expected way.
        advice: What to do about it.
        outputs: Raw outputs so written → the same in the expected form.
        shown_by: Which outputs show it, those of classes or those of boxes.
    """

    name: str
    about: str
    problem: str
    advice: str
    outputs: Callable[[Sequence[Floats]], list[Floats]]
    shown_by: Literal["classes", "boxes"] = "boxes"


@dataclass(frozen=True)
class OutputTraces:
    """Figures that raw outputs show without annotations, each a mean over one image.

    Attributes:
        background: share of the softmax that the background has; of a model without a background class, the share of
            places at which no class is sure.
        entropy: of the softmax, as a share of the largest there can be; None without a softmax.
        confident: how many places have a class with a share of 0.5 or more.
        size_ratio: by what factor the boxes at the surest places differ from their priors (1: not at all); None
            without priors.
        agreement: IoU of the boxes at the surest places with the best other one of the same class: neighbouring places
            see the same object and must say the same of it.
        inside: share of those boxes that lie in the image, within a tenth.
    """

    background: float
    entropy: float | None
    confident: float
    size_ratio: float | None
    agreement: float
    inside: float


class Probe(Protocol):
    """The ways to feed and to read a model; `DetectionModel.probe` is one."""

    def inputs(self, dtype: str) -> list[InputReading]:
        """The ways to feed it, the expected one first."""
        ...

    def outputs(self) -> list[list[OutputReading]]:
        """The ways to read each thing that may have been written in several, the expected way first."""
        ...

    def traces(self, outputs: Sequence[Floats]) -> OutputTraces:
        """The figures of one image's raw outputs, float32."""
        ...
