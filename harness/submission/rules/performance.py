"""What the logs of a performance test must say: the main one of a scenario, and those of the compliance tests."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal, TypeGuard

from harness.loadgen.plan import LOADGEN_SCENARIOS
from harness.runs.verdict import POWER_TIME, duration_s, explain, indices_of
from harness.scenarios import Scenario
from harness.submission.rules.figures import latency_percentile_key
from harness.submission.rules.finding import Problem, Rule
from harness.submission.rules.loadgen_test import LoadGenTest, shown

_RUN_AGAIN = "run the test again, and put its logs there as LoadGen wrote them"
_CLOCKS_APART_S, _MOST_ZONE_S = 600, 15 * 3600
_CLOCK_STEP_S, _MOST_LATE_S = 1.0, 60.0
_SPECIAL = (
    "accuracy_log_rng_seed",
    "accuracy_log_probability",
    "accuracy_log_sampling_target",
    "print_timestamps",
    "performance_issue_unique",
    "performance_issue_same",
    "performance_issue_same_index",
)


def scenario_and_mode(test: LoadGenTest) -> Iterator[Problem]:
    """The folder's scenario, in the mode that belongs there."""
    names = ", or ".join(LOADGEN_SCENARIOS[scenario] for scenario in _possible(test))
    yield from _both(test, "scenario", LOADGEN_SCENARIOS[test.scenario], names)
    yield from _both(test, "test_mode", test.mode, test.mode)


def verdict(test: LoadGenTest) -> Iterator[Problem]:
    """LoadGen's own verdict on the test must be VALID."""
    values = test.detail.values
    found = shown(values.get("result_validity"))
    short = _invalid_as_short(test)
    if found != "VALID":
        remedy = "; ".join(explain(test.detail, test.scenario))
        yield Problem(test.detail_path, f"result_validity {found}", "VALID", remedy, short=short)
    conditions = ["result_min_duration_met", "result_min_queries_met"]
    if test.rules.early_stopping:
        conditions.append("early_stopping_met")
    for key in conditions:
        if values.get(key) is not True:
            remedy = f"run with min_query_count {test.rules.min_queries} or more" if short else _RUN_AGAIN
            yield Problem(test.detail_path, f"{key} {shown(values.get(key))}", "True", remedy, short=short)


def no_errors(test: LoadGenTest) -> Iterator[Problem]:
    """No entry that LoadGen marks as an error."""
    expected = () if test.compliance is None else test.compliance.expected_errors
    for text in test.detail.errors:
        if any(part in text for part in expected):
            continue
        yield Problem(test.detail_path, f"the error entry {text!r}", "none", "mend its cause and run the test again")


def entries_only(test: LoadGenTest) -> Iterator[Problem]:
    """Every line of the detail log is an entry of LoadGen."""
    for number, line in test.detail.other[:1]:
        more = f" and {len(test.detail.other) - 1} more" if len(test.detail.other) > 1 else ""
        yield Problem(test.detail_path, f"line {number} {line[:40]!r}{more}", "LoadGen's entries only", _RUN_AGAIN)


def dates(test: LoadGenTest) -> Iterator[Problem]:
    """The date that the log was begun at, the clock of its test, and the times of its entries agree.

    Over 502 published results power_end is test_datetime plus the time_ms of its entry, to whole hours (of time zones)
    and 300 s; and a performance test's was written 0.01 to 18.8 s after the test.
    """
    values = test.detail.values
    begun = _moment(values.get("test_datetime"), "%Y-%m-%dT%H:%M:%SZ")
    ended = _moment(values.get("power_end"), POWER_TIME)
    if begun is None:
        found = f"test_datetime {shown(values.get('test_datetime'))}"
        yield Problem(test.detail_path, found, "when the log was begun", _RUN_AGAIN)
    if begun is None or ended is None:
        return  # without the latter `duration` has its finding
    written_s = test.detail.times_ms.get("power_end", 0) / 1e3
    apart_s = (ended - begun).total_seconds() - written_s
    zone_s = 1800 * round(apart_s / 1800)
    if abs(apart_s - zone_s) > _CLOCKS_APART_S or abs(zone_s) > _MOST_ZONE_S:
        found = f"power_end {values['power_end']}"
        required = f"test_datetime {values['test_datetime']} and the {written_s:.3f} s of its time_ms, but for hours"
        yield Problem(test.detail_path, found, required, _RUN_AGAIN)
    took_s = duration_s(values)
    if took_s is not None and test.mode == "PerformanceOnly":
        late_s = written_s - took_s
        if not -_CLOCK_STEP_S <= late_s <= _MOST_LATE_S:
            found = f"power_end {took_s:.3f} s after power_begin"
            yield Problem(test.detail_path, found, f"about the {written_s:.3f} s of its time_ms", _RUN_AGAIN)


def seeds(test: LoadGenTest) -> Iterator[Problem]:
    """The seeds must be the three of the round, or those of the compliance test."""
    for name in ("qsl", "sample_index", "schedule"):
        value = getattr(test.seeds, name)
        yield from _both(test, f"{name}_rng_seed", value, f"{value} of round {test.round.round}")


def duration(test: LoadGenTest) -> Iterator[Problem]:
    """As long as the round asks for: as set, and as it was."""
    needed_ms = test.rules.min_duration_s * 1000
    required = f"at least {needed_ms:g} ms"
    for key in ("requested_min_duration_ms", "effective_min_duration_ms"):
        found = test.detail.values.get(key)
        if not _at_least(found, needed_ms):
            remedy = f"run with min_duration {needed_ms:g} or more"
            yield Problem(test.detail_path, f"{key} {shown(found)}", required, remedy, short=_is_number(found))
    took_s = duration_s(test.detail.values)
    if took_s is None:
        yield Problem(test.detail_path, "no power_begin and power_end", "the times of the test", _RUN_AGAIN)
    elif not test.of_memory_only and took_s * 1000 < needed_ms:
        asked_ms = test.detail.values.get("requested_min_duration_ms")
        # it lasted as long as it was asked to
        short = _is_number(asked_ms) and asked_ms <= took_s * 1000
        remedy = f"run with min_duration {needed_ms:g} or more" if short else _RUN_AGAIN
        found = f"power_end {took_s * 1000:.0f} ms after power_begin"
        yield Problem(test.detail_path, found, required, remedy, short=short)


def counts(test: LoadGenTest) -> Iterator[Problem]:
    """As many queries, or samples in Offline, as the round asks for: as set, and as it was."""
    values, needed = test.detail.values, test.rules.min_queries
    offline = test.scenario == "offline"
    if offline and not test.of_memory_only:
        keys = ["effective_samples_per_query", "generated_samples_per_query"]
    elif offline:
        return
    else:
        keys = ["requested_min_query_count", "effective_min_query_count"]
        if not test.of_memory_only and (test.rules.early_stopping or "result_query_count" in values):
            keys.append("result_query_count")
    what = "samples" if offline else "queries"
    for key in keys:
        if not _at_least(values.get(key), needed):
            remedy = f"run with min_query_count {needed} or more"
            found, short = f"{key} {shown(values.get(key))}", _is_number(values.get(key))
            yield Problem(test.detail_path, found, f"at least {needed} {what}", remedy, short=short)
    if not offline:
        size = test.rules.samples_per_query
        for key in ("effective_samples_per_query", "generated_samples_per_query"):
            if values.get(key) != size:
                remedy = "run with the round's samples_per_query"
                yield Problem(test.detail_path, f"{key} {shown(values.get(key))}", f"{size}", remedy)


def samples_in_memory(test: LoadGenTest) -> Iterator[Problem]:
    """As many different samples as the round asks for."""
    values, needed = test.detail.values, test.benchmark.performance_sample_count
    loaded = values.get("loaded_qsl_set")
    found = {
        "effective_performance_sample_count": values.get("effective_performance_sample_count"),
        "requested_performance_sample_count_override": values.get("requested_performance_sample_count_override"),
        "samples in loaded_qsl_set": len(indices_of(loaded)) if isinstance(loaded, list) else None,
    }
    if not test.detail.values.get("requested_performance_sample_count_override"):
        found.pop("requested_performance_sample_count_override")  # 0: what the sample library says
    for key, value in found.items():
        if not _at_least(value, needed):
            remedy = f"set performance_sample_count_override to {needed} or more and run again"
            yield Problem(
                test.detail_path, f"{key} {shown(value)}", f"at least {needed}", remedy, short=_is_number(value)
            )
    total, images = values.get("qsl_reported_total_count"), test.benchmark.dataset_images
    # only the accuracy run needs the whole dataset
    if not _is_number(total) or not needed <= total <= images:
        remedy = "run with the round's dataset"
        short, required = _is_number(total) and total < needed, f"{needed} to {images}"
        yield Problem(test.detail_path, f"qsl_reported_total_count {shown(total)}", required, remedy, short=short)


def percentile(test: LoadGenTest) -> Iterator[Problem]:
    """The one whose latency counts."""
    needed = test.rules.latency_percentile or 0
    found = test.detail.values.get("effective_target_latency_percentile")
    if not _close(found, needed):
        remedy = "run with the round's target_latency_percentile"
        yield Problem(test.detail_path, f"effective_target_latency_percentile {shown(found)}", f"{needed:g}", remedy)


def latency_bound(test: LoadGenTest) -> Iterator[Problem]:
    """The latency bound of the Server scenario must be the round's."""
    bound_ms = test.rules.latency_ms or 0
    required = f"at most {bound_ms:g} ms"
    keys = ["effective_target_latency_ns"]
    if not test.of_memory_only:
        keys.append(latency_percentile_key(test))
    for key in keys:
        found = test.detail.values.get(key)
        if not _is_number(found) or found > bound_ms * 1e6:
            remedy = "lower target_qps, or run with the round's target_latency"
            yield Problem(test.detail_path, f"{key} {shown(found)}", required, remedy)


def special_settings(test: LoadGenTest) -> Iterator[Problem]:
    """Those that make a test another one: none in a result, and the audit's in a compliance test."""
    for key in _SPECIAL:
        for prefix in ("requested", "effective"):
            found = test.detail.values.get(f"{prefix}_{key}")
            wanted = test.audit.get(key, 0)
            if not isinstance(found, (int, float)) or found != wanted:
                remedy = "run with " + ("the round's audit settings" if test.audit else "no audit.config")
                more = key == "accuracy_log_sampling_target" and wanted and isinstance(found, int) and found > wanted
                level: Literal["FAIL", "WARN"] = "WARN" if more else "FAIL"  # more answers are compared
                yield Problem(test.detail_path, f"{prefix}_{key} {shown(found)}", str(wanted), remedy, level)


def inferable(test: LoadGenTest) -> Iterator[Problem]:
    """A result worked out from another scenario's log needs that log's estimate."""
    key = test.benchmark.scenario(_own(test)).inferred_from[test.scenario].key
    found = test.detail.values.get(key)
    if not _is_number(found) or found <= 0:
        origin, own = LOADGEN_SCENARIOS[test.scenario], LOADGEN_SCENARIOS[test.place.scenario]
        least = test.benchmark.scenario(_own(test)).queries_to_infer_from(test.scenario)
        remedy = f"run {origin} with at least {least} queries, or {own} itself" if least else f"run {own} itself"
        count = test.detail.values.get("result_query_count")
        short = least is not None and _is_number(count) and count < least
        yield Problem(test.detail_path, f"{key} {shown(found)}", "above 0", remedy, short=short)


def rules_for(test: LoadGenTest) -> dict[str, Rule[LoadGenTest]]:
    """Those that apply to a test."""
    rules: dict[str, Rule[LoadGenTest]] = {
        "scenario and mode": scenario_and_mode,
        "entries of LoadGen only": entries_only,
        "no error entries": no_errors,
        "dates": dates,
        "seeds": seeds,
        "duration": duration,
        "query counts": counts,
        "samples in memory": samples_in_memory,
        "special settings": special_settings,
    }
    if not test.of_memory_only:
        rules["LoadGen's verdict"] = verdict
    if test.rules.latency_percentile is not None:
        rules["latency percentile"] = percentile
    if test.rules.latency_ms is not None:
        rules["latency bound"] = latency_bound
    if test.inferred and test.compliance is None:
        rules["estimate to infer from"] = inferable
    return rules


def _invalid_as_short(test: LoadGenTest) -> bool:
    """The one thing that LoadGen has against the test is that early stopping wants more queries, as the round does."""
    values = test.detail.values
    others = ("result_min_duration_met", "result_min_queries_met", "result_perf_constraints_met")
    count = values.get("result_query_count")
    too_few = _is_number(count) and count < test.rules.min_queries
    unmet = values.get("early_stopping_met") is False and all(values.get(key, True) is True for key in others)
    return unmet and too_few and not test.detail.errors


def _moment(text: object, form: str) -> datetime | None:
    try:
        return datetime.strptime(str(text), form)
    except ValueError:
        return None


def _possible(test: LoadGenTest) -> list[Scenario]:
    own = _own(test)
    return [own, *test.benchmark.scenario(own).inferred_from]


def _own(test: LoadGenTest) -> Scenario:
    return test.place.scenario


def _both(test: LoadGenTest, key: str, value: object, required: str) -> Iterator[Problem]:
    """The setting as requested and as used."""
    for prefix in ("requested", "effective"):
        found = test.detail.values.get(f"{prefix}_{key}")
        if found != value:
            yield Problem(test.detail_path, f"{prefix}_{key} {shown(found)}", required, f"run with {key} {value}")


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _at_least(value: Any, needed: float) -> bool:
    return _is_number(value) and value >= needed


def _close(value: Any, needed: float) -> bool:
    return _is_number(value) and abs(value - needed) < 1e-9
