"""One process at a time, also where the folder is new and where the file system has no locks."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from harness.locks import Busy, made_and_locked, taking_turns


def hold(folder: Path, results: Any, all_came: Any) -> None:
    try:
        with made_and_locked(folder):
            results.put("in")
            all_came.wait(200)
            (folder / f"{os.getpid()}").touch()
    except Busy:
        results.put("busy")


def test_of_eight_processes_that_make_one_folder_one_gets_in(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    results, all_came = context.Queue(), context.Event()
    folder = tmp_path / "new" / "folder"
    processes = [context.Process(target=hold, args=(folder, results, all_came)) for _ in range(8)]
    for process in processes:
        process.start()
    got = [results.get(timeout=200) for _ in processes]
    all_came.set()
    for process in processes:
        process.join()
    assert sorted(got) == ["busy"] * 7 + ["in"]
    assert len(list(folder.iterdir())) == 1


def test_a_folder_in_which_nothing_came_about_is_removed_again(tmp_path: Path) -> None:
    with made_and_locked(tmp_path / "a"):
        assert (tmp_path / "a").is_dir()
    assert not (tmp_path / "a").exists()
    with made_and_locked(tmp_path / "b"):
        (tmp_path / "b" / "file").touch()
    assert (tmp_path / "b").is_dir()
    with made_and_locked(tmp_path):  # was there before
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_without_locks_a_file_beside_the_folder_is_the_lock(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int, how: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", fail)
    folder, beside = tmp_path / "run", tmp_path / ".run.lock"
    with made_and_locked(folder):
        assert beside.read_text() == f"{socket.gethostname()} {os.getpid()}"
        with pytest.raises(Busy), made_and_locked(folder):
            pass
    assert not beside.exists()
    beside.write_text("another-host 1")
    with pytest.raises(Busy), made_and_locked(folder):
        pass
    child = multiprocessing.get_context("fork").Process(target=str)
    child.start()
    child.join()
    beside.write_text(f"{socket.gethostname()} {child.pid}")  # of a process that has ended
    with made_and_locked(folder):
        pass
    with taking_turns(tmp_path / "turn"):
        pass


def test_a_lock_file_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "lock").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"), taking_turns(tmp_path / "lock"):
        pass
    assert victim.read_text() == "precious"
