"""The figures of a performance test's logs: each is written twice or follows from others, and all must agree."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.runs.verdict import duration_s
from harness.submission.rules.finding import Problem, Rule
from harness.submission.rules.loadgen_test import LoadGenTest, shown

LOGGED_PERCENTILES = ("50.00", "90.00", "95.00", "97.00", "99.00", "99.90")
_AS_WRITTEN = "run the test again, and put its logs there as LoadGen wrote them"
_CLOCK_S, _CLOCK_TOLERANCE = 0.1, 0.02
"""How far latencies may add up beyond the clock of power_begin and power_end, which counts milliseconds."""
_IDLE_MOST = 0.5
"""The share of a test in which LoadGen is at work, not the system; with latencies of microseconds it is not small."""
_RELATIVE = 1e-4
"""LoadGen prints six significant digits of a rate."""
_HEADLINE = re.compile(r"([\d.]+)(?:st|nd|rd|th) percentile latency \(ns\)")
_STATISTIC = re.compile(r"([\d.]+) percentile latency \(ns\)")
_ESTIMATE = re.compile(r"([\d.]+)(?:st|nd|rd|th) percentile estimate: (\d+)")
_NO_ESTIMATE = re.compile(r"Only processed \d+ queries|Need to process at least \d+ queries")
_OTHER_ESTIMATES = {"early_stopping_latency_ms": 99.0}
"""Of a SingleStream log, besides its own, for MultiStream to be inferred from; 0 where there were too few queries."""
_ANSWERS = {"Yes": True, "NO": False, "No": False}
_NAMES = {
    "SUT name": "sut_name",
    "Scenario": "effective_scenario",
    "Mode": "effective_test_mode",
    "Samples per second": "result_samples_per_second",
    "Scheduled samples per second": "result_scheduled_samples_per_sec",
    "Completed samples per second": "result_completed_samples_per_sec",
    "Result is": "result_validity",
    "Min duration satisfied": "result_min_duration_met",
    "Min queries satisfied": "result_min_queries_met",
    "Performance constraints satisfied": "result_perf_constraints_met",
    "Early stopping satisfied": "early_stopping_met",
    "QPS w/ loadgen overhead": "result_qps_with_loadgen_overhead",
    "QPS w/o loadgen overhead": "result_qps_without_loadgen_overhead",
}
"""The summary log's lines → the detail log's keys."""
_SECTIONS = {"Per-query latency"}
_PARAMETERS = (
    "samples_per_query",
    "min_duration (ms)",
    "min_query_count",
    "qsl_rng_seed",
    "sample_index_rng_seed",
    "schedule_rng_seed",
    "performance_issue_unique",
    "performance_issue_same",
    "performance_sample_count",
)
"""Of the summary's last part, those that every version prints and a rule looks at."""


def latency_key(test: LoadGenTest, which: str) -> str:
    """The detail log's key of a query's latency: ``which`` is "min", "mean", "max" or a percentile like "99.00"."""
    per_query = test.scenario == "multi_stream"
    if which in ("min", "mean", "max"):
        return f"result_{which}_{'query_' if per_query else ''}latency_ns"
    return f"result_{which}_percentile_{'per_query_' if per_query else ''}latency_ns"


def latency_percentile_key(test: LoadGenTest) -> str:
    """The key of the percentile that counts in the scenario."""
    return latency_key(test, f"{100 * (test.rules.latency_percentile or 0.99):.2f}")


def summary_agrees(test: LoadGenTest) -> Iterator[Problem]:
    """Each line of the summary log is in the detail log with the same value, and no line that counts is missing."""
    summary, there = test.summary, set()
    if not summary.values:
        yield Problem(test.summary_path, "no figures", "those of the detail log", _AS_WRITTEN)
        return
    for name, text in summary.values.items():
        key = _detail_key(test, name)
        if key is None:
            if name not in _SECTIONS:
                yield Problem(test.summary_path, f"the line {name!r}", "LoadGen's lines only", _AS_WRITTEN)
            continue
        there.add(key)
        value = test.detail.values.get(key)
        if not _says(text.rstrip("\0"), value):
            yield Problem(
                test.summary_path, f"{name} {text}", f"{shown(value)} as {key} in the detail log", _AS_WRITTEN
            )
    needed = {_detail_key(test, name) for name in (*_PARAMETERS, "Scenario", "Mode", "Result is")}
    needed |= {latency_key(test, which) for which in ("min", "mean", "max", *LOGGED_PERCENTILES)}
    for key in sorted(key for key in needed - there if key):
        yield Problem(test.summary_path, f"no line for {key}", "the line", _AS_WRITTEN)
    for line in summary.other:
        yield Problem(test.summary_path, f"the line {line.strip()!r}", "LoadGen's lines only", _AS_WRITTEN)
    for name in summary.repeated:
        yield Problem(test.summary_path, f"two lines {name!r} that differ", "one", _AS_WRITTEN)
    said = test.summary.remarks.get("Early Stopping Result", "")
    meant = " ".join(str(test.detail.values.get("early_stopping_result", "")).split())
    if said != meant:
        yield Problem(test.summary_path, f"early stopping {said!r}", f"{meant!r} as in the detail log", _AS_WRITTEN)
    yield from message_counts(test)


def message_counts(test: LoadGenTest) -> Iterator[Problem]:
    """The summary counts as many warnings and errors as the detail log has."""
    for what, said, entries in (
        ("warnings", test.summary.warnings, test.detail.warnings),
        ("errors", test.summary.errors, test.detail.errors),
    ):
        if said != len(entries):
            required = f"{len(entries)} as in the detail log"
            yield Problem(test.summary_path, f"{shown(said)} {what}", required, _AS_WRITTEN)


def one_of_each(test: LoadGenTest) -> Iterator[Problem]:
    """No setting or result is in the detail log twice with different values."""
    for key, values in test.detail.repeated.items():
        if key.startswith(("requested_", "effective_", "result_", "early_stopping")) and len(set(map(str, values))) > 1:
            found = f"{key} with {' and '.join(str(value) for value in values[:3])}"
            yield Problem(test.detail_path, found, "one value", _AS_WRITTEN)


def latencies_ascend(test: LoadGenTest) -> Iterator[Problem]:
    """Minimum, percentiles and maximum follow each other, and the mean lies between the two."""
    keys = [latency_key(test, which) for which in ("min", *LOGGED_PERCENTILES, "max")]
    values = [test.detail.values.get(key) for key in keys]
    for key, value in zip(keys, values, strict=True):
        if not isinstance(value, int) or value <= 0:
            yield Problem(test.detail_path, f"{key} {shown(value)}", "a latency", _AS_WRITTEN)
            return
    for low_key, low, key, value in zip(keys, values, keys[1:], values[1:], strict=False):
        if low > value:  # type: ignore[operator]
            yield Problem(test.detail_path, f"{key} {value}", f"at least {low_key} {low}", _AS_WRITTEN)
    mean = test.detail.values.get(latency_key(test, "mean"))
    if not isinstance(mean, int) or not values[0] <= mean <= values[-1]:  # type: ignore[operator]
        required = f"between the minimum {values[0]} and the maximum {values[-1]}"
        yield Problem(test.detail_path, f"{latency_key(test, 'mean')} {shown(mean)}", required, _AS_WRITTEN)


def rates_follow(test: LoadGenTest) -> Iterator[Problem]:
    """A rate is what the counts and latencies beside it make."""
    values = test.detail.values
    expected: dict[str, float | None] = {}
    if test.scenario == "offline":
        # the one query ends with its slowest sample
        count, latency_ns = values.get("effective_samples_per_query"), values.get("result_max_latency_ns")
        expected["result_samples_per_second"] = _rate(count, latency_ns)
    elif test.scenario == "single_stream":
        expected["result_qps_without_loadgen_overhead"] = _rate(1, values.get("result_mean_latency_ns"))
    for key, value in expected.items():
        found = values.get(key)
        if value is None or not isinstance(found, (int, float)) or abs(found - value) > _RELATIVE * value:
            required = "a rate" if value is None else f"{value:.6g}, which its latencies make"
            yield Problem(test.detail_path, f"{key} {shown(found)}", required, _AS_WRITTEN)


def clock_agrees(test: LoadGenTest) -> Iterator[Problem]:
    """The latencies fill the time between the beginning and the end of the test, and no more."""
    values, took_s = test.detail.values, duration_s(test.detail.values)
    offline = test.scenario == "offline"
    key = latency_key(test, "max" if offline else "mean")
    what = key if offline else f"{key} of result_query_count"
    count, latency_ns = 1 if offline else values.get("result_query_count"), values.get(key)
    if not isinstance(count, int) or not isinstance(latency_ns, (int, float)):
        return  # LoadGen counts its queries since v2.0
    busy_s = count * latency_ns / 1e9
    if took_s is None:
        return
    low, high = took_s * (1 - _IDLE_MOST) - _CLOCK_S, took_s * (1 + _CLOCK_TOLERANCE) + _CLOCK_S
    if not low <= busy_s <= high:
        required = f"about the {took_s:.3f} s from power_begin to power_end"
        yield Problem(test.detail_path, f"{busy_s:.3f} s by {what}", required, _AS_WRITTEN)


def estimates_follow(test: LoadGenTest) -> Iterator[Problem]:
    """Early stopping's estimate is the one of its own words, and no less than the measured percentile."""
    values = test.detail.values
    text = str(values.get("early_stopping_result", ""))
    said = {float(p): int(ns) for p, ns in _ESTIMATE.findall(text)}
    found = values.get(test.rules.result.key)
    needed = said.get(100 * (test.rules.latency_percentile or 0))
    measured = values.get(latency_percentile_key(test))
    if _NO_ESTIMATE.search(text) and needed is None and not found:
        remedy = f"run with min_query_count {test.rules.min_queries} or more"
        yield Problem(test.detail_path, "too few queries for an estimate", "an estimate", remedy, short=True)
    elif found != needed or not found:
        required = f"{shown(needed)} as in early_stopping_result"
        yield Problem(test.detail_path, f"{test.rules.result.key} {shown(found)}", required, _AS_WRITTEN)
    elif isinstance(measured, int) and found < measured:
        required = f"at least the measured {measured}"
        yield Problem(test.detail_path, f"{test.rules.result.key} {found}", required, _AS_WRITTEN)
    for key, percentile in _OTHER_ESTIMATES.items():
        if key in values and test.scenario == "single_stream" and values[key] != said.get(percentile, 0):
            required = f"{said.get(percentile, 0)} as in early_stopping_result"
            yield Problem(test.detail_path, f"{key} {values[key]}", required, _AS_WRITTEN)
    processed = re.search(r"Processed at least \d+ queries \((\d+)\)", text)
    if processed and "result_query_count" in values and int(processed[1]) != values["result_query_count"]:
        required = f"{processed[1]} as in early_stopping_result"
        yield Problem(test.detail_path, f"result_query_count {values['result_query_count']}", required, _AS_WRITTEN)


def rules_for(test: LoadGenTest) -> dict[str, Rule[LoadGenTest]]:
    """Those that apply to a test."""
    rules: dict[str, Rule[LoadGenTest]] = {
        "summary and detail log agree": summary_agrees,
        "one value of each": one_of_each,
        "latencies ascend": latencies_ascend,
    }
    if test.scenario in ("offline", "single_stream"):
        rules["rates follow"] = rates_follow
    if test.scenario != "server":
        rules["latencies fill the time"] = clock_agrees
    if test.rules.early_stopping and not test.of_memory_only and test.scenario != "server":
        rules["estimates follow"] = estimates_follow
    return rules


def _rate(count: object, latency_ns: object) -> float | None:
    """A count in a second; None where the log has no numbers."""
    if not isinstance(count, (int, float)) or not isinstance(latency_ns, (int, float)) or latency_ns <= 0:
        return None
    return count / (latency_ns / 1e9)


def _detail_key(test: LoadGenTest, name: str) -> str | None:
    """The detail log's key of a line of the summary; None for a line that is none of LoadGen's."""
    if name in _NAMES:
        return _NAMES[name]
    percentile = _HEADLINE.fullmatch(name) or _STATISTIC.fullmatch(name)
    if percentile:
        return latency_key(test, f"{float(percentile[1]):.2f}")
    if name in ("Min latency (ns)", "Mean latency (ns)", "Max latency (ns)"):
        return latency_key(test, name.split(maxsplit=1)[0].lower())
    if re.fullmatch(r"[a-z0-9_]+( \((ns|ms)\))?", name):
        return "effective_" + name.replace(" (", "_").rstrip(")")
    return None


def _says(text: str, value: object) -> bool:
    """The text is the value, as far as it was printed."""
    if value is None:
        return False
    if isinstance(value, bool):
        return _ANSWERS.get(text, text == "1" if text in ("0", "1") else None) is value
    whole, _, decimals = text.partition(".")
    if isinstance(value, int) and not decimals.strip("0"):
        return whole == str(value)  # a count, or a rate of 247 that is printed as "247.00"
    if isinstance(value, (int, float)):
        # the detail log has six digits of a rate, and is an int where they make a whole number: 10897 for "10896.95"
        return is_as_printed(text, value)
    return text == str(value).rstrip("\0")


def is_as_printed(text: str, value: float) -> bool:
    """Whether a printed number is the value, as far as its digits go, and the six of LoadGen's detail log."""
    try:
        number = float(text)
    except ValueError:
        return False
    digits = text.partition(".")[2]
    half = 0.5 * 10 ** -len(digits) if "e" not in text.lower() else 0
    return abs(number - value) <= max(half * 1.01, _RELATIVE / 10 * abs(value))
