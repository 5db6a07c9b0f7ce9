"""bench queue: repeated until the median is stable, and with the machine's load beside each figure."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from harness.benchmark.machine_watch import MachineWatch
from harness.benchmark.queue_limits import Case, Limit, busy_processor, measure, median_of
from harness.runs.records import MachineRecord

CASE = Case("offline", 1, 12.5, decode=True)


def limits(*rates: float) -> Iterator[Limit]:
    for rate in rates:
        yield Limit(CASE, rate, None, {"mean": 0.0}, 1.0, 1.0, MachineRecord())


@pytest.mark.parametrize(
    ("rates", "rounds", "stable", "shown"),
    [
        ((100, 100.1, 100.2), 3, True, 100.1),
        ((100, 90, 80, 70, 60, 50, 40), 7, False, 70),
        ((100, 50, 99, 98.8), 4, True, 98.8),
    ],
)
def test_it_is_measured_until_the_median_is_stable(
    rates: tuple[float, ...], rounds: int, stable: bool, shown: float
) -> None:
    found = limits(*rates)
    limit = median_of(lambda: next(found))
    assert (limit.rounds, limit.stable, limit.samples_per_second) == (rounds, stable, shown)


def test_a_limit_says_what_a_sample_took_of_the_processors_and_how_quiet_the_machine_was() -> None:
    limit = measure(Case("offline", 4, 5.0, decode=True), 0.3)
    assert 5 < limit.cpu_us_per_sample < 20_000
    assert limit.machine.load_after is not None
    assert 0 < (limit.share_of_ideal or 0) <= 1.001


def test_a_busy_processor_is_seen() -> None:
    watch = MachineWatch()
    with busy_processor():
        before = os.times().elapsed
        while os.times().elapsed - before < 1.0:
            time.sleep(0.05)
        machine = watch.record()
    assert machine.others_cores is not None
    assert machine.others_cores > 0.3
    assert machine.steal_percent is not None
    assert 0 <= machine.steal_percent <= 100


def test_a_limit_is_json_with_its_machine() -> None:
    limit = Limit(CASE, 80.0, 1.0, {"mean": 0.0}, 1.0, 1.0, MachineRecord(others_cores=0.1))
    assert limit.as_json()["machine"] == {"others_cores": 0.1}
    assert limit.as_json()["case"]["devices"] == 1
