"""The few images that a report shows, kept small in the run directory: the images themselves may be gone later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.accuracy.coco_results import CocoResults
from harness.accuracy.ground_truth import GroundTruth
from harness.dataset.coco_index import CocoIndex
from harness.dataset.tensors import read_image
from harness.errors import DatasetError
from harness.files import replacing, write_json
from harness.runs.documents import read_documents
from harness.runs.evaluation import Evaluated
from harness.runs.figures import GalleryImage
from harness.runs.layout import TestFolder
from harness.runs.samples import read_images

KINDS = {"best": "Best", "worst": "Worst", "random": "Random"}
OF_EACH_KIND = 4
LONGEST_SIDE = 480
QUALITY = 72
JPEG = b"\xff\xd8\xff"
"""What a JPEG file begins with."""
MOST_DETECTIONS = 20
SURE = 0.3
"""Detections below this score are shown only where there is none above: the best few then say what the model saw."""
FEW = 5


def has_gallery(folder: Path) -> bool:
    """Whether `keep_gallery` came to its end."""
    return TestFolder(folder).gallery_list.is_file()


def keep_gallery(folder: Path, dataset: CocoIndex, evaluated: Evaluated) -> None:
    """Chooses images of an evaluated accuracy test and keeps them, small, with their boxes in ``gallery/``.

    Args:
        folder: of the test, with its ``images.csv.gz``.
        dataset: what was run.
        evaluated: what `evaluate_run` gave for it.

    Raises:
        LogError: the list of images is damaged.
    """
    files = TestFolder(folder)
    truth, results, found = evaluated.truth, evaluated.results, evaluated.found
    images = read_images(files.images)
    entries = []
    for kind, indices in choose(images).items():
        for number, index in enumerate(indices, 1):
            name = f"{kind}_{number}.jpg"
            image = images.iloc[index]
            kept = _keep(dataset.images[index].path, files.gallery / name)
            entries.append(
                {
                    "kind": kind,
                    "file_name": str(image["file_name"]),
                    "image_id": int(image["image_id"]),
                    "sample_index": int(index),
                    "width": int(image["width"]),
                    "height": int(image["height"]),
                    "AP50": None if np.isnan(image["AP50"]) else float(image["AP50"]),
                    "thumbnail": name if kept else None,
                    "objects": _objects(truth, int(truth.image_ids[index])),
                    "detections": _detections(truth, results, found, int(truth.image_ids[index])),
                }
            )
    write_json(files.gallery_list, entries)


def choose(images: pd.DataFrame) -> dict[str, list[int]]:
    """Which sample indices to show: the best and the worst by the image's own AP, and a few at random.

    Of equals the one with more objects comes first. No image is there twice; a dataset of few images has fewer of each.
    """
    with_objects = images[images["AP50"].notna()]
    best = with_objects.sort_values(["AP50", "objects"], ascending=[False, False], kind="stable")
    worst = with_objects.sort_values(["AP50", "objects"], ascending=[True, False], kind="stable")
    each = min(OF_EACH_KIND, max(1, len(images) // 3))
    chosen = {"best": best["sample_index"].head(each).tolist()}
    chosen["worst"] = [i for i in worst["sample_index"].tolist() if i not in chosen["best"]][:each]
    rest = images["sample_index"][~images["sample_index"].isin(chosen["best"] + chosen["worst"])].to_numpy(copy=True)
    # the same images every time: the report of a run does not depend on when it was made
    chosen["random"] = sorted(np.random.default_rng(0).permutation(rest)[:each].tolist())
    return chosen


def read_gallery(folder: Path) -> list[GalleryImage]:
    """What `keep_gallery` kept for a test; empty where nothing was.

    Raises:
        LogError: the file is damaged.
    """
    path = TestFolder(folder).gallery_list
    return read_documents(GalleryImage, path) if path.is_file() else []


def thumbnail(folder: Path, image: GalleryImage) -> bytes | None:
    """The small JPEG of an image of the gallery; None where it is gone, or is something else than a JPEG file there."""
    if image.thumbnail is None:
        return None
    path = TestFolder(folder).gallery / image.thumbnail
    if path.is_symlink() or not path.is_file():
        return None
    content = path.read_bytes()
    return content if content.startswith(JPEG) else None


def _keep(source: Path, target: Path) -> bool:
    """Writes a small JPEG; False where the image cannot be read any more."""
    try:
        image = cv2.imdecode(np.frombuffer(read_image(source), np.uint8), cv2.IMREAD_COLOR)
    except DatasetError:
        return False
    if image is None:
        return False
    scale = LONGEST_SIDE / max(image.shape[:2])
    if scale < 1:
        size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    _, coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    with replacing(target) as temporary:
        temporary.write_bytes(coded.tobytes())
    return True


def _objects(truth: GroundTruth, image_id: int) -> list[dict[str, Any]]:
    own = np.flatnonzero(truth.box_image_ids == image_id)
    return [
        {
            "box": _ltrb(truth.boxes[k]),
            "category": _name(truth, truth.box_category_ids[k]),
            "crowd": bool(truth.crowds[k]),
        }
        for k in own
    ]


def _detections(
    truth: GroundTruth, results: CocoResults, found: npt.NDArray[np.bool_], image_id: int
) -> list[dict[str, Any]]:
    own = np.flatnonzero(results.rows[:, 0] == image_id)
    own = own[np.argsort(-results.rows[own, 5], kind="stable")]
    sure = own[results.rows[own, 5] >= SURE][:MOST_DETECTIONS]
    shown = sure if len(sure) else own[:FEW]
    return [
        {
            "box": _ltrb(results.rows[k, 1:5]),
            "category": _name(truth, results.rows[k, 6]),
            "score": round(float(results.rows[k, 5]), 4),
            "correct": bool(found[k]),
        }
        for k in shown
    ]


def _ltrb(box: npt.NDArray[np.float64]) -> list[float]:
    x, y, width, height = (float(value) for value in box)
    return [round(value, 1) for value in (x, y, x + width, y + height)]


def _name(truth: GroundTruth, category_id: float) -> str:
    return truth.category_names[int(np.flatnonzero(truth.category_ids == category_id)[0])]
