"""COCO's evaluation by pycocotools, one category at a time. Only ``evaluate.py`` calls it.

pycocotools matches, accumulates and summarizes. What differs from handing it everything at once is that its per-image
results of one category are dropped before the next, which bounds the memory, and that it is not asked to match where
there is nothing to match. No figure changes, to the last bit; tests/unit/accuracy/test_evaluate.py holds that.
"""

# ruff: noqa: N802, N803 - pycocotools' own names

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from harness.accuracy.ground_truth import GroundTruth


def evaluate_boxes(
    truth: GroundTruth, rows: npt.NDArray[np.float64], image_ids: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The twelve figures and the precisions.

    Args:
        truth: with the boxes of the evaluated images only.
        rows: (N, 7) float64, image id, x, y, width, height, score, category id, of the evaluated images only.
        image_ids: the evaluated images, ascending.

    Returns:
        (12,) float64, ``COCOeval.stats``; and (T, R, K, 4, 3) float64, ``COCOeval.eval["precision"]``, where K counts
        the categories by ascending id.
    """
    whole = COCOeval(iouType="bbox")
    parameters = whole.params
    parameters.imgIds = image_ids.tolist()
    parameters.catIds = sorted(truth.category_ids.tolist())
    thresholds, recalls = len(parameters.iouThrs), len(parameters.recThrs)
    rest = (len(parameters.catIds), len(parameters.areaRng), len(parameters.maxDets))
    precision = -np.ones((thresholds, recalls, *rest))
    recall = -np.ones((thresholds, *rest))
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
        for k, category in enumerate(parameters.catIds):
            there = truth.box_category_ids == category
            if there.any():  # otherwise the figures stay at −1, as COCOeval has them for absent categories
                of_category = _evaluated(truth, there, rows[rows[:, 6] == category], category)
                precision[:, :, k] = of_category.eval["precision"][:, :, 0]
                recall[:, k] = of_category.eval["recall"][:, 0]
        whole.eval = {"params": parameters, "precision": precision, "recall": recall}
        whole.summarize()
    return np.asarray(whole.stats, dtype=np.float64), precision


@dataclass(frozen=True, eq=False)
class ClassMatches:
    """How the detections of one category matched, at most 100 of an image, best first (equal scores by image id).

    Attributes:
        category: its id.
        images: (N,) int64 image ids.
        hits: (T, N) bool, a detection that matches an object, at each IoU threshold.
        ignored: (T, N) bool, one that counts neither way: it matches a crowd.
        object_images: (G,) int64 image ids of the objects there are to find.
    """

    category: int
    images: npt.NDArray[np.int64]
    hits: npt.NDArray[np.bool_]
    ignored: npt.NDArray[np.bool_]
    object_images: npt.NDArray[np.int64]


def match_boxes(
    truth: GroundTruth, rows: npt.NDArray[np.float64], image_ids: npt.NDArray[np.int64]
) -> list[ClassMatches]:
    """The matches behind the mAP, of each category that has something to find; arguments as of `evaluate_boxes`."""
    matched = []
    with contextlib.redirect_stdout(io.StringIO()):
        for category in sorted(truth.category_ids.tolist()):
            there = truth.box_category_ids == category
            found = [*_matched(truth, there, rows[rows[:, 6] == category], category)] if there.any() else []
            objects = truth.box_image_ids[there & ~truth.crowds]
            if not len(objects):
                continue
            scores = np.array([score for each in found for score in each["dtScores"]])
            order = np.argsort(-scores, kind="mergesort")
            images = np.repeat([each["image_id"] for each in found], [len(each["dtScores"]) for each in found])
            shape = (len(COCOeval(iouType="bbox").params.iouThrs), 0)
            hits = np.concatenate([np.zeros(shape), *(each["dtMatches"] for each in found)], axis=1)[:, order] > 0
            ignored = np.concatenate([np.zeros(shape), *(each["dtIgnore"] for each in found)], axis=1)[:, order] > 0
            images = images.astype(np.int64)[order]
            matched.append(ClassMatches(category, images, hits & ~ignored, ignored, objects))
    return matched


def _matched(
    truth: GroundTruth, there: npt.NDArray[np.bool_], rows: npt.NDArray[np.float64], category: int
) -> Iterator[dict[str, Any]]:
    """pycocotools' result of each image, of all sizes of objects together."""
    evaluation = _loaded(truth, there, rows, category)
    evaluation.params.areaRng, evaluation.params.areaRngLbl = evaluation.params.areaRng[:1], ["all"]
    evaluation.params.maxDets = evaluation.params.maxDets[-1:]
    evaluation.evaluate()
    for image, result in zip(evaluation.params.imgIds, evaluation.evalImgs, strict=True):
        if result is not None:
            yield {**result, "image_id": image}


def _evaluated(
    truth: GroundTruth, there: npt.NDArray[np.bool_], rows: npt.NDArray[np.float64], category: int
) -> COCOeval:
    """One category's evaluation."""
    evaluation = _loaded(truth, there, rows, category)
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation


def _loaded(truth: GroundTruth, there: npt.NDArray[np.bool_], rows: npt.NDArray[np.float64], category: int) -> COCOeval:
    """One category, ready to be evaluated."""
    images = np.union1d(truth.box_image_ids[there], rows[:, 0].astype(np.int64)).tolist()
    known, found = COCO(), COCO()
    known.dataset = {
        "images": [{"id": image} for image in images],
        "categories": [{"id": category}],
        "annotations": [
            # ids from 1: COCOeval takes a match with id 0 for no match
            {"id": i, "image_id": image, "category_id": category, "bbox": box, "area": area, "iscrowd": int(crowd)}
            for i, (image, box, area, crowd) in enumerate(
                zip(
                    truth.box_image_ids[there].tolist(),
                    truth.boxes[there].tolist(),
                    truth.areas[there].tolist(),
                    truth.crowds[there].tolist(),
                    strict=True,
                ),
                1,
            )
        ],
    }
    known.createIndex()
    if len(rows):
        found = known.loadRes(rows)
    return _Evaluation(known, found, "bbox")


class _Evaluation(COCOeval):  # type: ignore[misc]
    """pycocotools' evaluation, which spends most of its time on images where the category was found but is not.

    There is nothing to match in them: every detection is a false one, or ignored if its area is out of range. What is
    returned for them is what pycocotools would return, as far as its ``accumulate`` reads it.
    """

    def computeIoU(self, imgId: int, catId: int) -> object:
        return super().computeIoU(imgId, catId) if self._gts[imgId, catId] else []

    def evaluateImg(self, imgId: int, catId: int, aRng: list[float], maxDet: int) -> object:
        if self._gts[imgId, catId]:
            return super().evaluateImg(imgId, catId, aRng, maxDet)
        found = sorted(self._dts[imgId, catId], key=lambda detection: -detection["score"])[:maxDet]
        ignored = np.array([not aRng[0] <= detection["area"] <= aRng[1] for detection in found])
        shape = (len(self.params.iouThrs), len(found))
        return {
            "dtScores": [detection["score"] for detection in found],
            "dtMatches": np.zeros(shape),
            "dtIgnore": np.broadcast_to(ignored, shape),
            "gtIgnore": np.zeros(0),
        }
