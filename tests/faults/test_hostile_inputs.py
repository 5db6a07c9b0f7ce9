"""Inputs that somebody else made, badly or with intent: one clear error, in time, and nothing of it on the terminal."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.faults.command import Harness, is_clear_error

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
CONFIGURATIONS = {
    "anchor bomb": BOMB + "name: *i\n",
    "anchor bomb of options": f"backend: {{options: {{x: *i}}}}\n{BOMB}",
    "itself": "name: &a [*a]\n",
    "deep": "name: " + "[" * 5000 + "]" * 5000,
    "key twice": "name: smoke\nname: demo\n",
    "group twice": "tests: {}\nname: x\ntests: {}\n",
    "a date that there is not": "name: 2024-13-45\n",
    "a huge number": "repeat: " + "9" * 5000,
    "escape sequences": 'name: "\\x1b]0;owned\\x07\\x1b[2J"\n',
    "markup": 'name: "[bold red]x[/]"\n',
    "not text": "\x00\x01\x02",
    "python": "name: !!python/object/apply:os.system [ls]\n",
    "a list": "- a\n- b\n",
    "long value": f"name: {'x' * 100_000}\n",
    "nan": "watchdog_s: .nan\n",
    "infinity": "tests: {offline: {min_duration_s: -.inf}}\n",
}
QUICK = ("anchor bomb", "key twice", "escape sequences")


def marked(name: str) -> object:
    return pytest.param(name, id=name, marks=[pytest.mark.quick_fault] if name in QUICK else [])


@pytest.mark.parametrize("kind", [marked(case) for case in CONFIGURATIONS])
def test_a_configuration(harness: Harness, kind: str) -> None:
    (harness.folder / "bad.yaml").write_text(CONFIGURATIONS[kind])
    began = time.monotonic()
    done = harness.run("run", "bad.yaml", "--output", "r")
    is_clear_error(done, 2)
    assert time.monotonic() - began < 60
    assert len(done.err) < 2000
    assert "\x1b" not in done.err
    assert not (harness.folder / "r").exists()


def write_coco(
    folder: Path, *, size: tuple[int, int] = (40, 20), said: tuple[int, int] | None = None
) -> dict[str, Any]:
    """Four images of noise with one box each, and their annotations as a document that is not written yet."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    width, height = said or size
    images, annotations = [], []
    for number in range(1, 5):
        name = f"{number:03d}.jpg"
        pixels = rng.integers(0, 255, (size[1], size[0], 3), np.uint8)
        cv2.imwrite(str(folder / "images" / name), pixels)
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        box = {"bbox": [10, 5, 20, 10], "area": 200, "iscrowd": 0, "category_id": 1}
        annotations.append({"id": number, "image_id": number, **box})
    categories = [{"id": number, "name": f"c{number}"} for number in range(1, 81)]
    return {"info": {}, "images": images, "annotations": annotations, "categories": categories}


def run_with(harness: Harness, text: str | bytes) -> Any:
    (harness.folder / "i.json").write_bytes(text.encode(errors="surrogateescape") if isinstance(text, str) else text)
    more = ("--images", "coco/images", "--annotations", "i.json", "--output", "r", "--scenario", "offline")
    return harness.run("run", "c.yaml", *more)


def test_a_good_set_runs(harness: Harness) -> None:
    document = write_coco(harness.folder / "coco")
    done = run_with(harness, json.dumps(document))
    assert done.status == 0, done.err


ANNOTATIONS: dict[str, str | bytes] = {
    "empty": "",
    "deep": "[" * 1_000_000,
    "a list": "[]",
    "binary": bytes(range(256)),
    "utf-16": json.dumps({"images": []}).encode("utf-16"),
    "no images": '{"images": [], "annotations": [], "categories": []}',
    "huge numbers": '{"images": [{"id": 1e999, "file_name": "a", "width": 1, "height": 1}]}',
}


@pytest.mark.parametrize("kind", ANNOTATIONS)
def test_annotations_that_are_none(harness: Harness, kind: str) -> None:
    write_coco(harness.folder / "coco")
    is_clear_error(run_with(harness, ANNOTATIONS[kind]), 3)


@pytest.mark.parametrize(
    "name", ["../secret.jpg", "/etc/passwd", "a/../../secret.jpg", "\x00", "\udce9.jpg", "x" * 300, "\x1b[2J.jpg", "."]
)
def test_names_that_lead_elsewhere_or_nowhere(harness: Harness, name: str) -> None:
    document = write_coco(harness.folder / "coco")
    (harness.folder / "secret.jpg").write_bytes((harness.folder / "coco/images/001.jpg").read_bytes())
    document["images"][0]["file_name"] = name
    done = run_with(harness, json.dumps(document))
    is_clear_error(done, 3)
    assert "\x1b" not in done.err


@pytest.mark.quick_fault
def test_images_of_another_size_than_the_annotations_say(harness: Harness) -> None:
    document = write_coco(harness.folder / "coco", said=(20, 40))
    done = run_with(harness, json.dumps(document))
    is_clear_error(done, 3)
    assert "001.jpg" in done.err
    assert "40 x 20" in done.err


def test_an_image_folder_made_of_links(harness: Harness) -> None:
    document = write_coco(harness.folder / "coco")
    images, blobs = harness.folder / "coco/images", harness.folder / "blobs"
    images.rename(blobs)
    images.mkdir()
    for blob in blobs.iterdir():
        (images / blob.name).symlink_to(os.path.relpath(blob, images))
    done = run_with(harness, json.dumps(document))
    assert done.status == 0, done.err


@pytest.mark.parametrize("content", [b"", b"no image", b"\xff\xd8\xff\xe0" + bytes(100), None])
def test_an_image_that_is_none(harness: Harness, content: bytes | None) -> None:
    document = write_coco(harness.folder / "coco")
    image = harness.folder / "coco/images/003.jpg"
    whole = image.read_bytes()
    image.write_bytes(whole[: len(whole) // 2] if content is None else content)
    done = run_with(harness, json.dumps(document))
    is_clear_error(done, 3, 4)
    assert "003.jpg" in done.err


OPTIONS = {
    "a json file onto a folder": ("submission", "check", ".", "--json", "."),
    "a report onto a folder": ("results", ".", "--format", "csv", "--output", "."),
    "a name of 256 letters": ("report", "x" * 256),
    "a config of 256 letters": ("run", "x" * 256),
    "images of 5000 letters": ("run", "c.yaml", "--images", "x" * 5000, "--annotations", "c.yaml"),
    "a model that is a folder": ("run", "c.yaml", "--backend", "onnxruntime", "--model", "."),
    "a model that is text": ("run", "c.yaml", "--backend", "onnxruntime", "--model", "c.yaml"),
    "a model that is empty": ("run", "c.yaml", "--backend", "onnxruntime", "--model", "/dev/null"),
    "escape sequences": ("report", "\x1b[2Jx"),
    "bytes": ("report", b"caf\xe9"),
    "a set without a value": ("run", "--set", "backend.warmup"),
    "a deep set": ("run", "--set", f"backend.options={'[' * 4000}"),
}


@pytest.mark.parametrize("kind", OPTIONS)
def test_an_option(harness: Harness, kind: str) -> None:
    words = [os.fsdecode(word) if isinstance(word, bytes) else word for word in OPTIONS[kind]]
    done = harness.run(*words)
    is_clear_error(done, 2, 3)
    assert "\x1b" not in done.err


HOSTILE_NAMES = ("\x1b]0;owned\x07", "[red]x[/red]", "[/]", "a\rb", "\u202egpj", "<script>", "{0}%s")


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_category_whose_name_is_hostile(harness: Harness, name: str) -> None:
    document = write_coco(harness.folder / "coco")
    for category in document["categories"]:
        category["name"] = f"{name} {category['id']}"
    done = run_with(harness, json.dumps(document))
    assert done.status == 0, done.err
    shown = harness.run("accuracy", "r", "--per-class")
    assert shown.status == 0, shown.err
    assert "\x1b" not in done.out + done.err + shown.out + shown.err
    assert "<script> 1" not in (harness.folder / "r/report.html").read_text()
