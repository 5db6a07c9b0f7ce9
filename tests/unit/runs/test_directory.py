"""A run directory belongs to one run, and says how it ended."""

from __future__ import annotations

import errno
import json
import shutil
import tempfile
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from harness.errors import DataError, LogError, UsageError
from harness.files import write_json
from harness.runs.directory import RunDirectory, alone_in, check_free, default_folder, log_hashes
from harness.runs.documents import write_document
from harness.runs.records import Manifest, TestRecord
from tests.support.made_runs import made_record


def manifest(folder: Path) -> dict[str, object]:
    data: dict[str, object] = json.loads((folder / "manifest.json").read_text())
    return data


def content(folder: Path) -> dict[str, bytes | None]:
    """Every path below the folder, and what is in it."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def manifest_of(**parts: Any) -> Manifest:
    return Manifest(schema=1, status="running", **parts)


def test_a_new_run_says_running_and_then_how_it_ended(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    run = RunDirectory.create(folder, manifest_of(command=("x",)), resume=False)
    assert manifest(folder)["status"] == "running"
    run.finish("failed", "interrupted")
    ended = manifest(folder)
    assert (ended["status"], ended["reason"], ended["command"]) == ("failed", "interrupted", ["x"])
    assert str(ended["ended"]) >= str(ended["started"])


def test_a_folder_that_is_not_a_run_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="exists and is not a run"):
        RunDirectory.create(tmp_path, manifest_of(), resume=False)
    with pytest.raises(UsageError, match="is a file"):
        RunDirectory.create(tmp_path / "thesis.txt", manifest_of(), resume=False)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    assert RunDirectory.create(tmp_path, manifest_of(), resume=False).folder == tmp_path


def test_an_earlier_run_is_replaced_and_what_is_not_its_own_stays(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, manifest_of(), resume=False)
    run.open_test(run.test_folder("offline", "performance"), "f")
    write_json(tmp_path / "summary.json", {})
    (tmp_path / "notes.txt").write_text("mine")
    new = RunDirectory.create(tmp_path, manifest_of(), resume=False)
    new.add_test(TestRecord.model_validate(made_record("offline", "performance")))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.json", "notes.txt"]


def test_an_earlier_run_is_back_when_the_new_one_got_no_results(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, manifest_of(round="v1.1"), resume=False)
    run.open_test(run.test_folder("offline", "performance"), "f")
    write_json(tmp_path / "summary.json", {"a": 1})
    before = content(tmp_path)
    new = RunDirectory.create(tmp_path, manifest_of(round="v2.0"), resume=False)
    new.open_test(new.test_folder("server", "performance"), "g")
    assert new.give_way()
    assert content(tmp_path) == before
    assert not new.give_way()


@pytest.mark.parametrize("moves", range(8))
def test_an_earlier_run_survives_a_death_at_any_moment(
    tmp_path: Path, moves: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunDirectory.create(tmp_path, manifest_of(round="v1.1"), resume=False)
    run.open_test(run.test_folder("offline", "performance"), "f")
    run.open_test(run.test_folder("server", "performance"), "f")
    for name in ("summary.json", "summary.csv"):
        (tmp_path / name).write_text("{}")
    before, rename, left = content(tmp_path), Path.rename, [moves]

    class Killed(BaseException):
        pass

    def dying(self: Path, target: Path) -> Path:
        if not left[0]:
            raise Killed
        left[0] -= 1
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", dying)
    with pytest.raises(Killed):  # while it is set aside or restored
        RunDirectory.create(tmp_path, manifest_of(round="v2.0"), resume=False).give_way()
    monkeypatch.undo()
    with alone_in(tmp_path):
        assert content(tmp_path) == before


def test_a_complete_run_is_not_free_to_take_and_another_one_is(tmp_path: Path) -> None:
    check_free(tmp_path)
    run = RunDirectory.create(tmp_path, manifest_of(), resume=False)
    run.finish("failed", "x")
    check_free(tmp_path)
    run.finish("complete")
    with pytest.raises(UsageError, match=r"holds a finished run\n.*--overwrite"):
        check_free(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(UsageError, match="holds a finished run"):
        check_free(tmp_path)


def test_resuming_keeps_a_test_with_the_same_fingerprint_only(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, manifest_of(), resume=False)
    folder = run.test_folder("offline", "accuracy")
    done = run.open_test(folder, "f")
    assert (folder, done) == (tmp_path / "offline" / "accuracy", None)
    record = TestRecord.model_validate(made_record("offline", "accuracy", fingerprint="f"))
    write_document(folder / "test.json", record)
    again = RunDirectory.create(tmp_path, manifest_of(), resume=True)
    assert again.open_test(folder, "f") == record
    assert again.open_test(folder, "other") is None
    assert list(folder.iterdir()) == []


def test_a_test_whose_logs_were_changed_is_not_taken_for_finished(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, manifest_of(), resume=False)
    folder = run.test_folder("offline", "performance")
    run.open_test(folder, "f")
    log = folder / "mlperf_log_detail.txt"
    log.write_text("whole")
    write_json(folder / "test.json", made_record("offline", "performance", fingerprint="f", logs=log_hashes(folder)))
    assert run.open_test(folder, "f") is not None
    log.write_text("who")
    assert run.open_test(folder, "f") is None


def test_a_damaged_record_of_a_test_is_not_trusted(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, manifest_of(), resume=False)
    folder = run.test_folder("offline", "performance")
    run.open_test(folder, "f")
    (folder / "test.json").write_text('{"fingerprint": "f"')
    assert run.open_test(folder, "f") is None


def test_a_folder_with_nothing_but_what_a_killed_start_left_is_taken(tmp_path: Path) -> None:
    (tmp_path / ".manifest.json.abc.tmp").write_text("{")
    RunDirectory.create(tmp_path, manifest_of(), resume=False)
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_a_resumed_run_says_when_it_was_first_started_and_when_resumed(tmp_path: Path) -> None:
    RunDirectory.create(tmp_path, manifest_of(), resume=False)
    first = manifest(tmp_path)["started"]
    RunDirectory.create(tmp_path, manifest_of(), resume=True)
    RunDirectory.create(tmp_path, manifest_of(), resume=True)
    again = manifest(tmp_path)
    assert again["started"] == first
    assert len(str(again["resumed"]).split(",")) == 2


def test_a_run_is_opened_with_its_manifest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is not a run: it has no manifest\.json"):
        RunDirectory.open(tmp_path)
    RunDirectory.create(tmp_path, manifest_of(round="v2.0"), resume=False)
    assert RunDirectory.open(tmp_path).manifest.round == "v2.0"
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(LogError, match="is damaged"):
        RunDirectory.open(tmp_path)


def test_one_process_at_a_time_has_a_run(tmp_path: Path) -> None:
    with alone_in(tmp_path), pytest.raises(UsageError, match="another process is at this run"), alone_in(tmp_path):
        pass
    with alone_in(tmp_path), alone_in(tmp_path / "new"):
        pass


def test_there_must_be_something_to_resume(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to resume here"):
        RunDirectory.create(tmp_path / "new", manifest_of(), resume=True)


def test_a_full_disk_is_said_before_anything_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 10, 5 << 20))
    with pytest.raises(DataError, match="no space left: a run needs 256 MiB, 5 MiB are free"):
        RunDirectory.create(tmp_path / "new", manifest_of(), resume=False)


def test_a_folder_that_cannot_be_made_is_an_error_of_the_environment(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        RunDirectory.create(tmp_path / "file" / "run", manifest_of(), resume=False)


def test_default_folders_do_not_collide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = default_folder("demo")
    second = default_folder("demo")
    assert first.is_dir()
    assert first.parent == Path("results")
    assert second != first


def test_a_full_disk_does_not_lose_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunDirectory.create(tmp_path / "run", manifest_of(round="v2.0"), resume=False)

    def full(*_args: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path))

    monkeypatch.setattr(tempfile, "mkstemp", full)
    size = (tmp_path / "run" / "manifest.json").stat().st_size
    run.finish("failed", "/data: No space left on device")
    ended = manifest(tmp_path / "run")
    assert (ended["status"], ended["reason"]) == ("failed", "/data: No space left on device")
    assert (tmp_path / "run" / "manifest.json").stat().st_size <= size  # no block more than there was
