"""A dataset in COCO's format that the tiny model's boxes fit."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Ten small JPEGs and their annotations: one box in each, where the tiny model finds it."""
    return write_ten(tmp_path / "coco")


@pytest.fixture(scope="session")
def kept_coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for runs that several tests share; nobody changes it."""
    return write_ten(tmp_path_factory.mktemp("kept") / "coco")


def write_ten(folder: Path) -> Path:
    """The images, and ``instances.json``."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for k in range(1, 11):
        name = f"{k:03d}.jpg"
        cv2.imwrite(str(folder / "images" / name), rng.integers(0, 255, (40, 80, 3), np.uint8))
        images.append({"id": k, "file_name": name, "width": 80, "height": 40})
        box = {"bbox": [20, 10, 40, 20], "area": 800, "category_id": 7, "iscrowd": 0}
        annotations.append({"id": k, "image_id": k, **box})
    categories = [{"id": 7, "name": "thing"}]
    data = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "instances.json").write_text(json.dumps(data))
    return folder
