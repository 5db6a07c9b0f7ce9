"""A compliance test passes when its settings were used, its performance is alike and its answers are the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import LogError
from harness.loadgen.log import DetailLog
from harness.rounds import load_round
from harness.scenarios import Scenario
from harness.submission.verification import ComplianceVerdict, accuracy_verdict, performance_verdict, used_settings
from tests.support.made_logs import log_text, record, rows

ROUND = load_round("v2.0")
RULES = ROUND.benchmark("ssd-resnet34")
SINGLE = "result_90.00_percentile_latency_ns"
MULTI = "result_99.00_percentile_per_query_latency_ns"
OFFLINE = "result_samples_per_second"


def log(key: str, value: Any, validity: str = "VALID") -> DetailLog:
    return DetailLog({key: value, "result_validity": validity}, (), ())


def verdict(
    test: str, scenario: Scenario, key: str, reference: Any, measured: Any, validity: str = "VALID"
) -> ComplianceVerdict:
    rules = RULES.scenario(scenario)
    return performance_verdict(
        RULES.compliance[test], scenario, rules, log(key, reference), log(key, measured, validity)
    )


@pytest.mark.parametrize(
    ("test", "scenario", "key", "reference", "measured", "passes"),
    [
        # compliance/nvidia/TEST01/verify_performance.py of mlcommons/inference: within 10 %, 20 % up to 0.2 ms
        ("TEST01", "single_stream", SINGLE, 12_500_000, 13_749_999, True),
        ("TEST01", "single_stream", SINGLE, 12_500_000, 13_750_001, False),
        ("TEST01", "single_stream", SINGLE, 12_500_000, 11_249_999, False),
        ("TEST01", "single_stream", SINGLE, 200_000, 239_000, True),
        ("TEST01", "single_stream", SINGLE, 200_001, 239_000, False),
        ("TEST01", "multi_stream", MULTI, 1_600_000, 1_900_000, True),
        ("TEST01", "multi_stream", MULTI, 1_700_000, 2_000_000, False),
        ("TEST01", "offline", OFFLINE, 100.0, 109.9, True),
        ("TEST01", "offline", OFFLINE, 100.0, 110.1, False),
        # TEST05/verify_performance.py: within 5 %
        ("TEST05", "offline", OFFLINE, 100.0, 95.1, True),
        ("TEST05", "offline", OFFLINE, 100.0, 94.9, False),
        ("TEST05", "single_stream", SINGLE, 12_500_000, 13_125_000, False),
        # TEST04-A/verify_test4_performance.py: one sample again and again is at most 10 % faster, and may be slower
        ("TEST04-B", "offline", OFFLINE, 100.0, 109.9, True),
        ("TEST04-B", "offline", OFFLINE, 100.0, 110.1, False),
        ("TEST04-B", "offline", OFFLINE, 100.0, 30.0, True),
        ("TEST04-B", "single_stream", SINGLE, 12_500_000, 50_000_000, True),
        ("TEST04-B", "single_stream", SINGLE, 12_500_000, 11_200_000, False),
        ("TEST04-B", "single_stream", SINGLE, 200_000, 161_000, True),
    ],
)
def test_performance_must_be_within_the_rounds_tolerance(
    test: str, scenario: Scenario, key: str, reference: Any, measured: Any, passes: bool
) -> None:
    found = verdict(test, scenario, key, reference, measured)
    assert found.passed == passes, found
    assert ("TEST PASS" in found.text().splitlines()) == passes
    if not passes:
        assert "; allowed " in found.reasons[0]
        assert found.text().splitlines()[-1].startswith("TEST FAIL: ")


def test_the_reason_says_by_how_much() -> None:
    [reason] = verdict("TEST05", "offline", OFFLINE, 100.0, 90.0).reasons
    allowed = "allowed above 95 samples/s and below 105 samples/s"
    assert reason == f"90 samples/s is -10.00 % from the reference's 100 samples/s; {allowed}"
    passed = verdict("TEST04-B", "single_stream", SINGLE, 12_500_000, 12_600_000)
    assert passed.found == "12.6 ms, reference 12.5 ms; allowed above 11.25 ms"


def test_an_invalid_test_fails_where_it_is_compared_with_the_run_and_not_in_test04() -> None:
    assert verdict("TEST01", "offline", OFFLINE, 100.0, 100.0, "INVALID").reasons == ("the test is INVALID",)
    assert verdict("TEST04-B", "offline", OFFLINE, 100.0, 100.0, "INVALID").passed


@pytest.mark.parametrize("score", [None, 0, "?"])
def test_a_log_without_the_figure_fails(score: Any) -> None:
    [reason] = verdict("TEST01", "offline", OFFLINE, 100.0, score).reasons
    assert "there is no result_samples_per_second to compare" in reason


def settings_of(test: str, **changed: Any) -> DetailLog:
    seeds = RULES.compliance[test].seeds or ROUND.seeds
    values: dict[str, Any] = {f"effective_{key}": value for key, value in RULES.compliance[test].audit.items()}
    values |= {f"effective_{name}_rng_seed": value for name, value in seeds.model_dump().items()}
    return DetailLog(values | changed, (), ())


@pytest.mark.parametrize("test", RULES.compliance)
def test_every_setting_of_the_audit_and_every_seed_must_have_been_in_effect(test: str) -> None:
    rules = RULES.compliance[test]
    seeds = rules.seeds or ROUND.seeds
    assert used_settings(settings_of(test), rules, seeds) == []
    for key in settings_of(test).values:
        if key != "effective_mode":
            [reason] = used_settings(settings_of(test, **{key: 12345}), rules, seeds)
            assert reason.startswith(f"{key} was 12345, the test asks for ")


def test_errors_that_loadgen_logged_count_but_for_those_that_the_test_brings_about() -> None:
    ran_out = "error_runtime: Ending early: Ran out of generated queries to issue"
    for test, expected in (("TEST04-A", 0), ("TEST05", 1)):
        values = settings_of(test).values
        seeds = RULES.compliance[test].seeds or ROUND.seeds
        assert len(used_settings(DetailLog(values, (ran_out,), ()), RULES.compliance[test], seeds)) == expected
        assert len(used_settings(DetailLog(values, ("error: other",), ()), RULES.compliance[test], seeds)) == 1


ANSWERS = [(k, rows(k, (0.1, 0.2, 0.3, 0.4, 0.5 + k / 100, 1.0))) for k in range(6)]


def accuracy(tmp_path: Path, text: str) -> ComplianceVerdict:
    (tmp_path / "reference.json").write_text(log_text([*ANSWERS, ANSWERS[0]]))
    (tmp_path / "log.json").write_text(text)
    return accuracy_verdict(tmp_path / "reference.json", tmp_path / "log.json")


def test_the_same_answers_pass_in_any_order_and_more_than_once(tmp_path: Path) -> None:
    found = accuracy(tmp_path, log_text([ANSWERS[5], ANSWERS[2], ANSWERS[5]]))
    assert found.passed
    assert "num_acc_log_entries = 7" in found.lines
    assert "num_perf_log_entries = 3" in found.lines
    assert "num_perf_log_qsl_idx_match = 3" in found.lines


def test_one_bit_is_a_difference_and_the_image_is_named(tmp_path: Path) -> None:
    other = ANSWERS[2][1].copy()
    other.view(np.uint32)[0, 5] ^= 1
    found = accuracy(tmp_path, log_text([ANSWERS[1], (2, other), ANSWERS[2]]))
    assert "num_perf_log_data_mismatch = 1" in found.lines
    assert found.reasons == (
        "1 of 3 answers are not those of the accuracy run (images 2):"
        " the device does not give the same outputs each time",
    )


def test_an_answer_with_nothing_in_it_differs_from_one_with_something(tmp_path: Path) -> None:
    assert not accuracy(tmp_path, f"[\n{record(0, 3, '')}\n]\n").passed


def test_an_image_that_the_accuracy_run_does_not_have_fails(tmp_path: Path) -> None:
    found = accuracy(tmp_path, log_text([(40, rows(40, (0.1, 0.2, 0.3, 0.4, 0.5, 1.0)))]))
    assert found.reasons == ("1 images are not in the accuracy run's log (40)",)


def test_a_log_without_answers_fails(tmp_path: Path) -> None:
    assert "no answer was logged" in accuracy(tmp_path, "[\n]\n").reasons[0]


def test_a_damaged_log_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="record 2 is cut"):
        accuracy(tmp_path, log_text(ANSWERS)[:200])
