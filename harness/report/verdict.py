"""Why LoadGen calls a performance test INVALID, in words a person can act on."""

from __future__ import annotations

from harness.loadgen.log import DetailLog


def explain(log: DetailLog, scenario: str) -> list[str]:
    """The conditions that were not met, each with what would meet it; empty for a valid test."""
    if log.valid:
        return []
    values = log.values
    reasons = []
    if values.get("result_min_duration_met") is False:
        needed_s = values["requested_min_duration_ms"] / 1e3
        setting = {
            "offline": "raise tests.offline.expected_qps",
            "server": "raise tests.server.min_queries",
        }.get(scenario, f"lower tests.{scenario}.expected_latency_ms")
        reasons.append(f"it ended before its {needed_s:g} s; {setting}, or leave it out to have it calibrated")
    if values.get("result_min_queries_met") is False:
        reasons.append(
            f"fewer queries than the {values['requested_min_query_count']} asked for were answered"
            f" ({values.get('result_query_count', 'none')})"
        )
    if values.get("result_perf_constraints_met") is False:
        bound_ms = values.get("requested_server_target_latency_ns", 0) / 1e6
        reasons.append(f"latencies are over the bound of {bound_ms:g} ms; lower tests.server.target_qps")
    if values.get("early_stopping_met") is False:
        text = " ".join(str(values.get("early_stopping_result", "")).replace("*", " ").split())
        reasons.append(f"early stopping: {text} Raise tests.{scenario}.min_queries")
    reasons += [f"LoadGen logged an error: {error}" for error in log.errors]
    return reasons or ["LoadGen gives no reason; see mlperf_log_summary.txt"]
