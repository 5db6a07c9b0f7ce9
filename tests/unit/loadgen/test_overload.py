"""More queries than can be answered are told while the test runs, once, with what is reached."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.benchmark.queue_limits import Case, plan_of
from harness.loadgen.overload import Overload
from harness.loadgen.plan import Plan
from harness.pipeline.counters import DONE, FIRST, LAST
from harness.pipeline.pulse import Pulse


@pytest.fixture
def server(tmp_path: Path) -> Plan:
    """Its latency bound is 100 ms."""
    return plan_of(Case("server", 2, 1.0, decode=False), tmp_path, 1)


def counted(*, issued: int, done: int, seconds: float) -> Pulse:
    pulse = Pulse(2)
    cells = pulse.cells()
    for slot in range(2):
        row = pulse.row(slot)
        cells[row + DONE], cells[row + FIRST], cells[row + LAST] = done // 2, 10**9, int((1 + seconds) * 1e9)
    cells[pulse.submitted_cell] = issued
    return pulse


def test_a_backlog_is_told_once_with_the_rate_that_is_reached(server: Plan) -> None:
    overload = Overload(server)
    text = overload.look(counted(issued=1000, done=320, seconds=2), 20_000)
    assert text is not None
    assert text.startswith("160.0 queries/s are answered, fewer than are asked for")
    assert "in about 123 s" in text
    assert overload.look(counted(issued=2000, done=480, seconds=3.1), 20_000) is None
    assert overload.reached == "Server performance had answered 154.8 queries/s"


def test_what_is_no_backlog_is_not_told(server: Plan) -> None:
    full = counted(issued=1000, done=320, seconds=2)
    for plan in (replace(server, mode="accuracy"), replace(server, scenario="offline")):
        assert Overload(plan).look(full, 20_000) is None
    overload = Overload(server)
    assert overload.look(counted(issued=5000, done=0, seconds=2), 20_000) is None
    assert overload.look(counted(issued=420, done=320, seconds=2), 20_000) is None
    assert overload.reached == ""
