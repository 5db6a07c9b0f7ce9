"""A configuration is read whole or refused with the key, what was expected and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.scenarios import SCENARIOS
from harness.setting_paths import parse_assignment
from harness.settings import cache_dir, configs_dir, load_run


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


def test_every_shipped_run_is_valid() -> None:
    shipped = sorted((configs_dir() / "runs").glob("*.yaml"))
    assert [path.stem for path in shipped] == ["coco", "demo", "rehearsal", "scenarios", "smoke"]
    for path in shipped:
        given = {"dataset.images": "val2017", "dataset.annotations": "i.json"} if path.stem == "coco" else {}
        assert load_run(path, given).name == path.stem


def test_a_run_of_photographs_does_not_begin_without_them() -> None:
    with pytest.raises(UsageError, match="images and annotations are missing"):
        load_run(Path("coco"), {})


def test_a_shipped_run_is_found_by_its_name() -> None:
    assert load_run(Path("demo"), {}) == load_run(configs_dir() / "runs" / "demo.yaml", {})
    assert load_run(Path("configs/runs/smoke.yaml"), {}).backend.name == "simulated"


def test_overrides_lie_over_the_file_and_the_defaults(tmp_path: Path) -> None:
    path = write(tmp_path, "backend: {warmup: 3}\ntests:\n")
    settings = load_run(path, {"backend.name": "simulated", "tests.offline.min_queries": 7})
    assert (settings.backend.name, settings.backend.warmup) == ("simulated", 3)
    assert settings.test("offline").min_queries == 7
    assert settings.test("server").min_queries is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scenarioz: [offline]", "unknown key 'scenarioz'\n  next: did you mean 'scenarios'?"),
        ("backend: {warmpu: 1}", "unknown key 'backend.warmpu'\n  next: did you mean 'warmup'?"),
        (
            "tests: {offline: {min_query: 1}}",
            "unknown key 'tests.offline.min_query'\n  next: did you mean 'min_queries'?",
        ),
        ("zzz: 1", "unknown key 'zzz'\n  next: known here: name, round"),
        ("thread: 1", "unknown key 'thread'\n  next: did you mean 'backend.threads'?"),
        ("backend: {xyz: 1}", "unknown key 'backend.xyz'\n  next: known here: name"),
        ("scenarios: [online]", "no such scenario: 'online'; did you mean 'offline'?"),
        ("model: {score_threshold: 1.5}", "model.score_threshold: Input should be less than 1, found 1.5"),
        ("dataset: {images: val2017}", "images and annotations go together"),
        ("name: ../up", "name: may hold letters, digits, . _ and -"),
        ("- a list", "expected keys and values, found a list"),
        ("a: [", "cannot be read"),
    ],
)
def test_a_mistake_is_named_with_its_key_and_a_way_out(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_run(write(tmp_path, text), {})
    assert message in str(caught.value)
    assert str(tmp_path / "mine.yaml") in str(caught.value)


def test_a_missing_file_lists_the_shipped_ones() -> None:
    with pytest.raises(
        UsageError, match=r"no such configuration file\n  next: give a YAML file, or one of: coco, demo"
    ):
        load_run(Path("nowhere.yaml"), {})


def test_an_override_through_a_value_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name is a value, not a group of keys"):
        load_run(write(tmp_path, "name: x"), {"name.first": 1})


def test_assignments_are_yaml() -> None:
    assert parse_assignment("backend.options={a: 1}") == ("backend.options", {"a": 1})
    assert parse_assignment("model.path=a=b") == ("model.path", "a=b")
    for text in ("backend.warmup", "=3", "a=["):
        with pytest.raises(UsageError):
            parse_assignment(text)


def test_the_cache_folder_is_chosen_by_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSD_HARNESS_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path
    monkeypatch.delenv("SSD_HARNESS_CACHE")
    assert cache_dir().name == "ssd-harness"


def test_every_scenario_may_be_configured() -> None:
    assert set(load_run(Path("demo"), {"scenarios": list(SCENARIOS)}).scenarios) == set(SCENARIOS)
