"""A run's round is a shipped one or the run's own copy: what its manifest says opens no file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import LogError
from harness.runs.followed_round import followed_round, keep_round
from harness.runs.records import StartedManifest
from harness.settings import configs_dir
from tests.support.made_runs import made_manifest


def manifest_of(round_: str) -> StartedManifest:
    return StartedManifest.model_validate_json(json.dumps(made_manifest(round=round_)))


@pytest.fixture
def own_round(tmp_path: Path) -> Path:
    text = (configs_dir() / "rounds/v2.0.yaml").read_text(encoding="utf-8")
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace("round: v2.0", "round: mine"), encoding="utf-8")
    return path


def test_a_shipped_round_is_found_by_its_name(tmp_path: Path) -> None:
    keep_round(tmp_path, "v2.0")
    assert list(tmp_path.iterdir()) == []
    assert followed_round(tmp_path, manifest_of("v2.0")).round == "v2.0"


def test_a_users_round_goes_with_the_run(tmp_path: Path, own_round: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    keep_round(run, str(own_round))
    own_round.unlink()
    assert followed_round(run, manifest_of(str(own_round))).round == "mine"
    keep_round(run, "v2.0")
    assert list(run.iterdir()) == []


@pytest.mark.parametrize("link", [False, True])
def test_a_manifest_opens_no_file_elsewhere(tmp_path: Path, own_round: Path, link: bool) -> None:
    run = tmp_path / "run"
    run.mkdir()
    if link:
        (run / "round.yaml").symlink_to(own_round)
    with pytest.raises(LogError, match=r"has no round\.yaml") as caught:
        followed_round(run, manifest_of(str(own_round)))
    assert caught.value.where == str(run / "manifest.json")
