"""An INVALID test is explained by the condition that failed and the setting that would meet it."""

from __future__ import annotations

from typing import Any

import pytest

from harness.loadgen.log import DetailLog
from harness.runs.verdict import explain, explain_accuracy


def log(validity: str = "INVALID", errors: tuple[str, ...] = (), **values: Any) -> DetailLog:
    met = {"result_min_duration_met": True, "result_min_queries_met": True, "early_stopping_met": True}
    return DetailLog({"result_validity": validity, **met, **values}, errors, ())


def test_a_valid_test_needs_no_words() -> None:
    assert explain(log("VALID"), "offline") == []


DURATION: dict[str, Any] = {"result_min_duration_met": False, "requested_min_duration_ms": 600000}
TIMES = {"power_begin": "11-25-2026 01:00:00.000", "power_end": "11-25-2026 01:08:20.500"}


@pytest.mark.parametrize(
    ("scenario", "values", "words"),
    [
        (
            "offline",
            {**DURATION, **TIMES, "result_samples_per_second": 80.0, "requested_offline_expected_qps": 60},
            "it ended after 500.5 s, before its 600 s: LoadGen makes samples for that long at the rate it expects; "
            "raise tests.offline.expected_qps from 60 to 88, or leave it out to have it calibrated",
        ),
        (
            "single_stream",
            {
                **DURATION,
                "result_mean_latency_ns": 11_000_000,
                "requested_single_stream_expected_latency_ns": 20_000_000,
            },
            "it ended before its 600 s: LoadGen made queries for that long at the latency it expects and ran out of "
            "them; lower tests.single_stream.expected_latency_ms from 20 to 10, or leave it out",
        ),
        (
            "multi_stream",
            {**DURATION, "result_mean_query_latency_ns": 88_000_000, "requested_multi_stream_expected_latency_ns": 1e8},
            "lower tests.multi_stream.expected_latency_ms from 100 to 80",
        ),
        (
            "server",
            {**DURATION, "result_scheduled_samples_per_sec": 50.0},
            "it ended before its 600 s: raise tests.server.min_queries to 33000",
        ),
        (
            "single_stream",
            {"result_min_queries_met": False, "requested_min_query_count": 64, "result_query_count": 20},
            "fewer queries than the 64 asked for were answered (20, 44 too few); a lower "
            "tests.single_stream.expected_latency_ms",
        ),
        (
            "server",
            {
                "result_perf_constraints_met": False,
                "requested_server_target_latency_ns": 100_000_000,
                "requested_server_target_qps": 300,
                "effective_target_latency_percentile": 0.99,
                "result_99.00_percentile_latency_ns": 123_456_789,
                "result_overlatency_query_count": 30,
                "result_query_count": 1000,
                "result_completed_samples_per_sec": 250.0,
            },
            "latencies are over the bound of 100 ms: the 99th percentile is 123.457 ms, and 30 of 1000 "
            "queries are above "
            "it, 3.0 % where 1 % may be; lower tests.server.target_qps below 300 (no more than 250 queries/s were "
            "completed), or let --mode find-peak find it",
        ),
        (
            "multi_stream",
            {
                "early_stopping_met": False,
                "early_stopping_result": " * Only processed 20 queries.\n * Need to process at least 662 "
                "queries for early "
                "stopping.",
                "result_query_count": 20,
            },
            "early stopping needs 662 queries to say anything of this percentile, 642 more than its 20; set "
            "tests.multi_stream.min_queries to 662 or more",
        ),
        (
            "server",
            {
                "early_stopping_met": False,
                "early_stopping_result": " * Run unsuccessful.\n * Processed 318 queries.\n * Would need "
                "to run at least 236 "
                "more queries,\n with the run being successful if every additional\n query were under latency.",
                "result_query_count": 318,
            },
            "lower tests.server.target_qps, or set tests.server.min_queries above 554",
        ),
        (
            "server",
            {"early_stopping_met": False, "early_stopping_result": " * Something new."},
            "early stopping: Something new. Raise tests.server.min_queries",
        ),
        ("offline", {}, "LoadGen gives no reason"),
    ],
)
def test_each_condition_says_what_would_meet_it(scenario: str, values: dict[str, Any], words: str) -> None:
    [reason] = explain(log(**values), scenario)
    assert words in reason


def test_an_error_entry_makes_a_valid_test_invalid_and_is_shown() -> None:
    assert explain(log("VALID", ("error_runtime: ran out",)), "offline") == [
        "LoadGen logged an error: error_runtime: ran out"
    ]


def test_running_out_of_queries_is_said_once() -> None:
    error = "error_runtime: Ending early: Ran out of generated queries to issue before the minimum was reached."
    assert len(explain(log("INVALID", (error,), **DURATION), "single_stream")) == 1
    assert explain(log("INVALID", (error,)), "single_stream") == [f"LoadGen logged an error: {error}"]


def accuracy_log(*sets: list[int], mode: str = "AccuracyOnly", errors: tuple[str, ...] = ()) -> DetailLog:
    values = {"effective_test_mode": mode, "qsl_reported_total_count": 5, "loaded_qsl_set": sets[-1]}
    repeated = {"loaded_qsl_set": list(sets)} if len(sets) > 1 else {}
    return DetailLog(values, errors, (), repeated)


def test_a_sound_accuracy_test_needs_no_words() -> None:
    assert explain_accuracy(accuracy_log([0, 1, 2], [3, 4])) == []


def test_an_accuracy_test_says_what_makes_it_worthless() -> None:
    [missing] = explain_accuracy(accuracy_log([0, 1, 2]))
    assert missing.startswith("it ran 3 of 5 images, 2 are missing")
    [too_few] = explain_accuracy(accuracy_log([0, 1, 2], [3, 4]), 5000)
    assert too_few.startswith("it ran 5 of 5000 images")
    [mode, error] = explain_accuracy(accuracy_log([0, 1], [2, 3, 4], mode="PerformanceOnly", errors=("e: x",)))
    assert mode.startswith("it was run in LoadGen's mode PerformanceOnly")
    assert error == "LoadGen logged an error: e: x"


def test_advice_never_contradicts_its_own_figures() -> None:
    # 1 595 published Offline logs were told to raise 24 to 23.1, 269 of the streams to lower 0.9 to 1.395
    [offline] = explain(log(**DURATION, result_samples_per_second=21.0, requested_offline_expected_qps=24), "offline")
    assert "from 24" not in offline
    [stream] = explain(
        log(**DURATION, result_mean_latency_ns=1.5e6, requested_single_stream_expected_latency_ns=0.9e6),
        "single_stream",
    )
    assert "from 0.9" not in stream


def test_a_server_test_of_too_few_queries_is_told_of_a_setting_that_exists() -> None:
    values: dict[str, Any] = {
        "result_min_queries_met": False,
        "requested_min_query_count": 270336,
        "result_query_count": 1000,
    }
    [words] = explain(log(**values), "server")
    assert words.endswith("answered (1000, 269336 too few); set tests.server.min_queries to 270336 or more")


def test_a_log_that_does_not_count_its_queries_is_not_said_to_have_none() -> None:
    # LoadGen before 2.0
    [words] = explain(log(result_min_queries_met=False, requested_min_query_count=1024), "single_stream")
    assert "fewer queries than the 1024 asked for were answered; a lower" in words


def test_a_compliance_test_may_be_short_by_design() -> None:
    [words] = explain(log(**DURATION, effective_performance_issue_unique=True), "offline")
    assert words.startswith("it is short by design: performance_issue_unique sends each sample in memory once")


def test_multistream_of_v1_is_not_given_the_servers_words() -> None:
    [words] = explain(log(result_perf_constraints_met=False), "multi_stream")
    assert "server" not in words
