"""Boxes that are moved, resized or stretched by no known formula: named and undone by what is estimated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from harness.doctor.choices import Choice, Sizes
from harness.doctor.displacement import Displacement, Estimate, displacement_of
from harness.doctor.evidence import Floats
from harness.doctor.reading import Reading
from harness.doctor.trial import Trial

LEAST_SHIFT, LEAST_RESIZING, LEAST_SCALING = 0.005, 0.08, 0.03
"""What is named: a shift of this share of the image, boxes that are larger or smaller by this share, places that are
scaled by this share. Of 19 sound published logs the largest were 0.0032, 0.048 and 0.010."""
_ALIKE = 0.04  # factors that differ by less are one factor
_NOTED_SHIFT = 0.001


def displaced_boxes(trial: Trial, reading: Reading) -> Choice | None:
    """How the boxes are displaced if they are read so; None if they are not, or not enough of them match objects."""
    found = displacement(trial, reading)
    if found is None:
        return None
    scaled = [_differs(found.interval("position", axis), 1.0, LEAST_SCALING) for axis in (0, 1)]
    resized = [_differs(found.interval("size", axis), 1.0, LEAST_RESIZING) for axis in (0, 1)]
    if all(abs(found.size[k] / found.position[k] - 1) < _ALIKE for k in (0, 1)) and any(scaled):
        return _scaled_as_a_whole(found)
    moved = [_differs(found.interval("shift", axis), 0.0, LEAST_SHIFT) for axis in (0, 1)]
    if not any(moved + resized):
        return None
    named = replace(
        found,
        shift=np.where(moved, found.shift, 0.0),
        position=np.ones(2),
        size=np.where(resized, found.size, 1.0),
    )
    problems = [*([_shift_text(named)] if any(moved) else []), *([_size_text(found)] if any(resized) else [])]
    name, advice = ("boxes-shifted", _SHIFT_ADVICE) if any(moved) else (_size_name(named), _SIZE_ADVICE)
    return _choice(name, " and ".join(problems), advice, named, found)


def displacement(trial: Trial, reading: Reading) -> Displacement | None:
    """The displacement of the sample's boxes, read so."""
    read = reading.read(trial.evidence)
    image_count, pairs = len(trial.evidence.images), trial.pairs(reading.order)
    return displacement_of(read.boxes, read.categories, read.scores, trial.images, image_count, trial.objects, pairs)


def shift_note(trial: Trial, reading: Reading) -> str | None:
    """A sentence on a shift that is too small to be called wrong; None if there is none."""
    found = displacement(trial, reading)
    if found is None or not any(_differs(found.interval("shift", axis), 0.0, _NOTED_SHIFT) for axis in (0, 1)):
        return None
    return (
        f"boxes lie {_shift_evidence(found)}: as small as a rounding or half a pixel of a model's input, "
        "and usual in sound logs"
    )


def _scaled_as_a_whole(found: Displacement) -> Choice:
    """Places and sizes by the same factor, as where coordinates are divided by a wrong size."""
    factor = np.sqrt(found.size * found.position)
    named = replace(found, position=factor, size=factor)
    vertical, horizontal = factor
    corner = found.shift + 0.5 * (1 - factor)  # what is added to a coordinate after it is multiplied
    text = f"coordinates are multiplied by {horizontal:.3f} in x and {vertical:.3f} in y"
    if np.abs(corner).max() >= LEAST_SHIFT:
        text += f", and {100 * corner[1]:+.1f} % of the width and {100 * corner[0]:+.1f} % of the height are added"
    return _choice("boxes-scaled", text, _SCALE_ADVICE, named, found)


_SHIFT_ADVICE = (
    "see how boxes are brought back to the image: padding, half-pixel centres, and the centres of cells or prior boxes"
)
_SIZE_ADVICE = "see what sizes are multiplied by when boxes are decoded: strides, or variances and prior boxes' sizes"
_SCALE_ADVICE = "divide by the size that the boxes are in: of the model's input, without padding, or of the image"


def _choice(name: str, problem: str, advice: str, named: Displacement, found: Displacement) -> Choice:
    def undo(boxes: Floats, sizes: Sizes) -> Floats:
        return named.undo(boxes)

    evidence = (
        f"{found.matches} boxes matched with objects in {found.images} images (95 % intervals) lie "
        f"{_shift_evidence(found)}, and are {_size_evidence(found)}"
    )
    return Choice(name, "displacement", problem, advice, undo, evidence)


def _differs(interval: Estimate, expected: float, least: float) -> bool:
    return interval.excludes(expected) and abs(interval.value - expected) >= least


def _shift_text(named: Displacement) -> str:
    parts = []
    for axis, length, positive, negative in ((1, "width", "right", "left"), (0, "height", "down", "up")):
        share = named.shift[axis]
        if share:
            way = positive if share > 0 else negative
            parts.append(f"{100 * abs(share):.1f} % of the image's {length} too far {way}")
    return f"boxes lie {' and '.join(parts)}"


def _size_name(named: Displacement) -> str:
    height, width = named.size
    if abs(width / height - 1) >= LEAST_RESIZING:
        return "boxes-stretched"
    return "boxes-too-large" if height * width > 1 else "boxes-too-small"


def _size_text(found: Displacement) -> str:
    height, width = found.size
    if abs(width / height - 1) < LEAST_RESIZING:
        factor = float(np.sqrt(height * width))
        return f"boxes are {factor:.2f} times as large as their objects, in width and height"
    return f"boxes are {width:.2f} times as wide and {height:.2f} times as high as their objects"


def _shift_evidence(found: Displacement) -> str:
    return " and ".join(
        f"{100 * part.value:+.2f} % ({100 * part.low:+.2f} to {100 * part.high:+.2f}) of the {length} {way}"
        for part, length, way in (
            (found.interval("shift", 1), "width", "to the right"),
            (found.interval("shift", 0), "height", "down"),
        )
    )


def _size_evidence(found: Displacement) -> str:
    return " and ".join(
        f"{part.value:.3f} ({part.low:.3f} to {part.high:.3f}) times as {what}"
        for part, what in ((found.interval("size", 1), "wide"), (found.interval("size", 0), "high"))
    )
