"""What identifies the code of a run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import harness
from harness import source_code
from harness.settings import configs_dir


def hash_with(monkeypatch: pytest.MonkeyPatch, package: Path) -> str:
    monkeypatch.setattr(source_code, "__file__", str(package / "source_code.py"))
    source_code.code_sha256.cache_clear()
    return source_code.code_sha256()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    source = Path(harness.__file__).parent
    return Path(shutil.copytree(source, tmp_path / "harness", ignore=shutil.ignore_patterns("*.so", "__pycache__")))


@pytest.mark.parametrize(
    ("changed", "counts"),
    [
        ("pipeline/lane.py", True),
        ("native/scan.cpp", True),
        ("native/nms.h", True),
        ("loadgen/child.py", True),
        ("runs/summary.py", False),
        ("cli.py", False),
    ],
)
def test_code_that_takes_part_in_a_test_counts_and_what_comes_after_does_not(
    package: Path, monkeypatch: pytest.MonkeyPatch, changed: str, counts: bool
) -> None:
    before = hash_with(monkeypatch, package)
    with (package / changed).open("a") as file:
        file.write("\n")
    after = hash_with(monkeypatch, package)
    source_code.code_sha256.cache_clear()
    assert (before != after) == counts


def test_a_checkout_and_an_installed_package_are_the_same_code(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = hash_with(monkeypatch, package)
    shutil.copytree(configs_dir(), package / "configs", dirs_exist_ok=True)
    assert hash_with(monkeypatch, package) == before
    source_code.code_sha256.cache_clear()
