"""The example of docs/how-to/adding-a-backend.md is a package that works as the page says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "adding-a-backend.md"


def block(language: str) -> str:
    """The page's one block of that language."""
    text, *_ = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return str(text)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH into which pip has installed the example's two files."""
    source, folder = tmp_path_factory.mktemp("acme"), tmp_path_factory.mktemp("site")
    (source / "acme_backend.py").write_text(block("python"), encoding="utf-8")
    (source / "pyproject.toml").write_text(block("toml"), encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), str(source)]
    subprocess.run(pip, check=True)
    (folder / "model.json").write_text('{"scale": 0.1, "zero_point": -3}')
    return folder


def harness(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(site), "SSD_HARNESS_CACHE": str(site / "cache")}
    return subprocess.run(
        [sys.executable, "-m", "harness", *arguments], cwd=site, env=environment, capture_output=True, text=True
    )


def test_it_is_listed(site: Path) -> None:
    done = harness(site, "backends", "--json")
    assert done.returncode == 0, done.stderr
    (acme,) = (info for info in json.loads(done.stdout) if info["name"] == "acme")
    assert (acme["installed"], acme["version"], acme["devices"]) == (True, "1.0", ["acme:0", "acme:1"])


def test_it_keeps_the_contract(site: Path) -> None:
    done = harness(site, "backends", "check", "acme", "--model", "model.json", "--device", "acme:1", "--set", "level=2")
    *lines, last = done.stdout.splitlines()
    assert len(lines) > 10
    assert last == "20 checks: 16 passed, 0 failed, 4 skipped"
    optional = ("it has no submit", "it has no profile")
    assert [line for line in lines if not line.startswith("[PASS]") and not line.endswith(optional)] == []
    assert done.returncode == 0


def test_a_run_with_it_is_valid(site: Path) -> None:
    arguments = ("--backend", "acme", "--model", "model.json", "--devices", "acme:0*2", "--mode", "performance")
    lengths = ("--scenario", "offline", "--duration", "0.2", "--queries", "70", "--output", "out")
    done = harness(site, "run", "smoke", *arguments, *lengths)
    assert done.returncode == 0, done.stderr
    summary = json.loads((site / "out" / "summary.json").read_text())
    assert (summary["valid"], summary["backend"]["name"], summary["backend"]["version"]) == (True, "acme", "1.0")
    assert summary["scenarios"]["offline"]["samples"] >= 70
