"""How detections may have been written. Each stage of reading them has a choice; the first of a stage is the right one.

A mistake is a stage at which the log's writer chose otherwise. Its repair is to read the log in that way, so a single
mistake is one stage off the default, a combination of two is two stages.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from harness.accuracy.ground_truth import GroundTruth
from harness.doctor.evidence import Floats, Ints

Stage = Literal["order", "format", "units", "frame", "labels", "scores"]
READING_STEPS: tuple[Stage, ...] = ("order", "format", "units", "frame", "labels", "scores")


@dataclass(frozen=True, eq=False)
class Sizes:
    """The sizes of images, as (N, 4) height, width, height, width of each detection's image.

    Attributes:
        own: of the image that the detection is in.
        of_place: the same of any place in the annotations.
        places: (N,) of the detections.
    """

    own: Floats
    places: Ints
    all: Floats

    @classmethod
    def at(cls, truth: GroundTruth, places: Ints) -> Sizes:
        """Of detections at these places."""
        every = np.stack([truth.heights, truth.widths, truth.heights, truth.widths], axis=1)
        return cls(every[places], places, every)


Geometry: TypeAlias = Callable[[Floats, Sizes], Floats]
"""(N, 4) numbers → (N, 4) numbers; top, left, bottom, right from the format on."""


@dataclass(frozen=True, eq=False)
class Choice:
    """One way in which a stage may have been written.

    Attributes:
        name: a stable key.
        stage: what it is about.
        problem: the mistake, as a clause: "labels are one too low".
        advice: what to do about it.
        read: undoes it. For "format", "units" and "frame" a `Geometry`; for "order" places → places (−1: none); for
            "labels" labels → category index (−1: none); for "scores" scores → scores.
    """

    name: str
    stage: Stage
    problem: str
    advice: str
    read: Callable[..., Any]
