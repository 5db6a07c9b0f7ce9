"""YOLOX and its COCO evaluation in sixty lines that share no code with the package: a second opinion on its mAP.

    python tests/golden/independent_yolox.py MODEL.onnx IMAGES ANNOTATIONS.json

OpenCV decodes and resizes; the thresholds and the placement are those of YOLOX's own evaluation.
"""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

CONFIDENCE, OVERLAP = 0.01, 0.65


def detect(session: onnxruntime.InferenceSession, file: Path) -> list[tuple[float, float, float, float, float, int]]:
    """(x, y, w, h, score, class from 0) of every detection, in pixels of the image."""
    side = session.get_inputs()[0].shape[2]
    picture = np.asarray(cv2.imread(str(file)))
    ratio = min(side / picture.shape[0], side / picture.shape[1])
    small = cv2.resize(picture, (int(picture.shape[1] * ratio), int(picture.shape[0] * ratio)))
    padded = np.full((side, side, 3), 114, np.float32)
    padded[: small.shape[0], : small.shape[1]] = small
    (output,) = session.run(None, {session.get_inputs()[0].name: padded.transpose(2, 0, 1)[None]})
    rows, cells, strides = output[0], [], []
    for stride in (8, 16, 32):
        for row in range(side // stride):
            cells += [(column, row) for column in range(side // stride)]
        strides += [stride] * (side // stride) ** 2
    centres = (rows[:, :2] + np.array(cells)) * np.array(strides)[:, None]
    sizes = np.exp(rows[:, 2:4]) * np.array(strides)[:, None]
    classes, scores = rows[:, 5:].argmax(1), rows[:, 5:].max(1) * rows[:, 4]
    found = []
    for label in set(classes[scores > CONFIDENCE].tolist()):
        left = sorted(np.flatnonzero((classes == label) & (scores > CONFIDENCE)), key=lambda k: -scores[k])
        while left:
            best = left.pop(0)
            found.append((*(centres[best] - sizes[best] / 2) / ratio, *sizes[best] / ratio, scores[best], label))
            left = [k for k in left if overlap(centres[best], sizes[best], centres[k], sizes[k]) <= OVERLAP]
    return found


def overlap(centre: Any, size: Any, other_centre: Any, other_size: Any) -> float:
    """IoU of two boxes."""
    low = np.maximum(centre - size / 2, other_centre - other_size / 2)
    high = np.minimum(centre + size / 2, other_centre + other_size / 2)
    shared = np.prod(np.maximum(high - low, 0))
    return float(shared / (np.prod(size) + np.prod(other_size) - shared))


def evaluate(model: Path, images: Path, annotations: Path) -> float:
    """The mAP, 0..1."""
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    with contextlib.redirect_stdout(io.StringIO()):
        truth, rows = COCO(str(annotations)), []
        categories = sorted(truth.getCatIds())
        for image in truth.loadImgs(truth.getImgIds()):
            for *box, score, label in detect(session, images / image["file_name"]):
                rows.append([image["id"], *box, score, categories[label]])
        evaluation = COCOeval(truth, truth.loadRes(np.array(rows, np.float64)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0])


if __name__ == "__main__":
    print(f"{100 * evaluate(*map(Path, sys.argv[1:4])):.3f}")  # noqa: T201 - a script
