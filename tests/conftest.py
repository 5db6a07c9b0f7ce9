"""What every test may use: the real data beside the checkout, where it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("SSD_HARNESS_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real COCO images, real MLPerf logs and oracles; skipped by name where it is absent."""
    if not DATA.is_dir():
        pytest.skip(f"no test data at {DATA} (set SSD_HARNESS_TEST_DATA)")
    return DATA
