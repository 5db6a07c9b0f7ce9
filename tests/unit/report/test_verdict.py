"""An INVALID test is explained by the condition that failed and the setting that would meet it."""

from __future__ import annotations

from typing import Any

import pytest

from harness.loadgen.log import DetailLog
from harness.report.verdict import explain


def log(validity: str = "INVALID", errors: tuple[str, ...] = (), **values: Any) -> DetailLog:
    met = {"result_min_duration_met": True, "result_min_queries_met": True, "early_stopping_met": True}
    return DetailLog({"result_validity": validity, **met, **values}, errors, ())


def test_a_valid_test_needs_no_words() -> None:
    assert explain(log("VALID"), "offline") == []


@pytest.mark.parametrize(
    ("scenario", "values", "words"),
    [
        (
            "offline",
            {"result_min_duration_met": False, "requested_min_duration_ms": 600000},
            "it ended before its 600 s; raise tests.offline.expected_qps",
        ),
        (
            "single_stream",
            {"result_min_duration_met": False, "requested_min_duration_ms": 600000},
            "lower tests.single_stream.expected_latency_ms",
        ),
        (
            "single_stream",
            {"result_min_queries_met": False, "requested_min_query_count": 64, "result_query_count": 20},
            "fewer queries than the 64 asked for were answered (20)",
        ),
        (
            "server",
            {"result_perf_constraints_met": False, "requested_server_target_latency_ns": 100_000_000},
            "latencies are over the bound of 100 ms; lower tests.server.target_qps",
        ),
        (
            "multi_stream",
            {"early_stopping_met": False, "early_stopping_result": " * Only processed 20 queries.\n * Need 662."},
            "early stopping: Only processed 20 queries. Need 662. Raise tests.multi_stream.min_queries",
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
