"""Mistakes planted into healthy accuracy logs, each where it would be made: what the doctor must name.

A plant takes a log and its annotations and gives both back, harmed. Nothing here knows how the doctor undoes it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from harness.accuracy.ground_truth import GroundTruth
from harness.accuracy.log import AccuracyLog

Harmed = tuple[AccuracyLog, GroundTruth]
Plant = Callable[[AccuracyLog, GroundTruth], Harmed]


@dataclass(frozen=True)
class Defect:
    """A mistake and the names that the doctor may give it, all of which must come among the findings.

    Attributes:
        names: of the findings expected; each may offer alternatives that mean the same.
        plant: does it.
    """

    names: tuple[tuple[str, ...], ...]
    plant: Plant


def _sizes(log: AccuracyLog, truth: GroundTruth) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    return truth.widths[log.qsl_idx], truth.heights[log.qsl_idx]


def _boxes(change: Callable[..., list[npt.NDArray[np.float64]]]) -> Plant:
    """``change(left, top, right, bottom, width, height of the image)`` gives the four numbers written."""

    def plant(log: AccuracyLog, truth: GroundTruth) -> Harmed:
        top, left, bottom, right = log.boxes.T.astype(np.float64)
        numbers = change(left, top, right, bottom, *_sizes(log, truth))
        return replace(log, boxes=np.stack(numbers, axis=1).astype(np.float32)), truth

    return plant


def _labels(change: Callable[[npt.NDArray[np.int64], GroundTruth], npt.NDArray[np.int64]]) -> Plant:
    """``change(0-based categories, truth)`` gives the labels written; below −1000: the detection is dropped."""

    def plant(log: AccuracyLog, truth: GroundTruth) -> Harmed:
        written = change(categories_of(log, truth), truth)
        return _kept(replace(log, labels=written.astype(np.int32)), written > -1000), truth

    return plant


def categories_of(log: AccuracyLog, truth: GroundTruth) -> npt.NDArray[np.int64]:
    """0-based categories of a healthy log, whose labels are contiguous or ids."""
    labels = log.labels.astype(np.int64)
    contiguous = set(np.unique(labels).tolist()) <= set(range(1, len(truth.category_ids) + 1))
    return labels - 1 if contiguous else np.searchsorted(truth.category_ids, labels)


def _kept(log: AccuracyLog, kept: npt.NDArray[np.bool_]) -> AccuracyLog:
    return replace(
        log, qsl_idx=log.qsl_idx[kept], boxes=log.boxes[kept], scores=log.scores[kept], labels=log.labels[kept]
    )


def _chosen(choose: Callable[[AccuracyLog], npt.NDArray[np.bool_]]) -> Plant:
    return lambda log, truth: (_kept(log, choose(log)), truth)


def _best(count: int) -> Plant:
    """Keeps the best so many of each image."""

    def kept(log: AccuracyLog) -> npt.NDArray[np.bool_]:
        chosen = np.zeros(len(log), np.bool_)
        for image in log.images:
            of_image = np.flatnonzero(log.qsl_idx == image)
            chosen[of_image[np.argsort(-log.scores[of_image], kind="stable")[:count]]] = True
        return chosen

    return _chosen(kept)


def _ordered(position: Callable[[GroundTruth], npt.NDArray[np.int64]]) -> Plant:
    """``position(truth)`` gives the sample index of each image of the annotations; −1: it has none."""

    def plant(log: AccuracyLog, truth: GroundTruth) -> Harmed:
        place = position(truth)
        kept = _kept(log, place[log.qsl_idx] >= 0)
        images = place[log.images]
        return replace(kept, qsl_idx=place[kept.qsl_idx], images=images[images >= 0]), truth

    return plant


def _reordered_annotations(order: Callable[[GroundTruth], npt.NDArray[np.int64]]) -> Plant:
    """The annotations list their images in another order than when the log was made."""

    def plant(log: AccuracyLog, truth: GroundTruth) -> Harmed:
        new = order(truth)
        names = tuple(truth.file_names[k] for k in new.tolist()) if truth.file_names else ()
        return log, replace(
            truth,
            image_ids=truth.image_ids[new],
            widths=truth.widths[new],
            heights=truth.heights[new],
            file_names=names,
        )

    return plant


def _rank(values: npt.NDArray[np.generic]) -> npt.NDArray[np.int64]:
    return np.argsort(np.argsort(values, kind="stable"))


def _scores(change: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]) -> Plant:
    return lambda log, truth: (replace(log, scores=change(log.scores.astype(np.float64)).astype(np.float32)), truth)


def _without_images(share: float, *, recorded: bool) -> Plant:
    """Loses that share of the images: their records, or (recorded) only what is in them."""

    def plant(log: AccuracyLog, truth: GroundTruth) -> Harmed:
        lost = np.random.default_rng(1).choice(log.images, int(share * len(log.images)), replace=False)
        kept = _kept(log, ~np.isin(log.qsl_idx, lost))
        return (kept if recorded else replace(kept, images=log.images[~np.isin(log.images, lost)])), truth

    return plant


def _some_images(share: float, plant_all: Plant) -> Plant:
    """Harms that share of the images only."""

    def plant(log: AccuracyLog, truth: GroundTruth) -> Harmed:
        chosen = np.random.default_rng(2).choice(log.images, int(share * len(log.images)), replace=False)
        harmed = plant_all(log, truth)[0]
        there = np.isin(log.qsl_idx, chosen)
        return replace(log, boxes=np.where(there[:, np.newaxis], harmed.boxes, log.boxes)), truth

    return plant


def _other_annotations(log: AccuracyLog, truth: GroundTruth) -> Harmed:
    """Another split: as many images, none of them the log's."""
    rng = np.random.default_rng(3)
    shuffled = np.roll(rng.permutation(len(truth.image_ids)), 1)
    there = {int(image): int(truth.image_ids[k]) for image, k in zip(truth.image_ids, shuffled, strict=True)}
    ids = np.array([there[int(image)] for image in truth.box_image_ids])
    logged = truth.image_ids[log.images]
    kept = ~np.isin(truth.box_image_ids, logged) | (len(log.images) > len(truth.image_ids) / 2)
    return log, replace(
        truth,
        box_image_ids=ids[kept],
        box_category_ids=truth.box_category_ids[kept],
        boxes=truth.boxes[kept],
        areas=truth.areas[kept],
        crowds=truth.crowds[kept],
    )


def reference_nms(log: AccuracyLog, truth: GroundTruth) -> Harmed:
    """The MLPerf reference's suppression within each class, on what is there."""
    kept = np.zeros(len(log), np.bool_)
    key = log.qsl_idx.astype(np.int64) * 1000 + log.labels
    order = np.lexsort((-log.scores, key))
    for group in np.split(order, np.flatnonzero(np.diff(key[order])) + 1):
        top, left, bottom, right = log.boxes[group].T.astype(np.float64)
        area = (bottom - top) * (right - left)
        alive = np.ones(len(group), np.bool_)
        for i in range(len(group)):
            if alive[i]:
                kept[group[i]] = True
                width = np.minimum(right, right[i]) - np.maximum(left, left[i])
                height = np.minimum(bottom, bottom[i]) - np.maximum(top, top[i])
                alive &= width * height / (area + area[i] - width * height) < 0.5
    return _kept(log, kept), truth


def both(one: Defect, other: Defect) -> Defect:
    """The first, then the second."""

    def plant(log: AccuracyLog, truth: GroundTruth) -> Harmed:
        return other.plant(*one.plant(log, truth))

    return Defect((*one.names, *other.names), plant)


def _named(*names: str) -> tuple[tuple[str, ...], ...]:
    return (names,)


def _letterbox(centred: bool) -> Callable[..., list[npt.NDArray[np.float64]]]:
    def change(left, top, right, bottom, w, h):  # type: ignore[no-untyped-def]
        side = np.maximum(w, h)
        x, y = ((side - w) / 2, (side - h) / 2) if centred else (0, 0)
        return [(top * h + y) / side, (left * w + x) / side, (bottom * h + y) / side, (right * w + x) / side]

    return change


def _rescaled(factor: Callable[..., tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]) -> Plant:
    """``factor(width, height, place, truth)`` for x and for y."""

    def plant(log: AccuracyLog, truth: GroundTruth) -> Harmed:
        x, y = factor(*_sizes(log, truth), log.qsl_idx, truth)
        boxes = log.boxes * np.stack([y, x, y, x], axis=1)
        return replace(log, boxes=boxes.astype(np.float32)), truth

    return plant


def _next(w, h, place, truth):  # type: ignore[no-untyped-def]
    other = (place + 1) % len(truth.image_ids)
    return w / truth.widths[other], h / truth.heights[other]


def _random_size(w, h, place, truth):  # type: ignore[no-untyped-def]
    other = np.random.default_rng(4).permutation(len(truth.image_ids))[place]
    return w / truth.widths[other], h / truth.heights[other]


def _moved(x: float, y: float) -> Plant:
    """Boxes moved by these shares of the image."""
    return _boxes(lambda left, top, right, bottom, w, h: [top + y, left + x, bottom + y, right + x])


def _moved_in_input(pixels: float, side: int) -> Plant:
    """Boxes moved by so many pixels of a square model input."""
    return _moved(pixels / side, pixels / side)


def _resized(width: float, height: float) -> Plant:
    """Boxes resized about their own centres."""

    def change(left, top, right, bottom, w, h):  # type: ignore[no-untyped-def]
        x, y = (left + right) / 2, (top + bottom) / 2
        half_w, half_h = width * (right - left) / 2, height * (bottom - top) / 2
        return [y - half_h, x - half_w, y + half_h, x + half_w]

    return _boxes(change)


def _category(name: str, truth: GroundTruth) -> int:
    return truth.category_names.index(name)


def _without_class(name: str) -> Plant:
    return _labels(lambda c, t: np.where(c == _category(name, t), -2000, t.category_ids[c]))


def _merged(name: str, into: str) -> Plant:
    """Detections of the first class are written as of the second."""
    return _labels(lambda c, t: t.category_ids[np.where(c == _category(name, t), _category(into, t), c)])


def _exchanged(one: str, other: str) -> Plant:
    def written(c, t):  # type: ignore[no-untyped-def]
        a, b = _category(one, t), _category(other, t)
        return t.category_ids[np.where(c == a, b, np.where(c == b, a, c))]

    return _labels(written)


def _class_defects() -> dict[str, Defect]:
    lost = {f"{name} lost": Defect(_named("classes-never-given"), _without_class(name)) for name in ("person", "car")}
    merged = {
        f"{name} merged into {into}": Defect(_named("classes-merged"), _merged(name, into))
        for name, into in (("truck", "car"), ("chair", "person"))
    }
    exchanged = {
        f"{one} and {other} exchanged": Defect(_named("classes-exchanged"), _exchanged(one, other))
        for one, other in (("chair", "car"), ("person", "bicycle"))
    }
    return {**lost, **merged, **exchanged}


def _padding_rounded(side: int) -> Callable[..., list[npt.NDArray[np.float64]]]:
    """A letterbox of that side whose padding was rounded up as the image was placed, and down as boxes came back."""

    def change(left, top, right, bottom, w, h):  # type: ignore[no-untyped-def]
        scale = side / np.maximum(w, h)
        x, y = (np.mod(side - np.round(extent * scale), 2) / (extent * scale) for extent in (w, h))
        return [top + y, left + x, bottom + y, right + x]

    return change


HARMLESS: dict[str, Plant] = {
    "half a pixel of 300": _moved_in_input(0.5, 300),
    "half a pixel of 416": _moved_in_input(-0.5, 416),
    "padding of 416 rounded the other way": _boxes(_padding_rounded(416)),
}
"""Changes as small as those between sound logs: nothing is wrong, or the doctor would call sound logs wrong."""


DEFECTS: dict[str, Defect] = {
    "moved by 2 %": Defect(_named("boxes-shifted"), _moved(0.02, 0.02)),
    "moved by 1 %": Defect(_named("boxes-shifted"), _moved(0.01, 0.01)),
    "moved to the left by 3 %": Defect(_named("boxes-shifted"), _moved(-0.03, 0)),
    "1.3 times too large": Defect(_named("boxes-too-large"), _resized(1.3, 1.3)),
    "1.15 times too large": Defect(_named("boxes-too-large"), _resized(1.15, 1.15)),
    "0.8 times as large": Defect(_named("boxes-too-small"), _resized(0.8, 0.8)),
    "1.3 times too wide": Defect(_named("boxes-stretched"), _resized(1.3, 1.0)),
    "pixels of its own 300 input": Defect(
        _named("pixels-of-300"), _boxes(lambda x, y, r, b, w, h: [300 * y, 300 * x, 300 * b, 300 * r])
    ),
    **_class_defects(),
    "labels one too low": Defect(
        _named("labels-shifted--1", "categories-shifted--1", "labels-contiguous--1"), _labels(lambda c, t: c)
    ),
    "labels one too high": Defect(_named("labels-shifted-+1", "labels-contiguous-+1"), _labels(lambda c, t: c + 2)),
    "labels one too low before the map to ids": Defect(
        _named("categories-shifted--1", "labels-coco--1", "labels-shifted--1"),
        _labels(lambda c, t: np.where(c > 0, t.category_ids[np.maximum(c - 1, 0)], -2000)),
    ),
    "ids one too low": Defect(
        _named("labels-shifted--1", "labels-coco--1"), _labels(lambda c, t: t.category_ids[c] - 1)
    ),
    "labels mapped twice": Defect(
        _named("labels-mapped-twice-dropped", "labels-mapped-twice-clipped"),
        _labels(
            lambda c, t: np.where(
                t.category_ids[c] <= len(t.category_ids),
                t.category_ids[np.minimum(t.category_ids[c], len(t.category_ids)) - 1],
                -2000,
            )
        ),
    ),
    "boxes as x1y1x2y2": Defect(
        _named("boxes-as-xmin-ymin-xmax-ymax", "transposed"), _boxes(lambda x, y, r, b, w, h: [x, y, r, b])
    ),
    "boxes as y1x1hw": Defect(
        _named("boxes-as-y-x-height-width"), _boxes(lambda x, y, r, b, w, h: [y, x, b - y, r - x])
    ),
    "boxes as x1y1wh": Defect(
        _named("boxes-as-x-y-width-height"), _boxes(lambda x, y, r, b, w, h: [x, y, r - x, b - y])
    ),
    "boxes as cxcywh": Defect(
        _named("boxes-as-centre-x-centre-y-width-height"),
        _boxes(lambda x, y, r, b, w, h: [(x + r) / 2, (y + b) / 2, r - x, b - y]),
    ),
    "boxes as cycxhw": Defect(
        _named("boxes-as-centre-y-centre-x-height-width"),
        _boxes(lambda x, y, r, b, w, h: [(y + b) / 2, (x + r) / 2, b - y, r - x]),
    ),
    "pixels": Defect(_named("pixels"), _boxes(lambda x, y, r, b, w, h: [y * h, x * w, b * h, r * w])),
    "pixels of 1200": Defect(
        _named("pixels-of-1200"), _boxes(lambda x, y, r, b, w, h: [1200 * y, 1200 * x, 1200 * b, 1200 * r])
    ),
    "normalised twice": Defect(
        _named("normalised-twice"), _boxes(lambda x, y, r, b, w, h: [y / h, x / w, b / h, r / w])
    ),
    "scaled by 1200": Defect(
        _named("image-taken-for-input-1200"), _rescaled(lambda w, h, place, t: (w / 1200, h / 1200))
    ),
    "scaled by the size, of 1200": Defect(
        _named("input-1200-taken-for-image"), _rescaled(lambda w, h, place, t: (1200 / w, 1200 / h))
    ),
    "sides exchanged": Defect(_named("divided-by-exchanged-sides"), _rescaled(lambda w, h, place, t: (w / h, h / w))),
    "the next image's size": Defect(_named("divided-by-next-image"), _rescaled(_next)),
    "the size of any image": Defect(_named("divided-by-other-image"), _rescaled(_random_size)),
    "letterbox": Defect(_named("letterbox-centred"), _boxes(_letterbox(True))),
    "letterbox in the corner": Defect(_named("letterbox-corner"), _boxes(_letterbox(False))),
    "mirrored": Defect(_named("mirrored"), _boxes(lambda x, y, r, b, w, h: [y, 1 - r, b, 1 - x])),
    "turned by 180": Defect(_named("rotated-180"), _boxes(lambda x, y, r, b, w, h: [1 - b, 1 - r, 1 - y, 1 - x])),
    "turned clockwise": Defect(_named("rotated-90-clockwise"), _boxes(lambda x, y, r, b, w, h: [x, 1 - b, r, 1 - y])),
    "turned clockwise, some images": Defect(
        _named("rotated-90-clockwise-some"),
        _some_images(0.2, _boxes(lambda x, y, r, b, w, h: [x, 1 - b, r, 1 - y])),
    ),
    "id order": Defect(_named("order-of-id"), _ordered(lambda t: _rank(t.image_ids))),
    "text order": Defect(_named("order-of-id-as-text"), _ordered(lambda t: _rank(t.image_ids.astype(str)))),
    "annotations by id": Defect(_named("order-unknown"), _reordered_annotations(lambda t: np.argsort(t.image_ids))),
    "samples from 1": Defect(
        _named("order-from-1", "order-rotated-behind"), _ordered(lambda t: np.arange(len(t.image_ids)) + 1)
    ),
    "annotated images only": Defect(
        _named("order-annotated"),
        _ordered(
            lambda t: np.where(
                np.isin(t.image_ids, t.box_image_ids), np.cumsum(np.isin(t.image_ids, t.box_image_ids)) - 1, -1
            )
        ),
    ),
    "score threshold 0.5": Defect(_named("score-threshold"), _chosen(lambda log: log.scores > 0.5)),
    "score threshold 0.6": Defect(_named("score-threshold"), _chosen(lambda log: log.scores > 0.6)),
    "10 detections": Defect(_named("too-few-detections"), _best(10)),
    "5 detections": Defect(_named("too-few-detections"), _best(5)),
    "images missing": Defect(_named("images-missing"), _without_images(0.1, recorded=False)),
    "empty records": Defect(_named("images-without-detections"), _without_images(0.15, recorded=True)),
    "logits": Defect(_named("scores-not-softmaxed"), _scores(lambda s: np.log(s / (1 - s)) + 5)),
    "exponentials": Defect(_named("scores-not-softmaxed"), _scores(lambda s: s / (1 - s) * 40)),
    "sigmoid": Defect(
        _named("scores-sigmoid-of-softmax", "scores-not-softmaxed"), _scores(lambda s: 1 / (1 + np.exp(-s)))
    ),
    "reference NMS": Defect(_named("nms-reference"), reference_nms),
    "other annotations": Defect(_named("wrong-annotations"), _other_annotations),
}
