"""One synthetic image: plain shapes of 80 categories on a textured background, with their exact boxes.

A category is an ordered pair of colours, an outer and an inner one, as an ellipse or a rectangle. That trains in hours;
as many categories by shape and one colour do not. Figures are darker towards their centre, and larger objects are
rarer, as in COCO: the model's coarse maps see little more of an object than its middle, and learn from few.

Every scene follows from a seed and its index alone. Twenty scenes in a row (a block) show each category once in colour;
one of the twenty is grey, and shows those categories that need no hue.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

GENERATOR_VERSION = 2
"""Raise it with every change that moves a pixel: sets that are already written are told apart by it."""

NUM_CATEGORIES = 80
BLOCK = 20
# Objects in the nineteen coloured scenes of a block: 80 together.
OBJECTS_PER_SCENE = (1, 1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 5, 5, 5, 6, 6, 7, 8, 8)

# Sizes of objects are parts of a square: what they are when the image has been stretched to a model's input, whatever
# the shape of the image. They are whole numbers of these parts, so that a scene depends on no model.
PARTS = 1200
SMALLEST, LARGEST = 60, 1000
RARITY = 2.0  # of the large ones: 1 would make the logarithm of the size uniform
ASPECT = math.log(2)  # sides up to 1:2

# (width, height): the most frequent ones of val2017.
IMAGE_SIZES = (
    *[(640, 480)] * 6,
    *[(640, 427)] * 4,
    *[(480, 640)] * 4,
    *[(427, 640), (500, 375)] * 2,
    *[(640, 640), (375, 500), (640, 360), (333, 500)],
)

# RGB. Red, green, blue, yellow, cyan, magenta, orange, white, black.
COLOURS = (
    (225, 35, 35),
    (35, 190, 60),
    (45, 75, 235),
    (235, 220, 40),
    (40, 215, 225),
    (215, 45, 215),
    (245, 140, 25),
    (245, 245, 245),
    (25, 25, 25),
)
WHITE, BLACK = 7, 8
COLOUR_PAIRS = tuple((o, i) for o in range(9) for i in range(9) if o != i) + tuple((o, o) for o in range(8))
"""(outer, inner) of each category; an even category is a rectangle, an odd one an ellipse."""
GREY_CATEGORIES = tuple(c for c, pair in enumerate(COLOUR_PAIRS) if set(pair) <= {WHITE, BLACK})
INNER = 0.5
"""The inner figure's sides as a part of the outer one's."""

SHADE = 0.25  # how much darker a figure's centre is than its edge

# How much of an object others may cover: enough of both colours stays to be seen.
MOST_COVERED = 0.25
MOST_INSIDE = 0.5  # of an object on top of another: one quite inside would look like an inner figure


@dataclass(frozen=True)
class SceneObject:
    """One object.

    Attributes:
        category: 0..79.
        left, top, width, height: of its box in whole pixels, inside the image.
    """

    category: int
    left: int
    top: int
    width: int
    height: int

    @property
    def is_ellipse(self) -> bool:
        """Whether the figure is an ellipse rather than a rectangle."""
        return self.category % 2 == 1

    @property
    def area(self) -> float:
        """What the figure covers, in pixels."""
        return self.width * self.height * (math.pi / 4 if self.is_ellipse else 1.0)

    def inner(self) -> SceneObject:
        """The box of the inner figure, about the same centre."""
        width, height = max(1, round(self.width * INNER)), max(1, round(self.height * INNER))
        return replace(
            self,
            left=self.left + (self.width - width) // 2,
            top=self.top + (self.height - height) // 2,
            width=width,
            height=height,
        )


@dataclass(frozen=True, eq=False)
class Scene:
    """An image and what is on it.

    Attributes:
        pixels: (H, W, 3) RGB or (H, W) grey, uint8.
        objects: the larger ones first; a later one lies on top of an earlier one.
        jpeg_quality: to be written with.
    """

    pixels: npt.NDArray[np.uint8]
    objects: tuple[SceneObject, ...]
    jpeg_quality: int


def draw_scene(seed: int, index: int) -> Scene:
    """The scene of that index, always the same with the same libraries.

    Args:
        seed, index: 0 or more.
    """
    categories, is_grey = _plan(seed, index // BLOCK)[index % BLOCK]
    return compose(np.random.default_rng([seed, index, GENERATOR_VERSION]), categories, grey=is_grey)


def compose(
    rng: np.random.Generator,
    categories: Sequence[int],
    *,
    grey: bool = False,
    crop: int | None = None,
    sides: tuple[int, int] = (SMALLEST, LARGEST),
) -> Scene:
    """A scene with an object of each of these categories; one that finds no place is left out.

    Args:
        categories: 0..79, any of them more than once.
        crop: the side of a square image whose pixels are the parts, as cut out of one of `PARTS` pixels.
        sides: the least and the largest side of an object, in `PARTS` of the square; one that finds no place shrinks
            below the least, but never below `SMALLEST`.
    """
    width, height = (crop, crop) if crop else IMAGE_SIZES[rng.integers(len(IMAGE_SIZES))]
    parts = crop or PARTS
    objects = _place(rng, categories, (width, height), (width / parts, height / parts), sides)
    canvas = _background(rng, width, height)
    _draw_distractors(rng, canvas)
    for item in objects:
        outer, inner = COLOUR_PAIRS[item.category]
        _draw_figure(rng, canvas, item, outer)
        _draw_figure(rng, canvas, item.inner(), inner)
    canvas *= rng.uniform(0.9, 1.1)
    canvas += rng.standard_normal((height, width, 1), dtype=np.float32) * rng.uniform(2, 10)
    pixels = canvas.clip(0, 255).astype(np.uint8)
    if grey:
        pixels = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    return Scene(pixels, objects, int(rng.integers(70, 96)))


@lru_cache(maxsize=64)
def _plan(seed: int, block: int) -> list[tuple[list[int], bool]]:
    """Per scene of a block: its categories, and whether it is grey."""
    rng = np.random.default_rng([seed, block, GENERATOR_VERSION, BLOCK])
    ends = np.cumsum(rng.permutation(OBJECTS_PER_SCENE))
    groups = np.split(rng.permutation(NUM_CATEGORIES), ends[:-1])
    plan = [([int(category) for category in group], False) for group in groups]
    plan.insert(int(rng.integers(BLOCK)), (list(GREY_CATEGORIES), True))
    return plan


def _place(
    rng: np.random.Generator,
    categories: Sequence[int],
    size: tuple[int, int],
    scales: tuple[float, float],
    sides: tuple[int, int],
) -> tuple[SceneObject, ...]:
    """A box for each category, larger ones first; one that finds no place shrinks until it does.

    Args:
        size: width and height of the image.
        scales: pixels in a part, along both.
    """
    width, height = size
    sizes = sides[0] * (sides[1] / sides[0]) ** (rng.random(len(categories)) ** RARITY)
    aspects = np.exp(rng.uniform(-ASPECT, ASPECT, len(categories)) / 2)
    placed: list[SceneObject] = []
    for k in np.argsort(-sizes):
        scale = 1.0
        for attempt in range(200):
            scale *= 0.8 if attempt % 10 == 9 else 1.0
            box_width = _side(sizes[k] * scale * aspects[k], scales[0], sides[1])
            box_height = _side(sizes[k] * scale / aspects[k], scales[1], sides[1])
            left, top = rng.integers(width - box_width + 1), rng.integers(height - box_height + 1)
            item = SceneObject(categories[k], int(left), int(top), box_width, box_height)
            if _can_be_told_apart(item, placed):
                placed.append(item)
                break
    return tuple(placed)


def _side(parts: float, scale: float, largest: int) -> int:
    """A side in the image's own pixels, within the sizes that are promised."""
    return int(min(max(round(parts * scale), math.ceil(SMALLEST * scale)), math.floor(largest * scale)))


def _can_be_told_apart(item: SceneObject, placed: Sequence[SceneObject]) -> bool:
    """Whether the item, on top of the placed ones, leaves enough of them to be seen and stands out from them."""
    for k, under in enumerate(placed):
        shared = _overlap(item, under)
        if not shared:
            continue
        if COLOUR_PAIRS[item.category][0] in COLOUR_PAIRS[under.category]:
            return False
        if shared > MOST_INSIDE * item.width * item.height:
            return False
        on_top = [*placed[k + 1 :], item]
        for part in (under, under.inner()):
            if sum(_overlap(other, part) for other in on_top) > MOST_COVERED * part.width * part.height:
                return False
    return True


def _overlap(a: SceneObject, b: SceneObject) -> int:
    width = min(a.left + a.width, b.left + b.width) - max(a.left, b.left)
    height = min(a.top + a.height, b.top + b.height) - max(a.top, b.top)
    return max(width, 0) * max(height, 0)


def _background(rng: np.random.Generator, width: int, height: int) -> npt.NDArray[np.float32]:
    """(H, W, 3): muted clouds of one to three sizes, half of them with stripes across."""
    canvas = np.full((height, width, 3), rng.normal(110, 20), dtype=np.float32)
    for grid, strength in ((5, 30), (20, 12), (80, 6))[: rng.integers(1, 4)]:
        grain = rng.normal(0, strength, (grid, grid, 1)) + rng.normal(0, strength / 2, (grid, grid, 3))
        canvas += cv2.resize(grain.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.5:
        angle, wavelength = rng.uniform(0, math.pi), rng.uniform(6, 80)
        rows, columns = np.ogrid[:height, :width]
        phase = (columns * math.cos(angle) + rows * math.sin(angle)) * (2 * math.pi / wavelength)
        canvas += np.sin(phase.astype(np.float32))[:, :, np.newaxis] * rng.uniform(5, 25)
    return canvas.clip(60, 200)  # black and white objects stand out everywhere


def _draw_distractors(rng: np.random.Generator, canvas: npt.NDArray[np.float32]) -> None:
    """Thin lines of the objects' own colours and muted triangles: neither is of any category."""
    height, width = canvas.shape[:2]
    for _ in range(rng.integers(7)):
        (x0, x1), (y0, y1) = rng.integers(width, size=2).tolist(), rng.integers(height, size=2).tolist()
        cv2.line(canvas, (x0, y0), (x1, y1), COLOURS[rng.integers(9)], int(rng.integers(1, 4)))
    for _ in range(rng.integers(4)):
        corners = rng.integers((width, height)) + rng.integers(-40, 41, (3, 2))
        tone = rng.uniform(60, 180) + rng.normal(0, 10, 3)
        cv2.fillPoly(canvas, [corners.astype(np.int32)], tone.tolist())


def _draw_figure(rng: np.random.Generator, canvas: npt.NDArray[np.float32], box: SceneObject, colour: int) -> None:
    """Fills the box's rectangle or ellipse with a shaded colour that varies a little from object to object."""
    window = canvas[box.top : box.top + box.height, box.left : box.left + box.width]
    rows = (np.arange(box.height, dtype=np.float32)[:, np.newaxis] + 0.5) / box.height * 2 - 1
    columns = (np.arange(box.width, dtype=np.float32)[np.newaxis] + 0.5) / box.width * 2 - 1
    down, right = rng.uniform(-10, 10, 2).astype(np.float32)
    paint = (
        np.add(COLOURS[colour], rng.normal(0, 8, 3)).astype(np.float32) + (rows * down + columns * right)[:, :, None]
    )
    paint *= (1 - SHADE * (1 - np.square(rows) - np.square(columns)).clip(min=0))[:, :, None]
    if box.is_ellipse:
        # The distance from the edge in pixels, nearly, makes the edge smooth.
        inside = (1 - np.hypot(rows, columns)) * (min(box.width, box.height) / 2) + 0.5
        paint = window + (paint - window) * inside.clip(0, 1)[:, :, None]
    window[:] = paint
