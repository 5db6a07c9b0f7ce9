"""The index keeps the annotations' order and refuses what would make a run or its accuracy meaningless."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from harness.dataset.coco_categories import COCO_CATEGORIES
from harness.dataset.coco_index import CocoIndex
from harness.errors import DatasetError

Document = dict[str, Any]


def document() -> Document:
    return {
        "images": [
            {"id": 30, "file_name": "c.jpg", "width": 640, "height": 480},
            {"id": 10, "file_name": "a.jpg", "width": 480, "height": 640},
            {"id": 20, "file_name": "sub/b.jpg", "width": 500, "height": 375},
        ],
        "annotations": [{"id": 1, "image_id": 10, "category_id": 18, "bbox": [1, 2.5, 3, 4], "iscrowd": 0}],
        "categories": [{"id": 18, "name": "dog"}, {"id": 1, "name": "person"}],
    }


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.jpg", "sub/b.jpg", "c.jpg"):
        (folder / name).touch()
    return folder


@pytest.fixture(name="annotations")
def annotations_file(tmp_path: Path) -> Path:
    return write(tmp_path, document())


def write(folder: Path, content: Document) -> Path:
    path = folder / "instances.json"
    path.write_text(json.dumps(content))
    return path


def complaint_about(annotations: Path, images: Path, count: int | None = None) -> str:
    with pytest.raises(DatasetError) as caught:
        CocoIndex.load(annotations, images, count)
    return str(caught.value)


def test_images_and_categories_keep_the_order_of_the_file(annotations: Path, images: Path) -> None:
    index = CocoIndex.load(annotations, images)
    assert [image.id for image in index.images] == [30, 10, 20]
    assert index.category_ids == (18, 1)
    assert index.paths == [images / "c.jpg", images / "a.jpg", images / "sub/b.jpg"]
    assert (index.images[1].width, index.images[1].height) == (480, 640)
    assert index.sha256 == hashlib.sha256(annotations.read_bytes()).hexdigest()


def test_a_count_takes_the_first_images_and_asks_for_no_others(annotations: Path, images: Path) -> None:
    (images / "sub/b.jpg").unlink()
    index = CocoIndex.load(annotations, images, count=2)
    assert [image.file_name for image in index.images] == ["c.jpg", "a.jpg"]
    assert (len(index), index.images_available) == (2, 3)


def test_real_annotations_and_their_images_are_accepted(data: Path) -> None:
    index = CocoIndex.load(data / "coco/annotations/instances_val2017_subset.json", data / "coco/val2017")
    assert len(index) == 243
    assert index.images[0].file_name == "000000397133.jpg"
    assert index.category_ids == tuple(category.id for category in COCO_CATEGORIES)


def test_missing_images_are_counted_and_three_of_them_named(data: Path) -> None:
    told = complaint_about(data / "coco/annotations/instances_val2017_reconstructed.json", data / "coco/val2017")
    assert "4757 of 5000 images are missing: 000000475779.jpg, 000000301867.jpg, 000000185250.jpg, …" in told


def test_a_folder_in_place_of_an_image_is_a_missing_image(annotations: Path, images: Path) -> None:
    (images / "a.jpg").unlink()
    (images / "a.jpg").mkdir()
    assert "1 of 3 images are missing: a.jpg" in complaint_about(annotations, images)


def test_more_images_than_there_are_is_an_error_that_says_both_numbers(annotations: Path, images: Path) -> None:
    assert "4 images were asked for, and it has 3" in complaint_about(annotations, images, count=4)
    assert "a count of 0 images" in complaint_about(annotations, images, count=0)


@pytest.mark.parametrize("name", ["../outside.jpg", "sub/../../outside.jpg", "{absolute}", "out/../outside.jpg", ".."])
def test_a_file_name_that_leaves_the_images_folder_is_refused(tmp_path: Path, images: Path, name: str) -> None:
    outside = tmp_path / "outside.jpg"
    outside.touch()
    (images / "link.jpg").symlink_to(outside)
    (images / "out").symlink_to(tmp_path)
    content = document()
    content["images"][1]["file_name"] = name.format(absolute=outside)
    told = complaint_about(write(tmp_path, content), images)
    assert f'the file_name "{name.format(absolute=outside)}" leaves the images folder' in told


def test_links_are_fine_wherever_they_lead(tmp_path: Path, annotations: Path, images: Path) -> None:
    """As in the cache of Hugging Face, in DVC, and in subsets made with ``ln -s``."""
    (images / "a.jpg").rename(tmp_path / "blob")
    (images / "a.jpg").symlink_to(tmp_path / "blob")
    (images / "sub").rename(tmp_path / "elsewhere")
    (images / "sub").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "linked").symlink_to(images)
    assert len(CocoIndex.load(annotations, tmp_path / "linked")) == 3
    (tmp_path / "blob").unlink()
    assert "1 of 3 images are missing: a.jpg" in complaint_about(annotations, images)


def test_images_of_another_size_than_annotated_are_named(tmp_path: Path, annotations: Path, images: Path) -> None:
    for image, (height, width) in {"c.jpg": (480, 640), "a.jpg": (640, 480), "sub/b.jpg": (375, 500)}.items():
        cv2.imwrite(str(images / image), np.zeros((height, width, 3), np.uint8))
    index = CocoIndex.load(annotations, images)
    index.check_sizes()
    cv2.imwrite(str(images / "a.jpg"), np.zeros((480, 640, 3), np.uint8))
    with pytest.raises(DatasetError, match=r"a\.jpg: is 640 x 480 pixels, and annotated as 480 x 640"):
        index.check_sizes()
    cv2.imwrite(str(images / "c.jpg"), np.zeros((48, 64, 3), np.uint8))
    with pytest.raises(DatasetError, match=r"c\.jpg: is 64 x 48 pixels.*; 1 others have a wrong size too"):
        index.check_sizes()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"PK\x03\x04\xff\xfe", "is not JSON"),
        (b'{"images": [', "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", 'it has no list "categories"'),
    ],
)
def test_what_is_no_coco_json_is_refused(tmp_path: Path, images: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "annotations.json"
    path.write_bytes(content)
    told = complaint_about(path, images)
    assert complaint in told
    assert str(path) in told


def drop(*keys: Any) -> Callable[[Any], None]:
    def change(content: Any) -> None:
        for key in keys[:-1]:
            content = content[key]
        del content[keys[-1]]

    return change


def put(value: Any, *keys: Any) -> Callable[[Any], None]:
    def change(content: Any) -> None:
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (put([], "images"), "has no images"),
        (put([], "annotations"), "has no annotations"),
        (put({}, "images"), 'it has no list "images"'),
        (put("x", "images", 0), 'images[0] is not an object with an integer "id"'),
        (put(True, "images", 0, "id"), 'images[0] is not an object with an integer "id"'),
        (put(10, "images", 0, "id"), "two of its images have the id 10"),
        (put(1, "categories", 0, "id"), "two of its categories have the id 1"),
        (drop("images", 0, "file_name"), 'images[0] (id 30) has no "file_name"'),
        (put("a.jpg", "images", 0, "file_name"), 'two of its images have the file_name "a.jpg"'),
        (put("a\0.jpg", "images", 0, "file_name"), r"1 of 3 images are missing: a\x00.jpg"),
        (drop("images", 0, "width"), 'image "c.jpg" has no width'),
        (put(0, "images", 0, "height"), 'image "c.jpg" has height 0'),
        (put(70_000, "images", 0, "width"), 'image "c.jpg" has width 70000'),
        (put(float("nan"), "images", 0, "width"), 'image "c.jpg" has width nan'),
        (put("640", "images", 0, "width"), "image \"c.jpg\" has width '640'"),
        (put(99, "annotations", 0, "image_id"), "is of an image that is not in the list: 99"),
        (put(99, "annotations", 0, "category_id"), "is of a category that is not in the list: 99"),
        (drop("annotations", 0, "bbox"), "has no usable bbox: None"),
        (put([1, 2, 3], "annotations", 0, "bbox"), "has no usable bbox: [1, 2, 3]"),
        (put([1, 2, 3, float("inf")], "annotations", 0, "bbox"), "has no usable bbox"),
        (put([1, 2, -3, 4], "annotations", 0, "bbox"), "has a bbox of negative size"),
    ],
)
def test_a_bad_entry_is_named(tmp_path: Path, images: Path, change: Callable[[Any], None], complaint: str) -> None:
    content = document()
    change(content)
    assert complaint in complaint_about(write(tmp_path, content), images)


def test_a_missing_annotations_file_or_folder_is_named(tmp_path: Path, annotations: Path, images: Path) -> None:
    assert f"{tmp_path / 'none.json'}: no such annotations file\n" in complaint_about(tmp_path / "none.json", images)
    assert "cannot be read: Is a directory" in complaint_about(tmp_path, images)
    assert f"{tmp_path / 'none'}: no such images folder" in complaint_about(annotations, tmp_path / "none")
