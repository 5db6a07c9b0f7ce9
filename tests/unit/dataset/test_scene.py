"""Scenes follow from seed and index, and what their boxes say is what is drawn."""

from __future__ import annotations

import numpy as np
import pytest

from harness.dataset.scene import (
    BLOCK,
    COLOUR_PAIRS,
    COLOURS,
    GREY_CATEGORIES,
    MOST_COVERED,
    MOST_INSIDE,
    NUM_CATEGORIES,
    SHADE,
    Scene,
    SceneObject,
    draw_scene,
)

SEED = 11


@pytest.fixture(scope="module")
def block() -> list[Scene]:
    return [draw_scene(SEED, index) for index in range(BLOCK)]


def overlap(a: SceneObject, b: SceneObject) -> int:
    width = min(a.left + a.width, b.left + b.width) - max(a.left, b.left)
    height = min(a.top + a.height, b.top + b.height) - max(a.top, b.top)
    return max(width, 0) * max(height, 0)


def test_a_scene_depends_on_its_seed_and_index_alone(block: list[Scene]) -> None:
    again = draw_scene(SEED, 7)
    assert again.objects == block[7].objects
    np.testing.assert_array_equal(again.pixels, block[7].pixels)
    assert draw_scene(SEED + 1, 7).objects != block[7].objects


def test_every_category_has_colours_of_its_own() -> None:
    assert len(set(COLOUR_PAIRS)) == NUM_CATEGORIES == len(COLOUR_PAIRS)


def test_a_block_shows_each_category_once_in_colour_and_one_scene_is_grey(block: list[Scene]) -> None:
    coloured = [item.category for scene in block if scene.pixels.ndim == 3 for item in scene.objects]
    assert sorted(coloured) == list(range(NUM_CATEGORIES))
    (grey,) = [scene for scene in block if scene.pixels.ndim == 2]
    assert sorted(item.category for item in grey.objects) == sorted(GREY_CATEGORIES)


def test_boxes_lie_inside_the_image_and_are_60_to_1000_pixels_in_the_model_s_input() -> None:
    sizes = []
    for index in range(3 * BLOCK):
        scene = draw_scene(SEED, index)
        height, width = scene.pixels.shape[:2]
        for item in scene.objects:
            assert 0 <= item.left < item.left + item.width <= width
            assert 0 <= item.top < item.top + item.height <= height
            sizes.append((item.width * 1200 / width, item.height * 1200 / height))
    sides = np.array(sizes)
    assert sides.min() >= 60
    assert sides.max() <= 1000
    mean_sides = np.sqrt(sides.prod(axis=1))
    assert (mean_sides < 120).mean() > 0.3
    assert (mean_sides > 600).mean() > 0.04


def test_objects_overlap_but_leave_each_other_visible(block: list[Scene]) -> None:
    overlapping = 0
    for scene in block:
        for k, under in enumerate(scene.objects):
            for part in (under, under.inner()):
                covered = sum(overlap(other, part) for other in scene.objects[k + 1 :])
                assert covered <= MOST_COVERED * part.width * part.height
            for other in scene.objects[k + 1 :]:
                if overlap(under, other):
                    overlapping += 1
                    assert overlap(under, other) <= MOST_INSIDE * other.width * other.height
                    assert COLOUR_PAIRS[other.category][0] not in COLOUR_PAIRS[under.category]
    assert overlapping >= 10


def test_the_colours_of_an_object_are_found_where_its_box_says(block: list[Scene]) -> None:
    checked = 0
    for scene in block:
        if scene.pixels.ndim == 2:
            continue
        for k, item in enumerate(scene.objects):
            if any(overlap(other, item) for other in scene.objects[k + 1 :]):
                continue
            outer, inner = COLOUR_PAIRS[item.category]
            row, column = item.top + item.height // 2, item.left + item.width // 2
            assert_colour(scene, row, column, inner, 1 - SHADE)
            assert_colour(scene, row, item.left + item.width // 10, outer)
            assert_colour(scene, item.top + item.height // 10, column, outer)
            if not item.is_ellipse:
                assert_colour(scene, item.top + 2, item.left + 2, outer)
            checked += 1
    assert checked > 20


def assert_colour(scene: Scene, row: int, column: int, colour: int, shade: float = 1.0) -> None:
    found = scene.pixels[row - 1 : row + 2, column - 1 : column + 2].mean(axis=(0, 1))
    distances = np.abs(np.array(COLOURS, float) * shade - found).sum(axis=1)
    assert distances.argmin() == colour
