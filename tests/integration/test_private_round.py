"""docs/how-to/yolo.md gives the YOLO benchmarks the Server scenario, which their rounds do not have."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_the_pages_round_has_a_server_that_is_valid(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "how-to" / "yolo.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"^```\n(cat > server.txt.*?^sed [^\n]*\n)", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    subprocess.run(["bash", "-ec", script], cwd=tmp_path, check=True)
    settings = ("target_qps=300", "min_queries=600", "latency_ms=20000")  # of a busy machine
    done = subprocess.run(
        [sys.executable, "-m", "harness", "run", "smoke", "--model-name", "yolo", "--round", "./with-server.yaml"]
        + ["--scenario", "server", "--mode", "performance", "--output", "out"]
        + [text for setting in settings for text in ("--set", f"tests.server.{setting}")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (list(summary["scenarios"]), summary["valid"], summary["submittable"]) == (["server"], True, False)
