"""A plan → LoadGen's TestSettings and the user.conf that a submission shows.

The order is the safe one: LoadGen's built-in mlperf.conf first (type 0), then user.conf as type 2, which does not load
the built-in one a second time, then what only works as an attribute: mode, scenario and seeds. An audit.config is read
by LoadGen itself, last of all, but for seeds, which it ignores there.
"""

from __future__ import annotations

import mlperf_loadgen as lg

from harness.errors import UsageError
from harness.loadgen.log import USER_CONF
from harness.loadgen.plan import LOADGEN_SCENARIOS, Calibration, Plan

AUDIT_NAME = "audit.config"

LATENCY_MARGIN = 1.5
"""LoadGen generates queries for min_duration at the expected latency; to run out of them is fatal, so expect less."""
LOADGEN_SLACK = 1.1
"""How many more samples LoadGen makes in Offline than the expected rate needs: ``offline_expected_qps`` in
TestSettingsInternal (test_settings_internal.cc)."""
OFFLINE_SPARE = 1.05
"""How much longer than asked an Offline test lasts at the rate of the calibration: one that ends early is INVALID."""
MOST_QPS = 500_000
"""No test goes faster than this: a device of no latency would have LoadGen make queries by the hundred million."""


def user_conf(plan: Plan, calibration: Calibration) -> str:
    """The text of user.conf: ``benchmark.Scenario.key = value`` lines (LoadGen ignores ``key=value``)."""
    rules, asked = plan.rules, plan.scenario_settings
    values: dict[str, float] = {
        "performance_sample_count_override": plan.performance_sample_count,
        "min_duration": round(rules.min_duration_s * 1000),
        "min_query_count": rules.min_queries,
    }
    if rules.latency_percentile is not None:
        values["target_latency_percentile"] = round(rules.latency_percentile * 100, 6)
    if plan.scenario == "single_stream":
        values["target_latency"] = asked.expected_latency_ms or calibration.latency_s * 1e3 / LATENCY_MARGIN
    elif plan.scenario == "multi_stream":
        query_s = rules.samples_per_query / calibration.samples_per_second
        values["samples_per_query"] = rules.samples_per_query
        values["target_latency"] = asked.expected_latency_ms or query_s * 1e3 / LATENCY_MARGIN
    elif plan.scenario == "server":
        values["target_latency"] = rules.latency_ms or 0
        values["target_qps"] = asked.target_qps or min(calibration.samples_per_second, MOST_QPS) / 2
    else:
        reachable = min(calibration.samples_per_second, MOST_QPS)
        values["target_qps"] = asked.expected_qps or reachable * OFFLINE_SPARE / LOADGEN_SLACK
    prefix = f"{plan.benchmark}.{LOADGEN_SCENARIOS[plan.scenario]}"
    return "".join(f"{prefix}.{key} = {_number(value)}\n" for key, value in values.items())


def _number(value: float) -> str:
    """Without an exponent or a needless fraction: LoadGen reads some keys with `strtoull`."""
    return str(int(value)) if float(value).is_integer() else f"{value:.6f}"


def loadgen_settings(plan: Plan, calibration: Calibration) -> lg.TestSettings:
    """Writes user.conf, and audit.config for a compliance test, into the plan's folder and gives LoadGen's settings.

    Raises:
        UsageError: LoadGen refuses a file.
    """
    conf = plan.folder / USER_CONF
    conf.write_text(user_conf(plan, calibration), encoding="utf-8")
    scenario = LOADGEN_SCENARIOS[plan.scenario]
    settings = lg.TestSettings()
    for path, kind in (("", 0), (str(conf), 2)):
        status = settings.FromConfig(path, plan.benchmark, scenario, kind)
        if status not in (None, 0):
            raise UsageError(
                f"LoadGen refuses the configuration (status {status})", where=path or "built-in mlperf.conf"
            )
    settings.scenario = getattr(lg.TestScenario, scenario)
    settings.mode = lg.TestMode.PerformanceOnly if plan.mode == "performance" else lg.TestMode.AccuracyOnly
    if plan.audit:
        lines = [f"*.*.{key} = {value}\n" for key, value in plan.audit.items()]
        (plan.folder / AUDIT_NAME).write_text("".join(lines), encoding="utf-8")
    settings.qsl_rng_seed = plan.seeds.qsl
    settings.sample_index_rng_seed = plan.seeds.sample_index
    settings.schedule_rng_seed = plan.seeds.schedule
    return settings


def expected_samples(plan: Plan, settings: lg.TestSettings) -> int:
    """How many samples LoadGen will ask for with these settings, as far as that is known before the test."""
    if plan.mode == "accuracy":
        return len(plan.sample_names)
    seconds, least = plan.rules.min_duration_s, plan.rules.min_queries
    if plan.scenario == "offline":
        return max(least, int(LOADGEN_SLACK * seconds * settings.offline_expected_qps))
    if plan.scenario == "server":
        return max(least, int(seconds * settings.server_target_qps))
    return least * plan.rules.samples_per_query
