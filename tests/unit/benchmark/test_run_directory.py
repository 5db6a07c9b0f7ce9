"""A run directory belongs to one run, and says how it ended."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from harness.benchmark.run_directory import RunDirectory, default_folder
from harness.errors import DataError, UsageError
from harness.files import write_json


def manifest(folder: Path) -> dict[str, object]:
    data: dict[str, object] = json.loads((folder / "manifest.json").read_text())
    return data


def test_a_new_run_says_running_and_then_how_it_ended(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    run = RunDirectory.create(folder, {"command": ["x"]}, resume=False)
    assert manifest(folder)["status"] == "running"
    run.finish("failed", "interrupted")
    ended = manifest(folder)
    assert (ended["status"], ended["reason"], ended["command"]) == ("failed", "interrupted", ["x"])
    assert str(ended["ended"]) >= str(ended["started"])


def test_a_folder_that_is_not_a_run_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="exists and is not a run"):
        RunDirectory.create(tmp_path, {}, resume=False)
    with pytest.raises(UsageError, match="is a file"):
        RunDirectory.create(tmp_path / "thesis.txt", {}, resume=False)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    assert RunDirectory.create(tmp_path, {}, resume=False).folder == tmp_path


def test_an_earlier_run_is_replaced_and_what_is_not_its_own_stays(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, {}, resume=False)
    run.open_test(run.test_folder("offline", "performance"), "f")
    write_json(tmp_path / "summary.json", {})
    (tmp_path / "notes.txt").write_text("mine")
    RunDirectory.create(tmp_path, {}, resume=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.json", "notes.txt"]


def test_resuming_keeps_a_test_with_the_same_fingerprint_only(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, {}, resume=False)
    folder = run.test_folder("offline", "accuracy")
    done = run.open_test(folder, "f")
    assert (folder, done) == (tmp_path / "offline" / "accuracy", None)
    write_json(folder / "test.json", {"fingerprint": "f", "mode": "accuracy"})
    again = RunDirectory.create(tmp_path, {}, resume=True)
    assert again.open_test(folder, "f") == {"fingerprint": "f", "mode": "accuracy"}
    assert again.open_test(folder, "other") is None
    assert list(folder.iterdir()) == []


def test_a_damaged_record_of_a_test_is_not_trusted(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, {}, resume=False)
    folder = run.test_folder("offline", "performance")
    run.open_test(folder, "f")
    (folder / "test.json").write_text('{"fingerprint": "f"')
    assert run.open_test(folder, "f") is None


def test_there_must_be_something_to_resume(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to resume here"):
        RunDirectory.create(tmp_path / "new", {}, resume=True)


def test_a_full_disk_is_said_before_anything_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 10, 5 << 20))
    with pytest.raises(DataError, match="no space left: a run needs 256 MiB, 5 MiB are free"):
        RunDirectory.create(tmp_path / "new", {}, resume=False)


def test_a_folder_that_cannot_be_made_is_an_error_of_the_environment(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        RunDirectory.create(tmp_path / "file" / "run", {}, resume=False)


def test_default_folders_do_not_collide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = default_folder("demo")
    first.mkdir(parents=True)
    second = default_folder("demo")
    assert first.parent == Path("results")
    assert second != first
