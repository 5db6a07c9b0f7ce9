"""A long accuracy log is cut, its sha256 kept, and the whole one saved before anything is lost."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from harness.errors import LogError
from harness.rounds import AccuracyLogRules
from harness.submission.accuracy_log import cut_log, is_cut_of, read_log_in_tree
from tests.support.made_logs import log_text, rows

RULES = AccuracyLogRules(most_bytes=10240, kept_bytes=4096)


def log_of(images: int) -> str:
    return log_text([(k, rows(k, (0.1, 0.1, 0.9, 0.9, 0.5, 1))) for k in range(images)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "log.json").write_text(log_of(300))
    (tmp_path / "accuracy.txt").write_text("mAP=20.000%")
    return tmp_path


def cut(folder: Path) -> bool:
    return cut_log(folder / "log.json", folder / "accuracy.txt", RULES, folder / "kept" / "log.json")


def test_a_cut_log_is_the_beginning_and_the_end_of_the_whole_one(folder: Path) -> None:
    whole = (folder / "log.json").read_bytes()
    assert cut(folder)
    content = (folder / "log.json").read_bytes()
    # tools/submission/truncate_accuracy_log.py of mlcommons/inference: 4096 bytes, a mark of 7, 4096 bytes
    assert content == whole[:4096] + b"\n\n...\n\n" + whole[-4096:]
    assert (folder / "kept" / "log.json").read_bytes() == whole
    text = (folder / "accuracy.txt").read_text()
    assert text == f"mAP=20.000%\nhash={hashlib.sha256(whole).hexdigest()}\n"
    assert is_cut_of(folder / "log.json", folder / "kept" / "log.json", RULES)
    assert not cut(folder), "a cut log is not cut again"
    assert (folder / "log.json").read_bytes() == content


def test_a_short_log_is_left_alone(folder: Path) -> None:
    (folder / "log.json").write_text(log_of(20))
    assert not cut(folder)
    assert not (folder / "kept").exists()


def test_the_hash_of_another_log_is_not_written_over(folder: Path) -> None:
    (folder / "accuracy.txt").write_text(f"hash={'0' * 64}\n")
    before = (folder / "log.json").read_bytes()
    with pytest.raises(LogError, match=r"states hash=0+, but the log's sha256 is"):
        cut(folder)
    assert (folder / "log.json").read_bytes() == before


def test_another_logs_backup_is_not_written_over(folder: Path) -> None:
    (folder / "kept").mkdir()
    (folder / "kept" / "log.json").write_text("another")
    with pytest.raises(LogError, match="the backup of another log is there"):
        cut(folder)
    assert (folder / "kept" / "log.json").read_text() == "another"


def test_what_a_log_in_a_tree_shows(folder: Path) -> None:
    long = read_log_in_tree(folder / "log.json", RULES)
    assert (long.cut, long.size > RULES.most_bytes, long.damage) == (False, True, None)
    cut(folder)
    shown = read_log_in_tree(folder / "log.json", RULES)
    assert (shown.cut, shown.sha256, shown.damage) == (True, None, None)
    assert shown.indices[0] == (0, 0)
    assert shown.indices[-1] == (299, 299)
    (folder / "log.json").write_text(log_of(20))
    short = read_log_in_tree(folder / "log.json", RULES)
    assert (short.cut, short.records, short.images) == (False, 20, 20)
    assert short.sha256 == hashlib.sha256(log_of(20).encode()).hexdigest()


@pytest.mark.parametrize(
    ("old", "new", "damage"),
    [
        (b"[\n{", b"{\n{", "it begins with"),
        (b"}\n]\n", b"}\n", "it ends with"),
        (b'"data"', b"'data'", "it holds what no accuracy log holds"),
    ],
)
def test_a_cut_log_that_is_none_is_seen(folder: Path, old: bytes, new: bytes, damage: str) -> None:
    cut(folder)
    path = folder / "log.json"
    path.write_bytes(path.read_bytes().replace(old, new))
    found = read_log_in_tree(path, RULES).damage
    assert found is not None
    assert damage in found


def test_a_missing_log_is_named(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="cannot be read"):
        read_log_in_tree(tmp_path / "log.json", RULES)


def test_a_cut_log_with_line_ends_of_windows_is_read(folder: Path) -> None:
    assert cut(folder)
    log = folder / "log.json"
    unix = read_log_in_tree(log, RULES)
    log.write_bytes(log.read_bytes().replace(b"\n", b"\r\n"))
    windows = read_log_in_tree(log, RULES)
    assert (windows.cut, windows.damage, windows.indices) == (True, None, unix.indices)


def test_the_records_of_a_short_log_are_looked_at_too(folder: Path) -> None:
    log = folder / "log.json"
    log.write_text(log_text([(0, rows(0, (0.1, 0.1, 0.9, 0.9, 5.0, 1)))]))
    assert read_log_in_tree(log, RULES).damage == "record 0 has a score outside 0 to 1"


def test_rows_of_zeros_in_a_cut_log_are_no_detections(folder: Path) -> None:
    filling = np.zeros((1, 7), np.float32)
    answers = [(k, np.concatenate([rows(k, (0.1, 0.1, 0.9, 0.9, 0.5, 1)), filling])) for k in range(300)]
    (folder / "log.json").write_text(log_text(answers))
    assert cut(folder)
    assert read_log_in_tree(folder / "log.json", RULES).damage is None
