"""Reading annotations as columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.accuracy.ground_truth import read_ground_truth
from harness.errors import DatasetError
from tests.support.made_logs import coco_document, written

SIZES = [(640, 480), (320, 200), (50, 60)]
BOXES: list[tuple[int, int, list[float]]] = [(99, 3, [1.5, 2, 30, 40]), (100, 90, [0, 0, 10, 10])]


def document() -> dict[str, Any]:
    return coco_document(SIZES, BOXES, category_ids=(90, 3))


def test_images_and_categories_keep_the_files_order(tmp_path: Path) -> None:
    truth = read_ground_truth(written(tmp_path / "a.json", document()))
    assert truth.image_ids.tolist() == [100, 99, 98]
    assert truth.widths.tolist() == [640, 320, 50]
    assert truth.heights.tolist() == [480, 200, 60]
    assert truth.category_ids.tolist() == [90, 3]
    assert truth.category_names == ("class 90", "class 3")
    assert truth.boxes.tolist() == [[1.5, 2, 30, 40], [0, 0, 10, 10]]
    assert truth.areas.tolist() == [1200, 100]
    assert truth.crowds.tolist() == [False, False]


def test_images_without_boxes_are_not_annotated(tmp_path: Path) -> None:
    truth = read_ground_truth(written(tmp_path / "a.json", document()))
    assert truth.annotated_image_ids.tolist() == [100, 99]


def test_the_first_images_come_with_their_own_boxes(tmp_path: Path) -> None:
    truth = read_ground_truth(written(tmp_path / "a.json", document())).first(1)
    assert truth.image_ids.tolist() == [100]
    assert truth.box_image_ids.tolist() == [100]


@pytest.mark.parametrize("count", [0, -1, 4])
def test_no_other_number_of_images_can_be_had(tmp_path: Path, count: int) -> None:
    truth = read_ground_truth(written(tmp_path / "a.json", document()))
    with pytest.raises(DatasetError, match="the file has 3"):
        truth.first(count)


def test_boxes_of_images_and_categories_that_are_not_listed_are_left_out(tmp_path: Path) -> None:
    strays: list[tuple[int, int, list[float]]] = [*BOXES, (7, 3, [0, 0, 1, 1]), (99, 7, [0, 0, 1, 1])]
    truth = read_ground_truth(written(tmp_path / "a.json", coco_document(SIZES, strays, category_ids=(90, 3))))
    assert truth.box_image_ids.tolist() == [99, 100]


def changed(key: str, entry: int, **values: Any) -> dict[str, Any]:
    result = document()
    result[key][entry].update(values)
    return result


def without(key: str, entry: int, name: str) -> dict[str, Any]:
    result = document()
    del result[key][entry][name]
    return result


FAULTY = {
    "a list": ([], "no list of 'images'"),
    "no images": ({**document(), "images": []}, "an empty list of 'images'"),
    "no categories": ({key: value for key, value in document().items() if key != "categories"}, "no list of 'categor"),
    "an image without a width": (without("images", 1, "width"), r"images\[1\] has no 'width'"),
    "a box without an area": (without("annotations", 0, "area"), r"annotations\[0\] has no 'area'"),
    "a box of three numbers": (changed("annotations", 0, bbox=[1, 2, 3]), "not COCO's instances format"),
    "a box of words": (changed("annotations", 0, bbox=["a", "b", "c", "d"]), "not COCO's instances format"),
    "a box that is not finite": (changed("annotations", 0, bbox=[0, 0, float("nan"), 1]), "not a finite number"),
    "an image of no width": (changed("images", 0, width=0), "positive width"),
    "two images of one id": (changed("images", 0, id=99), "the image id 99 is there twice"),
    "two categories of one id": (changed("categories", 0, id=3), "the category id 3 is there twice"),
}


@pytest.mark.parametrize(("content", "message"), FAULTY.values(), ids=FAULTY.keys())
def test_annotations_that_are_not_cocos_are_refused(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_ground_truth(written(tmp_path / "a.json", content))


def test_annotations_that_are_no_json_or_not_there_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"images": [')
    with pytest.raises(DatasetError, match="not JSON"):
        read_ground_truth(tmp_path / "a.json")
    with pytest.raises(DatasetError, match="cannot be read"):
        read_ground_truth(tmp_path / "b.json")


HUGE = 1152921504606846977  # 2⁶⁰ + 1: it and the next are one number in float64


def renamed(ids: dict[int, Any]) -> dict[str, Any]:
    """The document with other image ids."""
    changed = document()
    for image in changed["images"]:
        image["id"] = ids.get(image["id"], image["id"])
    for box in changed["annotations"]:
        box["image_id"] = ids.get(box["image_id"], box["image_id"])
    return changed


def test_image_ids_that_a_float64_cannot_hold_become_their_ranks(tmp_path: Path) -> None:
    truth = read_ground_truth(written(tmp_path / "a.json", renamed({100: HUGE + 1, 99: HUGE})))
    assert truth.ids_in_file.tolist() == [HUGE + 1, HUGE, 98]
    assert truth.image_ids.tolist() == [3, 2, 1]
    assert truth.box_image_ids.tolist() == [2, 3]
    assert truth.places_of(np.array([HUGE, HUGE + 1, HUGE + 2])).tolist() == [1, 0, -1]
    assert truth.first(2).ids_in_file.tolist() == [HUGE + 1, HUGE]


def test_other_image_ids_stay_what_they_are(tmp_path: Path) -> None:
    truth = read_ground_truth(written(tmp_path / "a.json", renamed({100: 2**53 - 1})))
    assert truth.image_ids.tolist() == truth.ids_in_file.tolist() == [2**53 - 1, 99, 98]


@pytest.mark.parametrize("value", [99.5, "99", True, 2**63, None, 1e300])
def test_an_id_that_is_no_whole_number_is_refused_and_not_cut(tmp_path: Path, value: Any) -> None:
    with pytest.raises(DatasetError, match=r"images\[1\] has .* as 'id', which is no whole number"):
        read_ground_truth(written(tmp_path / "a.json", renamed({99: value})))


def test_a_whole_number_written_as_a_float_is_that_number(tmp_path: Path) -> None:
    truth = read_ground_truth(written(tmp_path / "a.json", renamed({99: 99.0})))
    assert truth.image_ids.tolist() == [100, 99, 98]


def test_categories_of_one_name_are_told_apart_by_their_ids(tmp_path: Path) -> None:
    changed = document()
    for category in changed["categories"]:
        category["name"] = "cat"
    assert read_ground_truth(written(tmp_path / "a.json", changed)).category_names == ("cat (id 90)", "cat (id 3)")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_every_encoding_of_json_is_read(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(json.dumps(document() | {"info": {"by": "Bäckström"}}, ensure_ascii=False).encode(encoding))
    assert read_ground_truth(path).image_ids.tolist() == [100, 99, 98]


def test_annotations_in_a_local_encoding_are_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(json.dumps(document() | {"info": "Bäckström"}, ensure_ascii=False).encode("latin-1"))
    with pytest.raises(DatasetError, match="not text in UTF-8"):
        read_ground_truth(path)
