"""``ssd-harness config`` shows, begins and explains configurations."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from harness import cli
from harness.settings import RunSettings, configs_dir, load_run

Capture = pytest.CaptureFixture[str]


def test_show_is_the_configuration_with_every_default(capsys: Capture, tmp_path: Path) -> None:
    assert cli.main(["config", "show", "smoke", "--set", "backend.warmup=3"]) == 0
    text = capsys.readouterr().out
    shown = yaml.safe_load(text)
    assert shown["backend"]["warmup"] == 3
    assert shown["backend"]["name"] == "simulated"
    assert set(shown) == set(RunSettings.model_fields)
    again = tmp_path / "again.yaml"
    again.write_text(text)
    assert load_run(again, {}) == load_run(Path("smoke"), {"backend.warmup": 3})


def test_show_as_json_is_the_same_document(capsys: Capture) -> None:
    cli.main(["config", "show", "smoke"])
    text = capsys.readouterr().out
    assert cli.main(["config", "show", "smoke", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == yaml.safe_load(text)


def test_show_refuses_a_backend_that_is_not_there(capsys: Capture) -> None:
    assert cli.main(["config", "show", "smoke", "--set", "backend.name=opnvino"]) == 2
    assert "no such backend: opnvino\n  next: did you mean 'openvino'?" in capsys.readouterr().err
    assert cli.main(["config", "show", "smoke", "--set", "backend.name=my_package.my_backend"]) == 0


def test_new_is_a_copy_to_begin_with(capsys: Capture, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    assert cli.main(["config", "new", str(mine), "--like", "rehearsal"]) == 0
    assert f"ssd-harness run {mine}" in capsys.readouterr().out
    assert mine.read_bytes() == (configs_dir() / "runs" / "rehearsal.yaml").read_bytes()


def test_new_leaves_a_file_that_is_there(capsys: Capture, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("name: mine\n")
    assert cli.main(["config", "new", str(mine)]) == 2
    assert "name a new file" in capsys.readouterr().err
    assert mine.read_text() == "name: mine\n"


def test_keys_names_each_with_what_it_takes_and_its_default(capsys: Capture) -> None:
    assert cli.main(["config", "keys", "backend", "--json"]) == 0
    rows = {row["key"]: row for row in json.loads(capsys.readouterr().out)["keys"]}
    assert all(key.startswith("backend.") for key in rows)
    assert rows["backend.warmup"]["type"] == "integer ≥ 0"
    assert (
        int(rows["backend.warmup"]["default"])
        == load_run(Path("coco.yaml"), {"dataset.photographs": False}).backend.warmup
    )
    assert cli.main(["config", "keys", "tests"]) == 0
    assert "tests.SCENARIO.min_queries" in capsys.readouterr().out


def test_every_key_that_is_listed_can_be_shown(capsys: Capture) -> None:
    cli.main(["config", "keys", "--json"])
    keys = [row["key"] for row in json.loads(capsys.readouterr().out)["keys"]]
    assert len(keys) == len(set(keys)) > 30
    document = load_run(Path("demo"), {}).model_dump()
    assert {key.partition(".")[0] for key in keys} == set(document)


def test_keys_that_are_not_there(capsys: Capture) -> None:
    assert cli.main(["config", "keys", "bakcend"]) == 2
    assert "ssd-harness config keys" in capsys.readouterr().err
