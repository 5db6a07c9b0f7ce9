"""What a model object offers to those who ask whether a model file is what it seems: other ways to feed and read it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

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
    """

    name: str
    about: tuple[str, ...]
    problem: str
    advice: str
    tensor: Callable[[bytes], npt.NDArray[np.uint8] | Floats]


@dataclass(frozen=True, eq=False)
class OutputReading:
    """One way to read a model's outputs; likewise. ``outputs`` brings them into the expected form."""

    name: str
    about: str
    problem: str
    advice: str
    outputs: Callable[[Sequence[Floats]], list[Floats]]


@dataclass(frozen=True)
class OutputSigns:
    """What raw outputs look like, each a mean over one image.

    Attributes:
        background: share of the softmax that the background has.
        entropy: of the softmax, as a share of the largest there can be.
        confident: how many places have a class with a share of 0.5 or more.
        size_ratio: by what factor the boxes at the surest places differ from their priors (1: not at all).
        agreement: IoU of the boxes at the surest places with the best other one of the same class: neighbouring places
            see the same object and must say the same of it.
        inside: share of those boxes that lie in the image, within a tenth.
    """

    background: float
    entropy: float
    confident: float
    size_ratio: float
    agreement: float
    inside: float


class Probe(Protocol):
    """Offered by `DetectionModel.probe`."""

    def inputs(self, dtype: str) -> list[InputReading]:
        """The ways to feed it, the expected one first."""
        ...

    def outputs(self) -> list[list[OutputReading]]:
        """For each thing that may be read in several ways, those ways, the expected one first."""
        ...

    def signs(self, outputs: Sequence[Floats]) -> OutputSigns:
        """Of one image's raw outputs, float32."""
        ...
