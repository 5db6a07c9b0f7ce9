"""The quick part of the faults, or all with SSD_HARNESS_ALL_FAULTS (scripts/test-faults); counts what survived."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.faults.command import CONFIG, Harness

ALL = bool(os.environ.get("SSD_HARNESS_ALL_FAULTS"))
FOLDER = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves the quick ones, unless all are asked for."""
    here = [item for item in items if FOLDER in item.path.parents]
    if ALL:
        return
    others = {item for item in here if item.get_closest_marker("quick_fault") is None}
    items[:] = [item for item in items if item not in others]
    config.hook.pytest_deselected(items=list(others))
    for item in here:
        item.add_marker("slow")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints tried and survived, by kind."""
    tried, survived = Counter[str](), Counter[str]()
    for outcome in ("passed", "failed", "error"):
        reports: Sequence[pytest.TestReport] = terminalreporter.stats.get(outcome, [])
        for report in reports:
            if report.nodeid.startswith("tests/faults/") and (report.when == "call" or outcome == "error"):
                kind = Path(report.nodeid.split("::")[0]).stem.removeprefix("test_").replace("_", " ")
                tried[kind] += 1
                survived[kind] += outcome == "passed"
    if tried:
        terminalreporter.section("faults")
        for kind in sorted(tried):
            terminalreporter.write_line(f"{kind}: tried {tried[kind]}, survived {survived[kind]}")
        terminalreporter.write_line(f"all: tried {tried.total()}, survived {survived.total()}")


@pytest.fixture(scope="session")
def warm_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds the images and tensors of `CONFIG`."""
    folder = tmp_path_factory.mktemp("cache")
    (folder / "c.yaml").write_text(CONFIG)
    harness = Harness(folder, folder / "cache")
    done = harness.run("run", "c.yaml", "--output", "warm", "--mode", "performance")
    assert done.status == 0, done.err
    return folder / "cache"


@pytest.fixture
def harness(tmp_path: Path, warm_cache: Path) -> Harness:
    """Commands in a folder of their own, which holds ``c.yaml``."""
    (tmp_path / "c.yaml").write_text(CONFIG)
    return Harness(tmp_path, warm_cache)
