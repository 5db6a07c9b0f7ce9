"""`prepare dataset` makes a dataset ready for a run, and says what it did."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from harness.commands import prepare
from harness.errors import DatasetError, UsageError
from harness.files import sha256_file


def prepare_dataset(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    prepare.add_arguments(parser)
    return prepare.run(parser.parse_args(["dataset", *map(str, arguments)]))


def test_a_synthetic_dataset_is_written_indexed_and_cached(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--synthetic", 3, "--seed", 7, "--output", tmp_path / "set", "--cache", tmp_path / "cache")
    assert prepare_dataset(*arguments) == 0
    shown = capsys.readouterr()
    assert "Synthetic images of seed 7: done" in shown.err
    indexed, cached = shown.out.splitlines()
    assert indexed.startswith(f"3 of 3 images, 80 categories in {tmp_path / 'set/instances.json'} (sha256 ")
    assert cached.startswith(f"3 tensors (3 new), 0.01 GB in {tmp_path / 'cache/tensors'}")
    prepare_dataset(*arguments)
    assert "3 tensors (0 new)" in capsys.readouterr().out


def test_the_first_images_of_real_coco_are_cached(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSD_HARNESS_CACHE", str(tmp_path))
    coco = data / "coco"
    annotations = coco / "annotations/instances_val2017_reconstructed.json"
    assert prepare_dataset("--images", coco / "val2017", "--annotations", annotations, "--count", 1) == 0
    indexed, cached = capsys.readouterr().out.splitlines()
    assert indexed.startswith("1 of 5000 images, 80 categories")
    assert cached.startswith("1 tensors (1 new)")
    assert len(list(tmp_path.glob("tensors/*/*.npy"))) == 1


def test_a_damaged_image_ends_it_with_its_name(tmp_path: Path) -> None:
    arguments = ("--cache", tmp_path / "cache")
    prepare_dataset("--synthetic", 2, "--output", tmp_path / "set", *arguments)
    image = tmp_path / "set/images/000000000002.jpg"
    image.write_bytes(image.read_bytes()[:-2])
    with pytest.raises(DatasetError, match=r"000000000002\.jpg: is truncated or corrupt"):
        prepare_dataset(
            "--images", tmp_path / "set/images", "--annotations", tmp_path / "set/instances.json", *arguments
        )


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "--images x",
        "--annotations x",
        "--images x --annotations y --output z",
        "--synthetic 3",
        "--synthetic 3 --output x --images y",
        "--synthetic 3 --output x --count 2",
    ],
)
def test_a_dataset_named_half_or_twice_is_wrong_usage(arguments: str) -> None:
    with pytest.raises(UsageError):
        prepare_dataset(*arguments.split())


@pytest.mark.parametrize("arguments", ["--count 0", "--workers -1", "--synthetic many", "--seed -1"])
def test_numbers_that_make_no_sense_are_wrong_usage(arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        prepare_dataset(*arguments.split())
    assert ended.value.code == 2
    assert "is not a whole number of" in capsys.readouterr().err


def test_json_is_one_document_on_stdout_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--synthetic", 2, "--output", tmp_path / "set", "--cache", tmp_path / "cache", "--json")
    assert prepare_dataset(*arguments) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["images"], document["categories"], document["tensors_new"]) == (2, 80, 2)
    assert document["annotations"] == str(tmp_path / "set/instances.json")
    assert document["sha256"] == sha256_file(tmp_path / "set/instances.json")


def test_json_in_a_file_leaves_the_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "made.json"
    arguments = ("--synthetic", 2, "--output", tmp_path / "set", "--cache", tmp_path / "cache", "--json", report)
    assert prepare_dataset(*arguments) == 0
    assert capsys.readouterr().out.startswith("2 of 2 images")
    assert json.loads(report.read_text())["images"] == 2
