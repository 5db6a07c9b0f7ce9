"""What stands between a run and a submission: known before it begins, and seen afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from harness.rounds import BenchmarkRules, ScenarioRules
from harness.settings import Scenario

COMPLIANCE_NAME = "compliance.json"
"""The verdicts of the compliance tests, in the run directory."""


def not_submittable(
    manifest: dict[str, Any],
    rules: BenchmarkRules,
    scenarios: Mapping[Scenario, Any],
    accuracies: dict[str, Any],
    compliance: dict[str, Any],
) -> list[str]:
    """Every reason, after the tests.

    Args:
        scenarios: scenario → its figures in the summary.
        accuracies: scenario → its accuracy.
        compliance: scenario → compliance test → its verdict.
    """
    reasons = unlike_the_round(manifest, rules)
    if "peak" in manifest:
        reasons.append("it is a search for the peak, in short tests")
    if not scenarios and "peak" not in manifest:
        reasons.append("performance was not measured")
    for test in manifest["tests"]:
        name = test["scenario"]
        reasons += [f"{name} {test['mode']}: {it['session']} was retired" for it in test.get("retired", [])]
        if test["mode"] != "performance" or test.get("number", 1) > 1:
            continue
        if not scenarios[name]["valid"]:
            reasons.append(f"{name}: INVALID")
        reasons += easier(name, test["rules"], rules.scenarios[name])
        if test["performance_sample_count"] < rules.performance_sample_count:
            count = test["performance_sample_count"]
            reasons.append(f"{name}: {count} samples in memory; the round asks for {rules.performance_sample_count}")
    if not accuracies:
        reasons.append("accuracy was not measured")
    gate = rules.accuracy.gate_percent
    open_division = manifest.get("submission", {}).get("division") == "open"
    for mean in {accuracy["mAP"] * 100: None for accuracy in accuracies.values()}:  # once where they are equal
        if mean < gate and not open_division:
            reasons.append(f"mAP {mean:.3f} %; a closed submission needs {gate:g} %")
    if "submission" in manifest:
        reasons += missing_scenarios(manifest["submission"], rules, scenarios)
        if manifest["submission"]["division"] == "closed":
            for scenario in scenarios:
                reasons += _compliance(scenario, rules, compliance.get(scenario, {}))
    return reasons


def _compliance(scenario: Scenario, rules: BenchmarkRules, verdicts: dict[str, Any]) -> list[str]:
    tests = rules.compliance_of(scenario)
    missing = [name for name in tests if name not in verdicts]
    failed = [name for name in tests if name in verdicts and not verdicts[name]["passed"]]
    reasons = [f"{scenario}: {', '.join(missing)} not run; see ssd-harness compliance"] if missing else []
    return reasons + ([f"{scenario}: {', '.join(failed)} failed"] if failed else [])


def unlike_the_round(manifest: dict[str, Any], rules: BenchmarkRules) -> list[str]:
    """What is not as the round wants it whatever the tests give: device, dataset, model."""
    reasons = []
    if manifest["backend"]["simulated"]:
        reasons.append("the device is simulated")
    if manifest["dataset"]["synthetic"]:
        reasons.append("the dataset is synthetic")
    if manifest["dataset"]["images"] != rules.dataset_images:
        reasons.append(f"{manifest['dataset']['images']} images; the round has {rules.dataset_images}")
    if manifest["model"]["default"] and not manifest["backend"]["simulated"]:
        reasons.append("the model is the default one, not trained on COCO")
    if manifest["settings"].get("trace"):
        reasons.append("the performance tests were traced")
    if manifest["settings"]["model"]["decoder"] == "none":
        reasons.append("nothing is decoded (model.decoder is none)")
    return reasons


def easier(name: str, had: Mapping[str, Any], needed: ScenarioRules) -> list[str]:
    """In what a test asks for less than the round.

    Args:
        name: of the scenario.
        had: the rules it has, as in its record.
    """
    reasons = []
    if had["min_duration_s"] < needed.min_duration_s:
        reasons.append(f"{name}: at least {had['min_duration_s']:g} s; the round asks for {needed.min_duration_s:g} s")
    if had["min_queries"] < needed.min_queries:
        what = "samples" if name == "offline" else "queries"
        reasons.append(f"{name}: at least {had['min_queries']} {what}; the round asks for {needed.min_queries}")
    if needed.latency_ms is not None and had["latency_ms"] > needed.latency_ms:
        reasons.append(f"{name}: a bound of {had['latency_ms']:g} ms; the round asks for {needed.latency_ms:g} ms")
    if needed.latency_percentile is not None and had["latency_percentile"] != needed.latency_percentile:
        had_p, needed_p = had["latency_percentile"] * 100, needed.latency_percentile * 100
        reasons.append(f"{name}: percentile {had_p:g}; the round asks for {needed_p:g}")
    return reasons


def missing_scenarios(submission: dict[str, Any], rules: BenchmarkRules, scenarios: Iterable[Scenario]) -> list[str]:
    """Scenarios that the division asks of such a system, and that are neither there nor inferred from one that is."""
    division, system_type = submission["division"], submission["system"]["system_type"]
    return [
        f"{scenario} was not run; {division} asks for it on {system_type}"
        for scenario in rules.required_of(division, system_type)
        if not {scenario, *rules.scenario(scenario).inferred_from} & set(scenarios)
    ]
