"""What stands between a run and a submission: known before it begins, and seen afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness.rounds import BenchmarkRules, ScenarioRules
from harness.runs.figures import AccuracyFigures, RecordedVerdict, ScenarioFigures
from harness.runs.records import Manifest, StartedManifest, SubmissionRecord, TestRecord, TestRules
from harness.scenarios import Scenario


def not_submittable(
    manifest: StartedManifest,
    rules: BenchmarkRules,
    scenarios: Mapping[Scenario, ScenarioFigures],
    accuracies: Mapping[Scenario, AccuracyFigures],
    compliance: Mapping[Scenario, Mapping[str, RecordedVerdict]],
) -> list[str]:
    """Every reason, after the tests.

    Args:
        scenarios: scenario → its figures in the summary.
        accuracies: scenario → its accuracy.
        compliance: scenario → compliance test → its verdict.
    """
    reasons = unlike_the_round(manifest, rules)
    if manifest.peak:
        reasons.append("it is a search for the peak, in short tests")
    if not scenarios and not manifest.peak:
        reasons.append("performance was not measured")
    for test in manifest.tests:
        reasons += [f"{test.scenario} {test.mode}: {session.session} was retired" for session in test.retired]
        if test.mode == "performance" and test.number == 1:
            reasons += _performance(test, rules, scenarios[test.scenario])
    if not accuracies:
        reasons.append("accuracy was not measured")
    gate = rules.accuracy.gate_percent
    open_division = manifest.submission is not None and manifest.submission.division == "open"
    for mean in {accuracy.mAP * 100: None for accuracy in accuracies.values()}:  # once where they are equal
        if mean < 0:
            reasons.append("mAP is not defined: the images have no objects to find")
        elif mean < gate and not open_division:
            reasons.append(f"mAP {mean:.3f} %; a closed submission needs {gate:g} %")
    if manifest.submission is not None:
        reasons += missing_scenarios(manifest.submission, rules, scenarios)
        if manifest.submission.division == "closed":
            for scenario in scenarios:
                reasons += _compliance(scenario, rules, compliance.get(scenario, {}))
    return reasons


def _performance(test: TestRecord, rules: BenchmarkRules, figures: ScenarioFigures) -> list[str]:
    name, count = test.scenario, test.performance_sample_count
    reasons = [] if figures.valid else [f"{name}: INVALID"]
    reasons += easier(name, test.rules, rules.scenarios[name])
    if count < rules.performance_sample_count:
        reasons.append(f"{name}: {count} samples in memory; the round asks for {rules.performance_sample_count}")
    return reasons


def _compliance(scenario: Scenario, rules: BenchmarkRules, verdicts: Mapping[str, RecordedVerdict]) -> list[str]:
    tests = rules.compliance_of(scenario)
    missing = [name for name in tests if name not in verdicts]
    failed = [name for name in tests if name in verdicts and not verdicts[name].passed]
    reasons = [f"{scenario}: {', '.join(missing)} not run; see ssd-harness compliance"] if missing else []
    return reasons + ([f"{scenario}: {', '.join(failed)} failed"] if failed else [])


def unlike_the_round(manifest: Manifest, rules: BenchmarkRules) -> list[str]:
    """What is not as the round wants it whatever the tests give: device, dataset, model.

    Args:
        manifest: of a run whose inputs were found.
    """
    model, dataset, backend = manifest.model, manifest.dataset, manifest.backend
    assert model is not None and dataset is not None and backend is not None
    reasons = []
    if backend.simulated:
        reasons.append("the device is simulated")
    if dataset.synthetic:
        reasons.append("the dataset is synthetic")
    if dataset.images != rules.dataset_images:
        reasons.append(f"{dataset.images} images; the round has {rules.dataset_images}")
    if model.default and not backend.simulated:
        reasons.append("the model is the default one, not trained on COCO")
    if model.closed_division and manifest.division != "open":
        reasons.append(model.closed_division)
    if manifest.traced:
        reasons.append("the performance tests were traced")
    if manifest.profiled:
        reasons.append("the performance tests were profiled")
    if manifest.decoder == "none":
        reasons.append("nothing is decoded (model.decoder is none)")
    return reasons


def easier(name: Scenario, had: TestRules | ScenarioRules, needed: ScenarioRules) -> list[str]:
    """In what a test asks for less than the round.

    Args:
        name: the scenario.
        had: the rules that it has.
    """
    reasons = []
    if had.min_duration_s < needed.min_duration_s:
        reasons.append(f"{name}: at least {had.min_duration_s:g} s; the round asks for {needed.min_duration_s:g} s")
    if had.min_queries < needed.min_queries:
        what = "samples" if name == "offline" else "queries"
        reasons.append(f"{name}: at least {had.min_queries} {what}; the round asks for {needed.min_queries}")
    if needed.latency_ms is not None and had.latency_ms is not None and had.latency_ms > needed.latency_ms:
        reasons.append(f"{name}: a bound of {had.latency_ms:g} ms; the round asks for {needed.latency_ms:g} ms")
    if needed.latency_percentile is not None and had.latency_percentile != needed.latency_percentile:
        found = "none" if had.latency_percentile is None else f"{had.latency_percentile * 100:g}"
        reasons.append(f"{name}: percentile {found}; the round asks for {needed.latency_percentile * 100:g}")
    return reasons


def missing_scenarios(submission: SubmissionRecord, rules: BenchmarkRules, scenarios: Iterable[Scenario]) -> list[str]:
    """Scenarios that the division asks of such a system, and that are neither there nor inferred from one that is."""
    division, system_type = submission.division, str(submission.system["system_type"])
    return [
        f"{scenario} was not run; {division} asks for it on {system_type}"
        for scenario in rules.required_of(division, system_type)
        if not {scenario, *rules.scenario(scenario).inferred_from} & set(scenarios)
    ]
