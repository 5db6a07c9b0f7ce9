"""Damaged caches and damaged runs: a cache is made anew, a damaged run costs itself only."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.command import Harness, is_clear_error


@pytest.fixture
def own_cache(harness: Harness) -> Path:
    """A copy of the cache, to be damaged."""
    copy = harness.folder / "cache"
    shutil.copytree(harness.cache, copy, symlinks=True)
    harness.cache = copy
    return copy


def first(folder: Path, pattern: str) -> Path:
    return sorted(folder.rglob(pattern))[0]


def zeroed(cache: Path) -> None:
    tensor = first(cache, "*.npy")
    size = tensor.stat().st_size
    with tensor.open("r+b") as file:
        file.seek(128)
        file.write(bytes(size - 128))


def cut(cache: Path) -> None:
    tensor = first(cache, "*.npy")
    os.truncate(tensor, tensor.stat().st_size // 2)


def emptied(cache: Path) -> None:
    first(cache, "*.npy").write_bytes(b"")


def a_folder_for_a_tensor(cache: Path) -> None:
    tensor = first(cache, "*.npy")
    tensor.unlink()
    tensor.mkdir()


def a_pipe_for_a_tensor(cache: Path) -> None:
    tensor = first(cache, "*.npy")
    tensor.unlink()
    os.mkfifo(tensor)


def a_dangling_link(cache: Path) -> None:
    tensor = first(cache, "*.npy")
    tensor.unlink()
    tensor.symlink_to(cache / "nowhere")


def a_damaged_image(cache: Path) -> None:
    first(cache, "*.jpg").write_bytes(b"no image")


def a_missing_image(cache: Path) -> None:
    first(cache, "*.jpg").unlink()


def a_damaged_marker(cache: Path) -> None:
    first(cache, "synthetic.json").write_text("{")


def a_marker_of_another_kind(cache: Path) -> None:
    first(cache, "synthetic.json").write_text("[1, 2]")


def a_missing_marker(cache: Path) -> None:
    first(cache, "synthetic.json").unlink()


CACHE_DAMAGE: tuple[Callable[[Path], None], ...] = (
    zeroed,
    cut,
    emptied,
    a_folder_for_a_tensor,
    a_pipe_for_a_tensor,
    a_dangling_link,
    a_damaged_image,
    a_missing_image,
    a_damaged_marker,
    a_marker_of_another_kind,
    a_missing_marker,
)
QUICK = (zeroed, a_damaged_marker)


def named(damage: Callable[..., object]) -> object:
    marks = [pytest.mark.quick_fault] if damage in QUICK else []
    return pytest.param(damage, id=damage.__name__, marks=marks)


@pytest.mark.parametrize("damage", [named(case) for case in CACHE_DAMAGE])
def test_a_damaged_cache_is_made_anew(harness: Harness, own_cache: Path, damage: Callable[[Path], None]) -> None:
    whole = {path: path.read_bytes() for path in own_cache.rglob("*.npy")}
    damage(own_cache)
    done = harness.run("run", "c.yaml", "--output", "r", "--mode", "performance", "--scenario", "offline")
    assert done.status == 0, done.err
    assert {path: path.read_bytes() for path in own_cache.rglob("*.npy")} == whole


DAMAGED_TEXT = {
    "empty": "",
    "cut": '{"schema": 1, "status": "comp',
    "list": "[]",
    "null": "null",
    "number": "7",
    "deep": "[" * 100_000,
    "binary": "\x00\x01\udcff",
    "wrong types": '{"schema": 1, "status": 5, "started": "yesterday", "tests": "none", "settings": [], "round": {}}',
    "round of a file": '{"schema": 1, "status": "complete", "round": "../../../etc/passwd", "tests": []}',
}
FILES = ("manifest.json", "summary.json", "offline/accuracy/accuracy.json", "offline/accuracy/test.json")


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("kind", DAMAGED_TEXT)
def test_a_damaged_run_costs_itself_only(harness: Harness, finished: Path, file: str, kind: str) -> None:
    for name in ("good", "bad"):
        shutil.copytree(finished, harness.folder / "runs" / name)
    (harness.folder / "runs/bad" / file).write_text(DAMAGED_TEXT[kind], encoding="utf-8", errors="surrogateescape")
    listed = harness.run("results", "runs", "--format", "json")
    assert listed.status == 0, listed.err
    assert any("good" in json.dumps(row) for row in json.loads(listed.out))
    reported = harness.run("report", "runs/bad")
    assert reported.status == 0 or is_clear_error(reported, 2, 3)
    again = harness.run("report", "runs/good")
    assert again.status == 0, again.err


@pytest.mark.quick_fault
def test_a_gallery_that_names_files_elsewhere_shows_none_of_them(harness: Harness, finished: Path) -> None:
    run = harness.folder / "run"
    shutil.copytree(finished, run)
    secret = harness.folder / "secret.txt"
    secret.write_text("a secret of this machine" * 10)
    gallery = first(run, "gallery.json")
    text = gallery.read_text()
    data = json.loads(text)
    entries = data if isinstance(data, list) else next(value for value in data.values() if isinstance(value, list))
    for entry in entries:
        for key, value in entry.items():
            if isinstance(value, str) and value.endswith(".jpg"):
                entry[key] = os.path.relpath(secret, gallery.parent)
    gallery.write_text(json.dumps(data))
    done = harness.run("report", "run")
    assert done.status == 0 or is_clear_error(done, 3)
    page = (run / "report.html").read_text()
    import base64

    assert base64.b64encode(secret.read_bytes()).decode()[:40] not in page
