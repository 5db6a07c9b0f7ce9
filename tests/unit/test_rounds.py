"""The numbers of a round are data with a source."""

from __future__ import annotations

import pytest

from harness.errors import UsageError
from harness.rounds import load_round


def test_v2_0_has_the_numbers_of_its_sources() -> None:
    # mlperf.conf and submission-checker.py of mlcommons/inference, tag v2.0
    round_ = load_round("v2.0")
    rules = round_.benchmark("ssd-resnet34")
    assert round_.seeds.qsl == 6655344265603136530
    assert round_.seeds.sample_index == 15863379492028895792
    assert round_.seeds.schedule == 12662793979680847247
    assert rules.performance_sample_count == 64
    assert rules.accuracy.gate_percent == pytest.approx(19.8)
    assert rules.scenario("offline").min_queries == 24576
    assert rules.scenario("server").latency_ms == 100
    assert {rules.scenario(s).min_duration_s for s in rules.scenarios} == {600}


def test_an_unknown_round_benchmark_or_scenario_is_refused() -> None:
    with pytest.raises(UsageError, match=r"no such round: v9.9\n  next: one of: v2.0"):
        load_round("v9.9")
    with pytest.raises(UsageError, match=r"round v2.0 has no benchmark yolo\n  next: it has: ssd-resnet34"):
        load_round("v2.0").benchmark("yolo")
    rules = load_round("v2.0").benchmark("ssd-resnet34").model_copy(update={"scenarios": {}})
    with pytest.raises(UsageError, match="the round has no server"):
        rules.scenario("server")
