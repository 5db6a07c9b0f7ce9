"""Accuracy logs and datasets made up for tests, written as LoadGen and COCO write them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.accuracy.coco_results import CocoResults
from harness.accuracy.ground_truth import GroundTruth
from harness.accuracy.log import AccuracyLog
from harness.dataset.coco_categories import COCO_CATEGORIES


def rows(sample_index: int, *detections: tuple[float, ...]) -> npt.NDArray[np.float32]:
    """(K, 7) float32 of ``(ymin, xmin, ymax, xmax, score, label)`` each."""
    return np.array([(sample_index, *detection) for detection in detections], dtype="<f4").reshape(-1, 7)


def record(sequence: int, sample_index: int, payload: npt.NDArray[np.float32] | str) -> str:
    """One record as LoadGen 6 writes it."""
    data = payload if isinstance(payload, str) else payload.tobytes().hex().upper()
    return f'{{ "seq_id" : {sequence}, "qsl_idx" : {sample_index}, "data" : "{data}" }}'


def log_text(payloads: Sequence[tuple[int, npt.NDArray[np.float32]]]) -> str:
    """A whole log of ``(qsl_idx, rows)``."""
    records = [record(i, index, payload) for i, (index, payload) in enumerate(payloads)]
    return "[\n" + ",\n".join(records) + "\n]\n"


def coco_document(
    sizes: Sequence[tuple[int, int]],
    boxes: Sequence[tuple[int, int, Sequence[float]]],
    category_ids: Sequence[int] = (1, 3, 90),
) -> dict[str, Any]:
    """An annotations file: image ids 100, 99, … of (width, height) each; boxes of (image id, category id, xywh)."""
    return {
        "images": [
            {"id": 100 - i, "file_name": f"{100 - i}.jpg", "width": width, "height": height}
            for i, (width, height) in enumerate(sizes)
        ],
        "categories": [{"id": category, "name": f"class {category}"} for category in category_ids],
        "annotations": [
            {"id": i, "image_id": image, "category_id": category, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
            for i, (image, category, box) in enumerate(boxes)
        ],
    }


def written(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def random_dataset(seed: int) -> tuple[GroundTruth, CocoResults]:
    """A small dataset with what makes evaluators disagree: crowds, empty images, tied scores, boxes on the area limits,
    classes without boxes, many detections of one class in one image (in every tenth seed more than COCO's 100).
    """
    rng = np.random.default_rng(seed)
    images = rng.choice(1000, int(rng.integers(2, 9)), replace=False).astype(np.int64)
    categories = rng.choice(np.arange(1, 91), int(rng.integers(1, 6)), replace=False).astype(np.int64)
    count = int(rng.integers(0, 40))
    boxes = np.concatenate([rng.uniform(0, 300, (count, 2)), rng.choice([8, 32, 50, 96, 150], (count, 2))], axis=1)
    truth = GroundTruth(
        path=Path(f"seed {seed}"),
        image_ids=images,
        widths=np.full(len(images), 640.0),
        heights=np.full(len(images), 480.0),
        category_ids=categories,
        category_names=tuple(f"class {category}" for category in categories),
        box_image_ids=rng.choice(images[:-1], count),
        box_category_ids=rng.choice(categories, count),
        boxes=boxes,
        areas=boxes[:, 2] * boxes[:, 3] * rng.choice([1.0, 0.6], count),
        crowds=rng.random(count) < 0.15,
    )
    copies = int(rng.integers(1, 4))
    near = np.empty((copies * count, 7))
    near[:, 0] = np.tile(truth.box_image_ids, copies)
    moved = rng.choice([0.0, 1.0, 5.0], (len(near), 1)) * rng.normal(size=(len(near), 4))
    near[:, 1:5] = np.tile(boxes, (copies, 1)) + moved
    same_class = rng.random(len(near)) < 0.9
    near[:, 6] = np.where(same_class, np.tile(truth.box_category_ids, copies), rng.choice(categories, len(near)))
    extra = np.empty((int(rng.integers(0, 60)) + (130 if seed % 10 == 0 else 0), 7))
    extra[:, 0] = images[0] if seed % 10 == 0 else rng.choice(images, len(extra))
    extra[:, 1:5] = rng.uniform(1, 200, (len(extra), 4))
    extra[:, 6] = categories[0] if seed % 10 == 0 else rng.choice(categories, len(extra))
    found = np.concatenate([near, extra])
    found[:, 5] = rng.integers(1, 12, len(found)) / 12 if seed % 2 else rng.random(len(found))
    found[:, 3:5] = abs(found[:, 3:5])
    return truth, CocoResults(found[rng.permutation(len(found))], images, "coco")


def detector_log(images: int = 60, seed: int = 0) -> tuple[AccuracyLog, GroundTruth]:
    """The log of a made-up detector that is good but not perfect, with its annotations: COCO's 80 categories and ids,
    images of a few sizes in no order, up to 12 objects an image, boxes a little off, and false detections of low score.
    """
    rng = np.random.default_rng(seed)
    sizes = np.array([(640, 480), (480, 640), (640, 427), (500, 375), (375, 500)])[rng.integers(0, 5, images)]
    ids = rng.choice(100_000, images, replace=False).astype(np.int64)
    category_ids = np.array([category.id for category in COCO_CATEGORIES], np.int64)
    place = np.repeat(np.arange(images), rng.integers(1, 13, images))
    category = rng.choice(80, len(place), p=(weight := 1 / np.arange(1, 81)) / weight.sum())
    side = np.exp(rng.uniform(np.log(0.06), np.log(0.6), (len(place), 2)))
    corner = rng.uniform(0, 1, side.shape) * (1 - side)
    wh = sizes[place]
    boxes = np.concatenate([corner * wh, side * wh], axis=1)
    truth = GroundTruth(
        path=Path("made up"),
        image_ids=ids,
        widths=sizes[:, 0].astype(np.float64),
        heights=sizes[:, 1].astype(np.float64),
        category_ids=category_ids,
        category_names=tuple(category.name for category in COCO_CATEGORIES),
        box_image_ids=ids[place],
        box_category_ids=category_ids[category],
        boxes=boxes,
        areas=boxes[:, 2] * boxes[:, 3],
        crowds=np.zeros(len(place), np.bool_),
        file_names=tuple(f"{image:012}.jpg" for image in ids.tolist()),
    )
    seen = rng.random(len(place)) < 0.85
    false = np.repeat(np.arange(images), 12)
    near = np.concatenate([corner, corner + side], axis=1)[seen]
    near += rng.normal(0, 0.04, near.shape) * np.tile(side[seen], 2)
    far = np.exp(rng.uniform(np.log(0.06), np.log(0.5), (len(false), 2)))
    far_corner = rng.uniform(0, 1, far.shape) * (1 - far)
    ltrb = np.concatenate([near, np.concatenate([far_corner, far_corner + far], axis=1)]).clip(0, 1)
    qsl_idx = np.concatenate([place[seen], false])
    order = np.argsort(qsl_idx, kind="stable")
    scores = np.concatenate([rng.beta(4, 2, seen.sum()), 0.05 + 0.4 * rng.random(len(false)) ** 3])
    labels = 1 + np.concatenate([category[seen], rng.integers(0, 80, len(false))])
    log = AccuracyLog(
        path=Path("made up"),
        sha256="",
        images=np.arange(images),
        sequence=np.arange(images),
        repeated=0,
        qsl_idx=qsl_idx[order],
        boxes=ltrb[order][:, [1, 0, 3, 2]].astype(np.float32),
        scores=scores[order].clip(0.0501, 0.999).astype(np.float32),
        labels=labels[order].astype(np.int32),
    )
    return log, truth
