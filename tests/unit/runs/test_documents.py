"""A run's JSON files are objects: read whole, written as they were, and damage is said with its key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.errors import LogError
from harness.runs.documents import read_document, write_document
from harness.runs.figures import Summary
from harness.runs.records import Manifest, read_manifest, started
from harness.runs.schemas import SCHEMAS, json_schema
from tests.support.made_runs import made_manifest, made_record, made_summary

DOCS = Path(__file__).resolve().parents[3] / "docs" / "reference"


def manifest_in(folder: Path, **parts: Any) -> Path:
    path = folder / "manifest.json"
    path.write_text(json.dumps(made_manifest(**parts), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def test_what_is_read_is_written_byte_by_byte(tmp_path: Path) -> None:
    path = manifest_in(tmp_path, tests=[made_record("offline", "performance")])
    write_document(tmp_path / "again.json", read_document(Manifest, path))
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


def test_a_key_of_a_later_version_stays(tmp_path: Path) -> None:
    manifest = read_document(Manifest, manifest_in(tmp_path, colour="blue"))
    assert manifest.as_json()["colour"] == "blue"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "manifest.json: is damaged: "),
        ('"complete"', "manifest.json: is damaged: "),
        ('{"status": 3}', r"manifest.json: is damaged: status: Input should be a valid string"),
        ('{"status": "complete", "tests": [{}]}', r"manifest.json: is damaged: tests\.0\.scenario: Field required"),
        ('{"status": "complete", "schema": 2}', "manifest.json: has schema 2; this harness reads 1"),
    ],
)
def test_a_damaged_file_is_an_error_that_names_the_key(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(LogError, match=message) as caught:
        read_manifest(tmp_path)
    assert caught.value.exit_status == 3


def test_a_run_without_its_inputs_has_not_started(tmp_path: Path) -> None:
    manifest = Manifest(schema=1, status="failed", reason="no such model")
    with pytest.raises(LogError, match="the run failed before its first test: no such model"):
        started(manifest, tmp_path)
    damaged = Manifest.model_validate(made_manifest() | {"model": None})
    with pytest.raises(LogError, match="is damaged: model"):
        started(damaged, tmp_path)


def test_a_document_is_read_by_the_keys_of_its_file(tmp_path: Path) -> None:
    summary: Any = Summary.model_validate(made_summary())
    assert (summary["schema"], summary["model"]["benchmark"], "accuracy" in summary) == (1, "ssd-resnet34", False)
    with pytest.raises(KeyError):
        summary["accuracy"]


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schema_in_the_documentation_is_todays(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == json_schema(SCHEMAS[name]), (
        "python -m harness.runs.schemas docs/reference"
    )
