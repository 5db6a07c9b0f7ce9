"""The ways in which detections may have been written. Reading them takes seven steps, and each step has choices.

The first choice of a step is the right one. A mistake is a step at which the log's writer chose otherwise, and reading
the log by that choice repairs it. One mistake is therefore one step off the default, two mistakes are two steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from harness.accuracy.ground_truth import GroundTruth
from harness.doctor.evidence import Floats, Ints

Step = Literal["order", "format", "units", "frame", "displacement", "labels", "scores"]
READING_STEPS: tuple[Step, ...] = ("order", "format", "units", "frame", "displacement", "labels", "scores")
"""The steps in the order in which they are taken."""


@dataclass(frozen=True, eq=False)
class Sizes:
    """Image sizes, each as height, width, height, width in pixels.

    Attributes:
        own: (N, 4) float64, the size of each detection's image.
        places: (N,) int64, the place of each detection's image in the annotations.
        all: (I, 4) float64, the sizes of all images of the annotations.
    """

    own: Floats
    places: Ints
    all: Floats

    @classmethod
    def at(cls, truth: GroundTruth, places: Ints) -> Sizes:
        """The sizes for detections at these places."""
        every = np.stack([truth.heights, truth.widths, truth.heights, truth.widths], axis=1)
        return cls(every[places], places, every)


Geometry: TypeAlias = Callable[[Floats, Sizes], Floats]
"""(N, 4) numbers → (N, 4) numbers; top, left, bottom, right from the format on."""


@dataclass(frozen=True, eq=False)
class Choice:
    """One way in which a step may have been written. Two choices are equal only if they are the same object.

    Attributes:
        name: A stable key.
        step: The step of reading that the choice belongs to.
        problem: The mistake, as a clause: "labels are one too low".
        advice: What to do about the mistake.
        read: Undoes the mistake. For "format", "units", "frame" and "displacement" a `Geometry`; for "order" places →
            places (−1: none); for "labels" labels → category index (−1: none); for "scores" scores → scores.
        evidence: What the data says for the choice, if it was estimated; a clause without its full stop.
    """

    name: str
    step: Step
    problem: str
    advice: str
    read: Callable[..., Any]
    evidence: str = ""


UNDISPLACED = Choice("boxes-in-place", "displacement", "boxes lie where they should", "", lambda boxes, sizes: boxes)
"""The right choice of the displacement."""
