"""The tutorial's two files are a backend that keeps the contract, and its commands do what the page says.

The page measures for minutes; here the same commands run on three images for a moment.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(900)  # real inferences, on whatever else the machine does
PAGE = Path(__file__).resolve().parents[2] / "docs" / "tutorial" / "first-hour.md"
TEXT = PAGE.read_text(encoding="utf-8")
SHORT = [
    *("--set", "dataset.synthetic.images=3", "--set", "tests.single_stream.min_queries=3"),
    *("--set", "tests.offline.min_queries=3", "--duration", "0.1"),
]


def block(language: str) -> str:
    """The page's one block of that language."""
    (text,) = re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    return str(text)


def commands() -> list[list[str]]:
    """The page's commands of ssd-harness, in order."""
    return [line.split()[1:] for line in re.findall(r"^ssd-harness .*$", TEXT, re.MULTILINE)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, int8_model: Path) -> Path:
    """A folder after the page's installation; its cache has the built-in model already."""
    folder = tmp_path_factory.mktemp("first_hour")
    (folder / "cache").mkdir()
    (folder / "cache" / "models").symlink_to(int8_model.parent)
    (folder / "mynpu").mkdir()
    (folder / "mynpu" / "mynpu.py").write_text(block("python"), encoding="utf-8")
    (folder / "mynpu" / "pyproject.toml").write_text(block("toml"), encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder / "site"), "./mynpu"]
    subprocess.run(pip, cwd=folder, check=True)
    return folder


def test_the_page_has_the_commands_of_a_first_hour() -> None:
    assert [" ".join(words[:2]) for words in commands()] == [
        "--version",
        "run smoke",
        "backends",
        "backends check",
        "run --backend",
        "run --backend",
        "report build-2",
    ]


@pytest.mark.slow
def test_every_command_works_as_printed_in_the_order_of_the_page(folder: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(folder / "site"), "SSD_HARNESS_CACHE": str(folder / "cache")}
    shown = []
    for words in commands():
        short = SHORT if words[0] == "run" else []
        done = subprocess.run(
            [sys.executable, "-m", "harness", *words, *short],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        # so few queries are INVALID to LoadGen, which is status 1
        assert done.returncode in ((0, 1) if short else (0,)), done.stdout + done.stderr
        shown.append(done.stdout)
    assert "mynpu" in shown[2]
    lines = [line for line in shown[3].splitlines() if line.startswith("[")]
    optional = ("it has no submit", "it has no profile")
    assert [line for line in lines if not line.startswith("[PASS]") and not line.endswith(optional)] == []
    assert re.search(r"mAP [89]\d\.\d+ %", shown[4])
    assert "backend.threads" in shown[6]
    assert (folder / "build-2" / "report.html").is_file()
