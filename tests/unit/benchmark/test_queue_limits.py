"""bench queue: repeated until the median is stable, and with the machine's load beside each figure."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from harness.benchmark import machine_load
from harness.benchmark.machine_load import LoadWatch, MachineLoad
from harness.benchmark.queue_limits import Case, Limit, busy_processor, measure, median_of

CASE = Case("offline", 1, 12.5, decode=True)


def limits(*rates: float) -> Iterator[Limit]:
    for rate in rates:
        yield Limit(CASE, rate, None, {"mean": 0.0}, 1.0, 1.0, MachineLoad(0.1, 0.0, 0.2))


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
    assert limit.machine.load_average is not None
    assert 0.3 < (limit.share_of_ideal or 0) <= 1.001


def test_a_busy_processor_is_seen() -> None:
    watch = LoadWatch()
    with busy_processor():
        before = os.times().elapsed
        while os.times().elapsed - before < 0.5:
            pass
    load = watch.end()
    assert load.busy_processors is not None
    assert load.busy_processors > 0.8
    assert load.steal is not None
    assert 0 <= load.steal <= 1


def test_a_system_that_does_not_say_is_not_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_load, "_ticks", lambda: None)
    load = LoadWatch().end()
    assert (load.steal, load.busy_processors) == (None, None)
