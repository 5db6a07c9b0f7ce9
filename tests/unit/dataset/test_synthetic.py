"""The synthetic dataset is COCO to every reader, the same for the same seed, and never half there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from harness.dataset import synthetic
from harness.dataset.coco_categories import COCO_CATEGORIES
from harness.dataset.coco_index import CocoIndex
from harness.dataset.scene import draw_scene
from harness.dataset.synthetic import write_synthetic
from harness.errors import DataError, DatasetError


def ignore(done: int, total: int) -> None:
    """Progress that nobody looks at."""


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "set"
    write_synthetic(folder, images=40, seed=3, progress=ignore)
    return folder


@pytest.fixture(scope="module")
def document(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "instances.json").read_bytes())
    return content


def test_the_index_and_pycocotools_read_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from pycocotools.coco import COCO

    index = CocoIndex.load(folder / "instances.json", folder / "images")
    coco = COCO(str(folder / "instances.json"))
    assert len(index) == len(coco.getImgIds()) == 40
    assert list(index.category_ids) == coco.getCatIds() == [category.id for category in COCO_CATEGORIES]
    assert len(coco.getAnnIds()) >= 160


def test_perfect_detections_evaluate_to_an_ap_of_one(folder: Path, document: dict[str, Any]) -> None:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth = COCO(str(folder / "instances.json"))
    detections = [{**annotation, "score": 0.9} for annotation in document["annotations"]]
    evaluation = COCOeval(truth, truth.loadRes(detections), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1.0)


def test_it_says_that_it_is_synthetic(document: dict[str, Any]) -> None:
    assert document["info"]["synthetic"] is True
    assert document["info"]["seed"] == 3
    assert document["info"]["description"].startswith("Synthetic")


def test_images_are_whole_jpegs_of_the_sizes_the_annotations_say(folder: Path, document: dict[str, Any]) -> None:
    grey = 0
    for record in document["images"]:
        content = (folder / "images" / record["file_name"]).read_bytes()
        assert content.startswith(b"\xff\xd8")
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
        assert image.shape[:2] == (record["height"], record["width"])
        grey += image.ndim == 2
    assert grey == 2


def test_what_is_written_is_the_scene_but_for_jpeg_s_noise(folder: Path, document: dict[str, Any]) -> None:
    scene = draw_scene(3, 0)
    written = np.asarray(cv2.imread(str(folder / "images" / document["images"][0]["file_name"])))[:, :, ::-1]
    difference = np.abs(written.astype(int) - scene.pixels)
    assert 0 < difference.mean() < 8
    boxes = [annotation["bbox"] for annotation in document["annotations"] if annotation["image_id"] == 1]
    assert boxes == [[item.left, item.top, item.width, item.height] for item in scene.objects]


def test_every_category_appears_and_no_area_is_larger_than_its_box(document: dict[str, Any]) -> None:
    annotations = document["annotations"]
    assert {a["category_id"] for a in annotations} == {category.id for category in COCO_CATEGORIES}
    assert all(0 < a["area"] <= a["bbox"][2] * a["bbox"][3] for a in annotations)
    assert [a["id"] for a in annotations] == list(range(1, len(annotations) + 1))


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(tmp_path: Path) -> None:
    for name, seed in (("one", 5), ("two", 5), ("three", 6)):
        write_synthetic(tmp_path / name, images=3, seed=seed, progress=ignore)
    assert content_of(tmp_path / "one") == content_of(tmp_path / "two")
    assert content_of(tmp_path / "one") != content_of(tmp_path / "three")


def test_a_smaller_set_is_the_beginning_of_a_larger_one(tmp_path: Path, folder: Path) -> None:
    write_synthetic(tmp_path / "small", images=4, seed=3, progress=ignore)
    for path in (tmp_path / "small/images").iterdir():
        assert path.read_bytes() == (folder / "images" / path.name).read_bytes()


def test_a_set_that_is_there_is_taken_as_it_is(tmp_path: Path) -> None:
    images, annotations = write_synthetic(tmp_path / "set", images=3, seed=1, progress=ignore)
    before = annotations.stat().st_ino
    told: list[tuple[int, int]] = []
    again = write_synthetic(tmp_path / "set", images=3, seed=1, progress=lambda done, total: told.append((done, total)))
    assert again == (images, annotations)
    assert annotations.stat().st_ino == before
    assert told == [(3, 3)]


@pytest.mark.parametrize("damage", ["remove", "truncate", "annotations"])
def test_a_damaged_set_is_made_again(tmp_path: Path, damage: str) -> None:
    images, annotations = write_synthetic(tmp_path / "set", images=3, seed=1, progress=ignore)
    before = content_of(tmp_path / "set")
    first = next(images.iterdir())
    if damage == "remove":
        first.unlink()
    elif damage == "truncate":
        first.write_bytes(first.read_bytes()[:100])
    else:
        annotations.write_text("{}")
    write_synthetic(tmp_path / "set", images=3, seed=1, progress=ignore)
    assert content_of(tmp_path / "set") == before
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_newer_generator_does_not_take_an_older_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_synthetic(tmp_path / "set", images=1, seed=1, progress=ignore)
    monkeypatch.setattr(synthetic, "GENERATOR_VERSION", 99)
    with pytest.raises(DatasetError, match="holds another synthetic set"):
        write_synthetic(tmp_path / "set", images=1, seed=1, progress=ignore)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("x")
    with pytest.raises(DatasetError, match="is not empty, and not a synthetic set"):
        write_synthetic(tmp_path / "mine", images=1, seed=1, progress=ignore)
    with pytest.raises(DatasetError, match="is not a folder"):
        write_synthetic(tmp_path / "mine/thesis.txt", images=1, seed=1, progress=ignore)
    assert content_of(tmp_path) == {"mine/thesis.txt": b"x"}


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write_synthetic(tmp_path / "empty", images=1, seed=1, progress=ignore)
    assert (tmp_path / "empty/instances.json").is_file()


def test_a_break_leaves_nothing_under_the_name(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_synthetic(tmp_path / "set", images=3, seed=1, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written: Not a directory"):
        write_synthetic(tmp_path / "file/below/set", images=1, seed=1, progress=ignore)


def test_a_set_of_no_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no synthetic set has 0 images"):
        write_synthetic(tmp_path / "set", images=0, seed=1, progress=ignore)
