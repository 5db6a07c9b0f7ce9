"""A round's benchmarks have the images of certain licences."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.dataset.licences import keep_licences
from harness.errors import DatasetError
from harness.rounds import load_round


def written(folder: Path) -> Path:
    images = [{"id": k, "file_name": f"{k}.jpg", "width": 4, "height": 4, "license": k} for k in range(1, 9)]
    boxes = [{"id": k, "image_id": k, "category_id": 1, "bbox": [0, 0, 1, 1]} for k in range(1, 9)]
    path = folder / "instances.json"
    path.write_text(json.dumps({"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "a"}]}))
    return path


def test_the_images_of_the_licences_are_kept_in_their_order(tmp_path: Path) -> None:
    licences = load_round("v6.1").benchmark("yolo-99").dataset_licences
    assert keep_licences(written(tmp_path), licences, tmp_path / "kept.json") == 5
    kept = json.loads((tmp_path / "kept.json").read_text())
    assert [image["license"] for image in kept["images"]] == [4, 5, 6, 7, 8]
    assert [box["image_id"] for box in kept["annotations"]] == [4, 5, 6, 7, 8]
    assert kept["categories"] == [{"id": 1, "name": "a"}]


def test_annotations_without_licences_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no image has a licence of 99"):
        keep_licences(written(tmp_path), [99], tmp_path / "kept.json")
    with pytest.raises(DatasetError, match="is not a COCO annotations file"):
        keep_licences(tmp_path / "nowhere.json", [4], tmp_path / "kept.json")
