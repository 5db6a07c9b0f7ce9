"""Ways to write a box: which four numbers, in which unit, and in which frame."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from harness.doctor.choices import Choice, Sizes
from harness.doctor.evidence import EvidenceKind, Floats

_LOG_FORMAT = "ymin, xmin, ymax, xmax"
_RESULTS_FORMAT = "x, y, width, height"


def _taken(*order: int) -> Callable[[Floats, Sizes], Floats]:
    """Numbers that are two corners, in this order."""
    return lambda numbers, sizes: numbers[:, order]


def _corner_and_size(*order: int) -> Callable[[Floats, Sizes], Floats]:
    """A corner and a size; ``order`` brings them to y, x, height, width."""

    def read(numbers: Floats, sizes: Sizes) -> Floats:
        given = numbers[:, order]
        return np.concatenate([given[:, :2], given[:, :2] + given[:, 2:]], axis=1)

    return read


def _centre_and_size(*order: int) -> Callable[[Floats, Sizes], Floats]:
    def read(numbers: Floats, sizes: Sizes) -> Floats:
        given = numbers[:, order]
        return np.concatenate([given[:, :2] - given[:, 2:] / 2, given[:, :2] + given[:, 2:] / 2], axis=1)

    return read


_FORMATS: tuple[tuple[str, Callable[[Floats, Sizes], Floats]], ...] = (
    (_LOG_FORMAT, _taken(0, 1, 2, 3)),
    ("xmin, ymin, xmax, ymax", _taken(1, 0, 3, 2)),
    (_RESULTS_FORMAT, _corner_and_size(1, 0, 3, 2)),
    ("y, x, height, width", _corner_and_size(0, 1, 2, 3)),
    ("centre x, centre y, width, height", _centre_and_size(1, 0, 3, 2)),
    ("centre y, centre x, height, width", _centre_and_size(0, 1, 2, 3)),
    ("xmin, xmax, ymin, ymax", _taken(2, 0, 3, 1)),
    ("ymin, ymax, xmin, xmax", _taken(0, 2, 1, 3)),
    ("ymax, xmax, ymin, xmin", _taken(2, 3, 0, 1)),
    ("xmax, ymax, xmin, ymin", _taken(3, 2, 1, 0)),
)


def format_choices(kind: EvidenceKind) -> list[Choice]:
    """Which numbers stand for a box."""
    expected = _LOG_FORMAT if kind == "accuracy log" else _RESULTS_FORMAT
    formats = sorted(_FORMATS, key=lambda each: each[0] != expected)  # stable: the expected one comes first
    return [
        Choice(
            "boxes-as-" + name.replace(", ", "-").replace(" ", "-"),
            "format",
            f"boxes are written as {name}, not as {expected}",
            f"write {expected}" + (" (a log exchanges x and y against most other formats)" if "min" in name else ""),
            read,
        )
        for name, read in formats
    ]


def _scaled(factor: Callable[[Sizes], Floats | float]) -> Callable[[Floats, Sizes], Floats]:
    return lambda boxes, sizes: boxes * factor(sizes)


def _scaled_from_pixels(factor: Callable[[Sizes], Floats | float]) -> Callable[[Floats, Sizes], Floats]:
    return lambda boxes, sizes: boxes * factor(sizes) / sizes.own


def _neighbour(step: int) -> Callable[[Sizes], Floats]:
    return lambda sizes: np.asarray(sizes.all[(sizes.places + step) % len(sizes.all)])


def _exchanged(sizes: Sizes) -> Floats:
    return sizes.own[:, [1, 0, 3, 2]]


_OTHER_SIZES: tuple[tuple[str, str, Callable[[Sizes], Floats]], ...] = (
    ("exchanged-sides", "its own width and height exchanged", _exchanged),
    ("next-image", "the next image's size", _neighbour(1)),
    ("previous-image", "the previous image's size", _neighbour(-1)),
    ("first-image", "the first image's size", lambda sizes: sizes.all[:1]),
    ("last-image", "the last image's size", lambda sizes: sizes.all[-1:]),
    ("640x480", "640 × 480 for every image", lambda sizes: np.array([[480.0, 640.0, 480.0, 640.0]])),
)
_INPUT_SIDES = (1200, 300, 320, 416, 512, 608, 640, 800)
"""Square model inputs of the MLPerf detectors and their relatives."""


def unit_choices(kind: EvidenceKind) -> list[Choice]:
    """In which unit a box is; each factor is on top of what the kind of file expects."""
    is_log = kind == "accuracy log"
    expected = "normalised to 0..1" if is_log else "in pixels of the image"
    advice = (
        "divide x by the width and y by the height of the original image, once"
        if is_log
        else "give pixels of the original image: normalised x times its width, y times its height, once"
    )
    scaled = _scaled if is_log else _scaled_from_pixels
    as_expected = scaled(lambda sizes: 1.0)
    choices = [Choice("units-as-expected", "units", f"boxes are {expected}", "", as_expected)]

    def add(name: str, problem: str, factor: Callable[[Sizes], Floats | float]) -> None:
        choices.append(Choice(name, "units", problem, advice, scaled(factor)))

    pixels = "in pixels of the image, not normalised to 0..1"
    if is_log:
        add("pixels", f"boxes are {pixels}", lambda sizes: 1 / sizes.own)
        add("normalised-twice", "boxes were divided by the image's size twice", lambda sizes: sizes.own)
        add("percent", "boxes are in percent of the image, not normalised to 0..1", lambda sizes: 0.01)
    else:
        add("normalised", "boxes are normalised to 0..1, not in pixels of the image", lambda sizes: sizes.own)
        add("scaled-twice", "boxes were multiplied by the image's size twice", lambda sizes: 1 / sizes.own)
    for side in _INPUT_SIDES:
        if is_log:
            what = f"boxes are in pixels of a {side} × {side} input, not normalised to 0..1"
            add(f"pixels-of-{side}", what, functools.partial(lambda sizes, side: 1 / side, side=side))
        toward = functools.partial(lambda sizes, side: sizes.own / side, side=side)
        away = functools.partial(lambda sizes, side: side / sizes.own, side=side)
        of_input = f"boxes in pixels of a {side} × {side} input were taken for pixels of the image"
        by_input = f"boxes in pixels of the image were divided by {side}, a model's input side"
        add(f"input-{side}-taken-for-image", of_input, toward)
        add(f"image-taken-for-input-{side}", by_input if is_log else f"boxes were scaled by {side} twice", away)
        if is_log:
            what = f"normalised boxes were divided by {side}"
            add(f"divided-by-{side}", what, functools.partial(lambda sizes, side: float(side), side=side))
    for name, what, size in _OTHER_SIZES:
        divided = functools.partial(lambda sizes, size: size(sizes) / sizes.own, size=size)
        multiplied = functools.partial(lambda sizes, size: sizes.own / size(sizes), size=size)
        add(f"divided-by-{name}", f"boxes were divided by the wrong size: {what}", divided)
        add(f"multiplied-by-{name}", f"boxes were scaled by the wrong size: {what}", multiplied)
    return choices


def _letterbox(side: Callable[..., Floats], centred: bool, inverse: bool) -> Callable[[Floats, Sizes], Floats]:
    """Undoes (or, inverse, does) the placing of an image into a square whose side is the longer or shorter one."""

    def read(boxes: Floats, sizes: Sizes) -> Floats:
        square = side(sizes.own, axis=1, keepdims=True)
        margin = (square - sizes.own) / 2 if centred else 0.0
        return (boxes * sizes.own + margin) / square if inverse else (boxes * square - margin) / sizes.own

    return read


def _turned(top: int, left: int, bottom: int, right: int) -> Callable[[Floats, Sizes], Floats]:
    """A turn or a mirror image: from which number each side comes; negative, 1 minus number −n − 1."""
    order = (top, left, bottom, right)

    def read(boxes: Floats, sizes: Sizes) -> Floats:
        return np.stack([boxes[:, k] if k >= 0 else 1 - boxes[:, -k - 1] for k in order], axis=1)

    return read


TURNS: tuple[tuple[str, str, Callable[[Floats, Sizes], Floats]], ...] = (
    ("mirrored", "mirrored, left for right", _turned(0, -4, 2, -2)),
    ("upside-down", "mirrored, top for bottom", _turned(-3, 1, -1, 3)),
    ("rotated-180", "turned by 180°", _turned(-3, -4, -1, -2)),
    ("rotated-90-clockwise", "turned by 90° clockwise", _turned(-4, 0, -2, 2)),
    ("rotated-90-counterclockwise", "turned by 90° counterclockwise", _turned(1, -3, 3, -1)),
    ("transposed", "mirrored at the diagonal (x and y exchanged)", _turned(1, 0, 3, 2)),
    ("transversed", "mirrored at the other diagonal", _turned(-4, -3, -2, -1)),
)
"""What EXIF's orientations 2 to 8 do, and how to undo each."""


def frame_choices(kind: EvidenceKind) -> list[Choice]:
    """Which picture the box is relative to."""
    choices = [
        Choice("frame-as-expected", "frame", "boxes are relative to the whole image", "", lambda boxes, sizes: boxes)
    ]
    for name, what, side, centred in (
        ("letterbox-centred", "the square with the image in its middle (aspect kept, padded)", np.max, True),
        ("letterbox-corner", "the square with the image in its upper left corner (aspect kept, padded)", np.max, False),
        ("centre-crop", "the square cut out of the image's middle (aspect kept, cropped)", np.min, True),
    ):
        advice = "take the padding off and divide by the image's own width and height, or resize without keeping aspect"
        choices.append(
            Choice(name, "frame", f"boxes are relative to {what}", advice, _letterbox(side, centred, inverse=False))
        )
        problem = f"boxes were corrected for {what}, but the model saw the image stretched"
        advice = "leave that correction out: the image is resized without keeping its aspect"
        choices.append(Choice(f"un-{name}", "frame", problem, advice, _letterbox(side, centred, inverse=True)))
    for name, what, read in TURNS:
        advice = "decode images without applying EXIF's orientation, and turn boxes back with the image"
        choices.append(Choice(name, "frame", f"boxes are {what}", advice, read))
    return choices
