"""The example of docs/how-to/adding-a-model.md is a model that runs, from an empty folder."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "adding-a-model.md"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder for PYTHONPATH but for the page's example."""
    folder = tmp_path_factory.mktemp("site")
    (text,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (folder / "acme_model.py").write_text(text, encoding="utf-8")
    return folder


def harness(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(site), "SSD_HARNESS_CACHE": str(site / "cache")}
    return subprocess.run(
        [sys.executable, "-m", "harness", *arguments], cwd=site, env=environment, capture_output=True, text=True
    )


@pytest.mark.slow
def test_a_run_with_it_is_valid_and_says_which_model_it_is(site: Path) -> None:
    arguments = ("--model-name", "acme_model:MODEL", "--set", "backend.options.quantized=false", "--output", "out")
    lengths = ("--scenario", "offline", "--duration", "0.2", "--queries", "70")
    done = harness(site, "run", "smoke", *arguments, *lengths)
    assert done.returncode == 0, done.stderr
    summary = json.loads((site / "out" / "summary.json").read_text())
    assert (summary["valid"], summary["submittable"], summary["round"]) == (True, False, "v6.1")
    assert (summary["model"]["name"], summary["model"]["title"]) == ("acme_model:MODEL", "AcmeDet")
    assert "AcmeDet is not the benchmark's model" in summary["not_submittable_because"]
    assert summary["accuracy"]["detections"] == 8


def test_what_it_does_not_offer_is_said(site: Path) -> None:
    done = harness(site, "bench", "postprocess", "--model-name", "acme_model:MODEL")
    assert done.returncode == 2
    assert "AcmeDet has no such thing" in done.stderr


def test_the_dataset_is_prepared_for_it(site: Path) -> None:
    arguments = ("--synthetic", "3", "--output", "made", "--model-name", "acme_model:MODEL")
    done = harness(site, "prepare", "dataset", *arguments)
    assert done.returncode == 0, done.stderr
    assert "3 tensors (3 new)" in done.stdout
