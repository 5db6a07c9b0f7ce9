"""Files are written whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.files import remove_unfinished, replacing, sha256_file, unfinished, write_json, write_text


def test_a_file_takes_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    with replacing(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
    assert path.read_text() == "half"
    assert path.stat().st_mode & 0o044 == 0o044


def test_a_failure_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        fail()
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "old"


def test_a_file_that_cannot_be_made_is_named_as_a_person_knows_it(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 300)
    with pytest.raises(OSError) as caught:
        write_text(path, "")
    assert caught.value.filename == str(path)


def test_what_a_killed_process_left_is_found_and_removed(tmp_path: Path) -> None:
    write_text(tmp_path / "a" / "kept.tmp", "")
    with replacing(tmp_path / "a" / "b.txt") as temporary:
        assert unfinished(tmp_path / "a") == {temporary}
        remove_unfinished(tmp_path)
        assert not temporary.exists()
        temporary.write_text("")
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["b.txt", "kept.tmp"]


def test_json_with_nan_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"é": 1})
    assert json.loads((tmp_path / "a.json").read_text()) == {"é": 1}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", float("nan"))


def test_sha256_is_of_the_bytes(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "abc")
    # FIPS 180-2, appendix B.1
    assert sha256_file(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
