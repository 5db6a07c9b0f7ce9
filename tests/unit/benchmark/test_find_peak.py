"""The search for the highest valid rate, on a device whose limit is known."""

from __future__ import annotations

import pytest

from harness.benchmark.find_peak import CLOSE, MOST_TRIES, bisect, settle
from harness.runs.records import PeakTry


def made_try(qps: float, valid: bool, rate: float, p99_ms: float | None) -> PeakTry:
    return PeakTry(qps=qps, valid=valid, samples_per_second=rate, p99_ms=p99_ms, folder="")


class Server:
    """Valid up to its limit."""

    def __init__(self, limit: float, suggested: float = 50) -> None:
        self.limit = limit
        self.suggested = suggested
        self.tried: list[float] = []

    def __call__(self, qps: float | None) -> PeakTry:
        asked = self.suggested if qps is None else qps
        self.tried.append(asked)
        return made_try(asked, asked <= self.limit, min(asked, self.limit), 1.0)


@pytest.mark.parametrize("limit", [60.0, 100.0, 999.0, 0.9, 51.0])
@pytest.mark.parametrize("start", [None, 3.0, 5000.0])
def test_server_finds_the_highest_valid_rate_closely(limit: float, start: float | None) -> None:
    server = Server(limit)
    best = bisect(server, start)
    if best is not None:
        assert best.qps == max(qps for qps in server.tried if qps <= limit)
    if len(server.tried) < MOST_TRIES:
        assert best is not None
        assert limit / CLOSE <= best.qps <= limit
    assert len(server.tried) <= MOST_TRIES


def test_a_server_that_is_never_valid_has_no_peak() -> None:
    server = Server(0)
    assert bisect(server, None) is None
    assert len(server.tried) == MOST_TRIES


def test_a_server_that_is_late_at_any_rate_is_not_asked_down_to_nothing() -> None:
    tried: list[float] = []

    def attempt(qps: float | None) -> PeakTry:
        tried.append(80.0 if qps is None else qps)
        return made_try(tried[-1], False, tried[-1], 250.0)

    assert bisect(attempt, None) is None
    assert tried == [80.0, 40.0, 20.0, 10.0, 5.0]


class Offline:
    """Measures the same whatever it expects; too low an expectation ends the test early, which is invalid."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.tried: list[float] = []

    def __call__(self, qps: float | None) -> PeakTry:
        asked = 10.0 if qps is None else qps
        self.tried.append(asked)
        return made_try(asked, asked * 1.1 >= self.rate, self.rate, None)


def test_offline_goes_on_until_it_expects_what_it_measures() -> None:
    offline = Offline(80.0)
    best = settle(offline, None)
    assert best is not None
    assert (best.qps, best.samples_per_second) == (80.0, 80.0)
    assert offline.tried == [10.0, 80.0]


def test_offline_with_the_right_expectation_needs_one_try() -> None:
    offline = Offline(80.0)
    assert settle(offline, 81.0) is not None
    assert offline.tried == [81.0]
