"""`--download` gets what `configs/downloads.yaml` names, checks it, and unpacks it."""

from __future__ import annotations

import argparse
import hashlib
import io
import shutil
import types
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from harness import published
from harness.commands import prepare
from harness.errors import DataError, UsageError
from tests.support.file_server import FileServer, file_server

MODEL = b"a model" * 1000


def prepare_noun(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    prepare.add_arguments(parser)
    return prepare.run(parser.parse_args([*map(str, arguments)]))


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def with_headers(flags: int = 0, method: int = 0) -> bytes:
    """One image in an archive whose two headers say so of it (APPNOTE 4.4.4 and 4.4.5: bit 0 is "encrypted")."""
    archive = zipped({"images/1.jpg": b"one"})
    said = bytes([flags, 0, method, 0])
    for head in (b"PK\x03\x04\x14\x00", b"PK\x01\x02\x14\x03\x14\x00"):
        archive = archive.replace(head + bytes(4), head + said)
    return archive


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FileServer]:
    """Serves a model and a dataset, which the catalogue names."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("SSD_HARNESS_CACHE", str(tmp_path / "cache"))
    with file_server() as state:
        state.files = {
            "/m.onnx": MODEL,
            "/images.zip": zipped({"images/1.jpg": b"one", "images/2.jpg": b"two", "../evil": b"", "else/x": b""}),
            "/annotations.zip": zipped({"annotations/instances.json": b"{}"}),
        }
        sha256 = hashlib.sha256(MODEL).hexdigest()
        archives = [{"url": f"{state.url}/{n}.zip", "sha256": None, "unpack": n} for n in ("images", "annotations")]
        catalogue = {
            "models": {
                "m": {"what": "a model", "files": [{"url": f"{state.url}/m.onnx", "sha256": sha256}]},
                "other": {"what": "damaged", "files": [{"url": f"{state.url}/m.onnx", "sha256": "0" * 64}]},
            },
            "datasets": {"d": {"what": "a dataset", "files": archives}},
        }
        (tmp_path / "configs").mkdir()
        (tmp_path / "configs/downloads.yaml").write_text(yaml.safe_dump(catalogue))
        monkeypatch.setattr(published, "configs_dir", lambda: tmp_path / "configs")
        yield state


def test_a_model_goes_into_the_cache_or_the_folder_that_is_named(
    server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prepare_noun("model", "--download", "m") == 0
    shown = capsys.readouterr()
    assert shown.out == f"{tmp_path / 'cache/downloads/m/m.onnx'}\n"
    assert f"from {server.url}/m.onnx" in shown.err
    assert (tmp_path / "cache/downloads/m/m.onnx").read_bytes() == MODEL
    prepare_noun("model", "--download", "m", "--output", tmp_path / "here")
    assert (tmp_path / "here/m.onnx").read_bytes() == MODEL


def test_what_is_there_is_taken_and_what_was_put_by_hand_is_checked(
    server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m.onnx").write_bytes(MODEL)
    prepare_noun("model", "--download", "m", "--output", tmp_path)
    assert "m.onnx is there already" in capsys.readouterr().err
    assert server.asked == []
    (tmp_path / "m.onnx").write_bytes(MODEL[:-1])
    with pytest.raises(DataError, match=rf"m\.onnx: its sha256 is .*, not {hashlib.sha256(MODEL).hexdigest()}"):
        prepare_noun("model", "--download", "m", "--output", tmp_path)


def test_another_checksum_than_the_published_one_is_an_error(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"not {'0' * 64} as published\n  next: remove it"):
        prepare_noun("model", "--download", "other", "--output", tmp_path)


def test_a_dataset_is_unpacked_and_its_archives_are_gone(
    server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prepare_noun("dataset", "--download", "d", "--output", tmp_path / "coco") == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [str(tmp_path / "coco/images"), str(tmp_path / "coco/annotations")]
    assert "no checksum of it is published; its sha256 is " in shown.err
    found = sorted(str(p.relative_to(tmp_path / "coco")) for p in (tmp_path / "coco").rglob("*") if p.is_file())
    assert found == ["annotations/instances.json", "images/1.jpg", "images/2.jpg"]
    assert not (tmp_path / "evil").exists()
    prepare_noun("dataset", "--download", "d", "--output", tmp_path / "coco")
    assert len(server.asked) == 2


def test_an_archive_put_by_hand_that_is_none_is_said(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "images.zip").write_bytes(b"<html>")
    with pytest.raises(DataError, match=r"images\.zip: is not a whole zip file"):
        prepare_noun("dataset", "--download", "d", "--output", tmp_path)
    (tmp_path / "images.zip").write_bytes(zipped({"else/x": b""}))
    with pytest.raises(DataError, match=r"images\.zip: holds no folder images"):
        prepare_noun("dataset", "--download", "d", "--output", tmp_path)
    assert not (tmp_path / "images").exists()


def test_a_name_that_is_not_known_has_a_suggestion(server: FileServer) -> None:
    with pytest.raises(UsageError, match=r"nothing to download is called 'others'\n  next: did you mean 'other'"):
        prepare_noun("model", "--download", "others")
    with pytest.raises(UsageError, match="next: there are: d"):
        prepare_noun("dataset", "--download", "xyz")


def test_other_options_do_not_go_with_it(server: FileServer) -> None:
    with pytest.raises(UsageError):
        prepare_noun("model", "--download", "m", "--ranges", "x")
    with pytest.raises(UsageError):
        prepare_noun("dataset", "--download", "d", "--count", "3")


def test_the_shipped_catalogue_names_the_published_models_and_coco() -> None:
    shipped = published.catalogue()
    assert [file.name for file in shipped.models["resnet34-ssd1200"].files] == ["resnet34-ssd1200.onnx"]
    assert [file.name for file in shipped.models["ssd_resnet34_mAP_20.2"].files] == ["ssd_resnet34_mAP_20.2.onnx"]
    coco = shipped.datasets["coco-val2017"].files
    assert [(file.name, file.unpack) for file in coco] == [
        ("val2017.zip", "val2017"),
        ("annotations_trainval2017.zip", "annotations"),
    ]
    for group in (shipped.models, shipped.datasets):
        assert all(file.url.startswith(("https://", "http://images.coco")) for p in group.values() for file in p.files)


@pytest.mark.parametrize(
    ("archive", "message"),
    [
        (zipped({"images/1.jpg": b"one"})[:-30], "is not a whole zip file"),
        (zipped({"images": b"a file"}), "holds no folder images"),
        (zipped({"else/1.jpg": b"one"}), "holds no folder images"),
        (b"no zip at all", "is not a whole zip file"),
        (with_headers(flags=1), "cannot be unpacked .*encrypted"),
        (with_headers(method=99), "cannot be unpacked .*compression"),
    ],
    ids=["cut", "a file", "another folder", "no zip", "encrypted", "unknown method"],
)
def test_an_archive_that_cannot_be_unpacked_is_one_line(
    server: FileServer, tmp_path: Path, archive: bytes, message: str
) -> None:
    server.files["/images.zip"] = archive
    with pytest.raises(DataError, match=message):
        prepare_noun("dataset", "--download", "d", "--output", tmp_path / "to")
    assert not (tmp_path / "to/images").exists()


def test_a_small_archive_of_a_huge_file_is_refused_before_it_fills_the_disk(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: types.SimpleNamespace(free=5))
    with pytest.raises(DataError, match=r"needs .* GB, and 5e-09 GB are free"):
        prepare_noun("dataset", "--download", "d", "--output", tmp_path / "to")
    assert not (tmp_path / "to/images").exists()
