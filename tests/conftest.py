"""What every test may use: the real data beside the checkout, where it is."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

import hypothesis
import pytest

from harness.model.ssd_resnet34.default_model import default_file
from tests.support.untested import untested

DATA = Path(os.environ.get("SSD_HARNESS_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))

# Without a limit in milliseconds for an example: a busy machine takes its time.
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("patient")

# What a shell starts in the background ignores Ctrl-C, and so would every process that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the option of .ci/run."""
    parser.addoption("--slow", action="store_true", help="also what takes seconds of every core by its nature")
    parser.addoption("--raylets", action="store_true", help="also what starts clusters, one after the other")


def pytest_configure(config: pytest.Config) -> None:
    """Leaves these tests out of the whole suite only: those that are named are run. Workers have these options too."""
    if config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        config.option.slow = config.option.raylets = True


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skips what is marked slow, and what starts raylets, which the end says."""
    left_out = {
        "slow": "slow, so that .ci/run runs it\n  next: scripts/test --slow",
        "raylets": "it starts clusters, which .ci/run does one after the other\n  next: scripts/test FILE",
    }
    for item in items:
        for name, reason in left_out.items():
            if item.get_closest_marker(name) and not config.getoption(name):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real COCO images, real MLPerf logs and oracles; skipped by name where it is absent."""
    if not DATA.is_dir():
        pytest.skip(f"no test data at {DATA} (set SSD_HARNESS_TEST_DATA)")
    return DATA


@pytest.fixture(scope="session")
def model_cache() -> Path:
    """A folder outside the checkout that keeps built models from one test run to the next."""
    return Path(tempfile.gettempdir()) / f"ssd-harness-tests-{os.getuid()}"


@pytest.fixture(scope="session")
def int8_model(model_cache: Path) -> Path:
    """The default INT8 model (10 s and 2 GB to build, the first time)."""
    return default_file("int8", model_cache, print)


@pytest.fixture(scope="session")
def float32_model(model_cache: Path) -> Path:
    """The default float32 model."""
    return default_file("float32", model_cache, print)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says at the end what was not tested, and why."""
    lines = untested((report.nodeid, report.longrepr[2]) for report in terminalreporter.stats.get("skipped", []))
    if lines:
        terminalreporter.section("not tested")
        for line in lines:
            terminalreporter.write_line(line)
