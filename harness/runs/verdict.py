"""Why LoadGen calls a test INVALID, in words to act on: the condition, by how much, and what would meet it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from harness.loadgen.log import DetailLog

POWER_TIME = "%m-%d-%Y %H:%M:%S.%f"
_LATENCY = "expected_latency_ms"
RAN_OUT = "Ran out of generated queries"
_TO_PROCESS = re.compile(r"Need to process at least (\d+) queries")
_MORE = re.compile(r"run at least (\d+) more queries")
_SHORT_BY_DESIGN = {
    "performance_issue_unique": "performance_issue_unique sends each sample in memory once",
    "performance_issue_same": "performance_issue_same sends one sample again and again",
}
"""LoadGen's settings of TEST04, whose tests end when their samples do."""
_MARGIN = 1.1
"""How much better than measured a setting is suggested, so that noise does not undo it."""


def explain(log: DetailLog, scenario: str) -> list[str]:
    """The conditions that a performance test did not meet, each with what would meet it; empty for a valid one."""
    if log.valid:
        return []
    issue = next((name for name in _SHORT_BY_DESIGN if log.values.get(f"effective_{name}")), None)
    if issue is not None and not log.errors:
        return [f"it is short by design: {_SHORT_BY_DESIGN[issue]}, a compliance test; its verification judges it"]
    return [
        *_duration(log, scenario),
        *_queries(log, scenario),
        *_latency(log, scenario),
        *_early_stopping(log, scenario),
        *(f"LoadGen logged an error: {error}" for error in log.errors if not _told(log, error)),
    ] or ["LoadGen gives no reason; see mlperf_log_summary.txt"]


def explain_accuracy(log: DetailLog, images: int | None = None) -> list[str]:
    """What makes an accuracy test worthless; empty for a sound one.

    Args:
        images: how many it should have run; none: those of its sample library.
    """
    values = log.values
    reasons = []
    mode = values.get("effective_test_mode")
    if mode != "AccuracyOnly":
        reasons.append(f"it was run in LoadGen's mode {mode}, not in AccuracyOnly; run --mode accuracy")
    needed = number_of(values, "qsl_reported_total_count") if images is None else images
    run = images_run(log)
    if needed is not None and run < needed:
        hint = "leave out --count, and accuracy_sample_count_override in user.conf"
        reasons.append(f"it ran {run} of {needed:g} images, {needed - run:g} are missing; {hint}")
    return reasons + [f"LoadGen logged an error: {error}" for error in log.errors]


def images_run(log: DetailLog) -> int:
    """How many different samples an accuracy test loaded."""
    sets = log.repeated.get("loaded_qsl_set") or [log.values.get("loaded_qsl_set")]
    return len(set().union(*map(indices_of, sets)))


def indices_of(loaded: object) -> set[int]:
    """The samples of a ``loaded_qsl_set``, whatever a damaged log has there."""
    return {index for index in loaded if isinstance(index, int)} if isinstance(loaded, list) else set()


def number_of(values: Mapping[str, Any], key: str) -> float | None:
    """A number of a log; None where the log does not have it, or has there what is no finite number."""
    value = values.get(key)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return value if is_number else None


def duration_s(values: Mapping[str, Any]) -> float | None:
    """How long a performance test's queries took by the clock in its log, None if it does not say."""
    try:
        begin, end = (datetime.strptime(values[key], POWER_TIME) for key in ("power_begin", "power_end"))
    except (KeyError, TypeError, ValueError):
        return None
    return (end - begin).total_seconds()


def _told(log: DetailLog, error: str) -> bool:
    """The error is the end of a test that was too short, which has its own words."""
    return RAN_OUT in error and log.values.get("result_min_duration_met") is False


def _duration(log: DetailLog, scenario: str) -> Iterator[str]:
    values = log.values
    if values.get("result_min_duration_met") is not False:
        return
    needed_s = (number_of(values, "requested_min_duration_ms") or 0) / 1e3
    took_s = duration_s(values)
    took = "" if took_s is None else f" after {took_s:.1f} s,"
    calibrated = "or leave it out to have it calibrated"
    if scenario == "offline":
        keys = ("result_samples_per_second", "requested_offline_expected_qps")
        measured, expected = (number_of(values, key) for key in keys)
        wanted = (measured or 0) * _MARGIN
        to = f" from {expected:g} to {wanted:.4g}" if expected and wanted > expected else ""
        what = (
            "LoadGen makes samples for that long at the rate it expects; raise "
            f"tests.offline.expected_qps{to}, {calibrated}"
        )
    elif scenario == "server":
        rate = number_of(values, "result_scheduled_samples_per_sec")
        to = "" if not rate else f" to {math.ceil(rate * needed_s * _MARGIN)}"
        what = f"raise tests.server.min_queries{to}"
    else:
        per_query_ns = number_of(values, "result_mean_query_latency_ns")
        latency_ns = number_of(values, "result_mean_latency_ns") if per_query_ns is None else per_query_ns
        expected_ns = number_of(values, f"requested_{scenario}_expected_latency_ns")
        to = ""
        if latency_ns and expected_ns and latency_ns / _MARGIN < expected_ns:
            to = f" from {expected_ns / 1e6:.4g} to {latency_ns / 1e6 / _MARGIN:.4g}"
        what = (
            "LoadGen made queries for that long at the latency it expects and ran out of them; lower "
            f"tests.{scenario}.expected_latency_ms{to}, {calibrated}"
        )
    yield f"it ended{took} before its {needed_s:g} s: {what}"


def _queries(log: DetailLog, scenario: str) -> Iterator[str]:
    values = log.values
    if values.get("result_min_queries_met") is not False:
        return
    needed, had = values.get("requested_min_query_count"), values.get("result_query_count")
    missing = f", {needed - had} too few" if isinstance(needed, int) and isinstance(had, int) else ""
    had_words = "" if had is None else f" ({had}{missing})"  # LoadGen before 2.0 does not count them
    if scenario == "server":
        remedy = f"set tests.server.min_queries to {needed} or more"
    else:
        setting = "higher tests.offline.expected_qps" if scenario == "offline" else f"lower tests.{scenario}.{_LATENCY}"
        remedy = f"a {setting} makes LoadGen prepare more of them"
    yield f"fewer queries than the {needed} asked for were answered{had_words}; {remedy}"


def _latency(log: DetailLog, scenario: str) -> Iterator[str]:
    values = log.values
    if values.get("result_perf_constraints_met") is not False:
        return
    if scenario != "server":
        # MultiStream before LoadGen 2.0 sent its queries at a fixed rate
        skipped = values.get("result_intervals_with_skipped_queries")
        skips = "" if skipped is None else f": {skipped} intervals had queries left out"
        yield f"queries were not answered within their interval{skips}; fewer samples a query would do"
        return
    bound_ns = number_of(values, "requested_server_target_latency_ns") or 0
    percentile = 100 * (number_of(values, "effective_target_latency_percentile") or 0.99)
    text = f"latencies are over the bound of {bound_ns / 1e6:g} ms"
    measured_ns = number_of(values, f"result_{percentile:.2f}_percentile_latency_ns")
    if measured_ns:
        text += f": the {percentile:g}th percentile is {measured_ns / 1e6:.3f} ms"
    over, count = (number_of(values, f"result_{what}query_count") for what in ("overlatency_", ""))
    if over and count:
        text += f", and {over:.10g} of {count:.10g} queries are above it, {100 * over / count:.1f} %"
        text += f" where {100 - percentile:g} % may be"
    asked, completed = (
        number_of(values, key) for key in ("requested_server_target_qps", "result_completed_samples_per_sec")
    )
    at = "" if not asked else f" below {asked:g}"
    if asked and completed and completed < 0.95 * asked:
        at += f" (no more than {completed:.4g} queries/s were completed)"
    yield f"{text}; lower tests.server.target_qps{at}, or let --mode find-peak find it"


def _early_stopping(log: DetailLog, scenario: str) -> Iterator[str]:
    values = log.values
    if values.get("early_stopping_met") is not False:
        return
    text = " ".join(str(values.get("early_stopping_result", "")).replace("*", " ").split())
    least, more = _TO_PROCESS.search(text), _MORE.search(text)
    count = values.get("result_query_count")
    if least:
        short = f", {int(least[1]) - count} more than its {count}" if isinstance(count, int) else ""
        yield (
            f"early stopping needs {least[1]} queries to say anything of this percentile{short}; "
            f"set tests.{scenario}.min_queries to {least[1]} or more"
        )
    elif more and isinstance(count, int):
        yield (
            f"early stopping: too many of the {count} queries are over the bound, {more[1]} more all within it "
            f"would do; lower tests.{scenario}.target_qps, or set tests.{scenario}.min_queries above "
            f"{count + int(more[1])}"
        )
    else:
        yield f"early stopping: {text} Raise tests.{scenario}.min_queries"
