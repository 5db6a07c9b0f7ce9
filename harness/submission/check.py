"""Every rule over a whole submission tree, and the results that it holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from harness.accuracy.ground_truth import GroundTruth
from harness.rounds import ComplianceTest, Round
from harness.submission.rules import accuracy as accuracy_rules
from harness.submission.rules import checksums, copies, description, figures, inferred, layout
from harness.submission.rules import compliance as compliance_rules
from harness.submission.rules import performance as performance_rules
from harness.submission.rules.accuracy import AccuracyTest, stated_accuracy
from harness.submission.rules.compliance import Compliance
from harness.submission.rules.description import Measurement, System
from harness.submission.rules.finding import Finding, FindingGroup, Rule, grouped, in_a_rehearsal, judge
from harness.submission.rules.loadgen_test import DETAIL, SUMMARY, LoadGenTest, read_test
from harness.submission.tree import Place, SubmissionTree, read_tree


@dataclass(frozen=True)
class PlaceResult:
    """What a scenario's logs show.

    Attributes:
        value: samples/s, or milliseconds of a query; None where the logs do not have it.
        inferred: worked out from another scenario's logs.
        accuracy_percent: as accuracy.txt states it; None where it does not.
    """

    place: Place
    value: float | None
    unit: Literal["samples/s", "ms"]
    inferred: bool
    accuracy_percent: float | None


@dataclass(frozen=True)
class Checked:
    """The outcome of a check."""

    findings: list[Finding] = field(default_factory=list)
    results: list[PlaceResult] = field(default_factory=list)

    @property
    def groups(self) -> list[FindingGroup]:
        """The findings, those that say the same of several places together."""
        return grouped(self.findings)

    @property
    def warnings(self) -> list[Finding]:
        """The findings that are unusual, and forbidden by no rule."""
        return [finding for finding in self.findings if finding.status == "WARN"]

    @property
    def failures(self) -> list[Finding]:
        """The findings that make the check fail."""
        return [finding for finding in self.findings if finding.status == "FAIL"]


def check_tree(
    root: Path,
    round_: Round,
    *,
    submitter: str | None = None,
    backup: Path | None = None,
    truth: GroundTruth | None = None,
    rehearsal: bool = False,
) -> Checked:
    """Checks everything that the round asks of a submission.

    Args:
        root: the folder that holds ``closed/`` and ``open/``.
        submitter: look at this one's part only.
        backup: folder of the whole accuracy logs, laid out as the tree.
        truth: the annotations, to evaluate these logs again.
        rehearsal: what is short by design is no failure: `in_a_rehearsal`.

    Raises:
        DataError: there is no tree there.
    """
    tree = read_tree(root, round_, submitter, backup=backup, truth=truth)
    checked = Checked()
    checked.findings.extend(judge(layout.RULES, tree, "."))
    for owner, name in tree.systems:
        system = System(tree, owner, name)
        checked.findings.extend(judge(description.SYSTEM_RULES, system, system.path))
    tests = [test for place in tree.places for test in _check_place(tree, place, checked)]
    checked.findings.extend(judge(copies.RULES, tests, "."))
    for place in tree.others:
        required = f"rules for {place.benchmark}"
        checked.findings.append(Finding("SKIP", "benchmark", str(place), "not looked at", required))
    if not tree.places:
        remedy = "put results of " + " or ".join(round_.benchmarks) + " there"
        checked.findings.append(Finding("FAIL", "results", ".", "none that the round has rules for", "results", remedy))
    if rehearsal:
        checked.findings[:] = map(in_a_rehearsal, checked.findings)
    return checked


def _check_place(tree: SubmissionTree, place: Place, checked: Checked) -> list[LoadGenTest]:
    """Adds what there is to say of a place, and its result; the performance tests that can be read."""
    findings = checked.findings
    performance = _logs(tree, place, tree.folder("performance", place), findings)
    if performance is not None:
        findings.extend(judge(_log_rules(performance), performance, performance.folder))
        if performance.inferred:
            findings.extend(judge(inferred.RULES, performance, str(place)))
    measurement = Measurement(tree, place, performance)
    findings.extend(judge(description.RULES, measurement, measurement.folder))
    if checksums.read_checksums(tree, place)[0]:
        findings.extend(judge(checksums.RULES, (tree, place), str(place)))
    folder = tree.folder("accuracy", place)
    accuracy = _logs(tree, place, folder, findings, mode="AccuracyOnly")
    if accuracy is not None:
        more = {} if tree.truth is None else accuracy_rules.EVALUATED_AGAIN
        findings.extend(judge({**accuracy_rules.RULES, **more}, AccuracyTest(accuracy, folder), folder))
    tests = {} if performance is None else {"performance": performance}
    if accuracy is not None and performance is not None:
        both = Compliance("accuracy", {**tests, "accuracy": accuracy})
        findings.extend(judge(compliance_rules.RULES_OF_ACCURACY, both, folder))
    if place.division == "closed":
        tests = _check_compliance(tree, place, tests, findings)
    checked.results.append(_result(tree, place, performance))
    return list(tests.values())


def _check_compliance(
    tree: SubmissionTree, place: Place, run: dict[str, LoadGenTest], findings: list[Finding]
) -> dict[str, LoadGenTest]:
    """The place's tests that can be read, with the compliance tests."""
    tests = dict(run)
    for name, rules in tree.rules(place).compliance_of(place.scenario).items():
        folder = tree.folder("compliance_performance", place, test=name)
        test = _logs(tree, place, folder, findings, compliance=rules)
        if test is not None:
            tests[name] = test
    for name in [name for name in tests if name != "performance"]:
        subject = Compliance(name, tests)
        findings.extend(judge(_log_rules(subject.test), subject.test, subject.test.folder))
        findings.extend(judge(compliance_rules.rules_for(subject), subject, subject.folder))
        if subject.rules.accuracy:
            folder = tree.folder("compliance_accuracy", place, test=name)
            answers = AccuracyTest(subject.test, folder, partial=True)
            findings.extend(judge(accuracy_rules.RULES_OF_ANSWERS, answers, folder))
    return tests


def _log_rules(test: LoadGenTest) -> dict[str, Rule[LoadGenTest]]:
    return {**performance_rules.rules_for(test), **figures.rules_for(test)}


def _logs(
    tree: SubmissionTree,
    place: Place,
    folder: str,
    findings: list[Finding],
    *,
    mode: Literal["PerformanceOnly", "AccuracyOnly"] = "PerformanceOnly",
    compliance: ComplianceTest | None = None,
) -> LoadGenTest | None:
    """A test's logs; None where they are missing, which the layout's rules say, or damaged, which is a finding here."""
    if any(f"{folder}/{name}" not in tree.there for name in (DETAIL, SUMMARY)):
        return None
    test = read_test(tree, place, folder, mode, compliance)
    if isinstance(test, Finding):
        findings.append(test)
        return None
    return test


def _result(tree: SubmissionTree, place: Place, test: LoadGenTest | None) -> PlaceResult:
    text = ""
    path = tree.root / tree.folder("accuracy", place) / accuracy_rules.TXT
    if path.is_file():
        text = path.read_text(encoding="utf-8", errors="replace")
    stated = stated_accuracy(text, tree.rules(place).accuracy)
    percent = stated[0] if len(stated) == 1 else None
    rules = tree.rules(place).scenario(place.scenario)
    inferred = test is not None and test.inferred
    source = rules.inferred_from[test.scenario] if inferred and test is not None else rules.result
    value = None if test is None else test.detail.values.get(source.key)
    if not isinstance(value, (int, float)):
        return PlaceResult(place, None, "ms" if rules.result.unit == "ns" else "samples/s", inferred, percent)
    if inferred and test is not None and value > 0:
        value = rules.inferred(value, source, test.rules.samples_per_query)
    if rules.result.unit == "ns":
        return PlaceResult(place, value / 1e6, "ms", inferred, percent)
    return PlaceResult(place, float(value), "samples/s", inferred, percent)
