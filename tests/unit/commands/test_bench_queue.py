"""`bench queue` measures the harness around simulated devices."""

from __future__ import annotations

import argparse
import json

import pytest

from harness.benchmark.queue_limits import CASES
from harness.commands import bench
from harness.errors import UsageError


def bench_queue(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    bench.add_arguments(parser)
    return bench.run(parser.parse_args(["queue", *arguments]))


def test_it_gives_rates_shares_and_added_time_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench_queue("--seconds", "0.3", "--devices", "16", "--json") == 0
    shown = capsys.readouterr()
    [limit] = json.loads(shown.out)
    expected = {"scenario": "offline", "devices": 16, "latency_ms": 12.5, "decode": True}
    expected |= {"one_slow": False, "one_busy": False}
    assert limit["case"] == expected
    assert limit["share_of_ideal"] == pytest.approx(limit["samples_per_second"] / 1280, abs=1e-3)
    assert 0 < limit["share_of_ideal"] <= 1
    assert limit["added_us"]["mean"] == pytest.approx(16e6 / limit["samples_per_second"] - 12500, abs=0.1)
    assert "Queue: done in" in shown.err


def test_it_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench_queue("--seconds", "0.2", "--devices", "16") == 0
    shown = capsys.readouterr().out
    assert "native" in shown
    assert "of ideal" in shown


def test_it_covers_what_the_harness_promises() -> None:
    measured = {(case.scenario, case.devices, case.latency_ms, case.decode) for case in CASES}
    assert ("single_stream", 1, 0, False) in measured
    assert {("offline", n, ms, True) for n in (1, 8, 64) for ms in (0, 12.5)} <= measured
    assert ("offline", 256, 12.5, False) in measured


@pytest.mark.parametrize("wrong", [("--seconds", "0"), ("--devices", "3")])
def test_what_cannot_be_measured_is_refused(wrong: tuple[str, str]) -> None:
    with pytest.raises(UsageError):
        bench_queue(*wrong)
