"""What the compliance tests of a closed result must show: performance like that of the run, answers that agree."""

from __future__ import annotations

import filecmp
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from harness.errors import LogError
from harness.loadgen.plan import LOADGEN_SCENARIOS
from harness.rounds import ComplianceTest, Result, ScenarioRules
from harness.runs.layout import VERIFY_ACCURACY, VERIFY_PERFORMANCE
from harness.submission.rules.copies import LATENCIES
from harness.submission.rules.figures import is_as_printed
from harness.submission.rules.finding import Problem, Rule
from harness.submission.rules.loadgen_test import ACCURACY, DETAIL, LoadGenTest, shown
from harness.submission.tree import SubmissionTree, folder_rules
from harness.submission.verification import accuracy_verdict, bounds_in_words
from harness.submission.whole_log import whole_accuracy_log

_PASSES = re.compile(r"^TEST PASS\s*$", re.MULTILINE)
_FAILS = re.compile(r"TEST FAIL|Error|Traceback")
_SCORE = re.compile(r"^(.+) score = ([0-9.eE+-]+)\s*$", re.MULTILINE)
_COUNTED = re.compile(r"^(num_\w+) = (\d+)\s*$", re.MULTILINE)
_OF_THE_SYSTEM: dict[str, Literal["FAIL", "WARN"]] = {"sut_name": "FAIL", "loadgen_version": "WARN"}
_VERIFY = "run `ssd-harness compliance` again; its files say what was measured: put them there as they are"


@dataclass(frozen=True)
class Compliance:
    """One compliance test of a place, or its accuracy test, beside the run's own performance test.

    Attributes:
        name: of the test.
        tests: the place's tests whose logs can be read: "performance" (the run's own), and the compliance tests or
            "accuracy".
    """

    name: str
    tests: Mapping[str, LoadGenTest]

    @property
    def test(self) -> LoadGenTest:
        """The LoadGen test of the name."""
        return self.tests[self.name]

    @property
    def rules(self) -> ComplianceTest:
        """The round's rules for this compliance test."""
        return self.test.benchmark.compliance[self.name]

    @property
    def folder(self) -> str:
        """The compliance test's folder, from the tree's root."""
        return self.test.tree.folder("compliance", self.test.place, test=self.name)

    def text(self, name: str) -> str:
        """A file of its folder."""
        return (self.test.tree.root / self.folder / name).read_text(encoding="utf-8", errors="replace")


def performance(compliance: Compliance) -> Iterator[Problem]:
    """Within the round's tolerance of what it is compared with."""
    reference = compliance.tests.get(compliance.rules.compared_with or "")
    if reference is None or reference.scenario != compliance.test.scenario:
        return  # compared with nothing, or that is missing and has its own finding, or of a result that is inferred
    result = compared_result(compliance.test.rules)
    was, now = reference.detail.values.get(result.key), compliance.test.detail.values.get(result.key)
    if not isinstance(was, (int, float)) or not isinstance(now, (int, float)) or was <= 0:
        found = f"{result.key} {shown(now)}, and {shown(was)} in {compliance.rules.compared_with}"
        yield Problem(compliance.test.detail_path, found, "two figures to compare", "run the test again")
        return
    low, high = compliance.rules.bounds(compliance.test.scenario, was, result)
    if not low < now < high:
        bounds = bounds_in_words(low, high, lambda bound: f"{bound:.10g}")
        required = f"{bounds}, as {compliance.rules.compared_with} has {was:.10g}"
        remedy = "run it again on a quiet machine; if it stays so, the result is not sound"
        few = compliance.test.of_memory_only and _queries(compliance.test) < compliance.test.rules.min_queries
        if few:
            required += f"; of {_queries(compliance.test)} queries, so perhaps noise"
        yield Problem(
            compliance.test.detail_path, f"{result.key} {now:.10g}", required, remedy, "WARN" if few else "FAIL"
        )


def same_scenario(compliance: Compliance) -> Iterator[Problem]:
    """The scenario that the run's own performance test has."""
    run = compliance.tests.get("performance")
    own = compliance.test.scenario == compliance.test.place.scenario  # of an inferred result
    if run is not None and run.scenario != compliance.test.scenario and not own:
        found, wanted = (LOADGEN_SCENARIOS[test.scenario] for test in (compliance.test, run))
        yield Problem(
            compliance.test.detail_path, f"effective_scenario {found}", wanted, f"run {compliance.name} in {wanted}"
        )


def compared_result(rules: ScenarioRules) -> Result:
    """The figure of a scenario that compliance tests compare."""
    return rules.compared or rules.result


def verified_performance(compliance: Compliance) -> Iterator[Problem]:
    """verify_performance.txt says that it passed, with the figures of the logs."""
    path = f"{compliance.folder}/{VERIFY_PERFORMANCE}"
    text = compliance.text(VERIFY_PERFORMANCE)
    yield from _passes(path, text)
    of = compliance.rules.verified_by or compliance.name
    rules = compliance.test.benchmark.compliance[of]
    pair = (compliance.tests.get(rules.compared_with or ""), compliance.tests.get(of))
    tests = [test for test in pair if test is not None]
    key = compared_result(compliance.test.rules).key
    figures = [test.detail.values.get(key) for test in tests]
    scores = [(name, score) for name, score in _SCORE.findall(text) if _is_float(score)]
    if len(tests) < 2 or tests[0].scenario != tests[1].scenario:
        return  # what is missing has its own finding; an inferred result has no log of its own
    if len(scores) != 2 and _PASSES.search(text):
        yield Problem(path, f"{len(scores)} scores", "two: of the reference and of the test", _VERIFY)
    for (name, score), figure in zip(scores, figures, strict=False):
        if not isinstance(figure, (int, float)) or not is_as_printed(score, figure):
            yield Problem(path, f"{name} score {score}", f"{shown(figure)} as {key} in its log", _VERIFY)


def verified_accuracy(compliance: Compliance) -> Iterator[Problem]:
    """verify_accuracy.txt says that the answers agree; where they do not, the round's other files are there."""
    path = f"{compliance.folder}/{VERIFY_ACCURACY}"
    text = compliance.text(VERIFY_ACCURACY)
    counted = {name: int(count) for name, count in _COUNTED.findall(text)}
    needed = compliance.test.benchmark.dataset_images  # MultiStream fills its last query up, so there may be more
    entries = counted.get("num_acc_log_entries", needed)
    if entries < needed:
        required = f"at least {needed}, the images of the dataset"
        total = compliance.test.detail.values.get("qsl_reported_total_count")
        short = isinstance(total, int) and entries >= total  # all that the run had
        yield Problem(path, f"num_acc_log_entries {entries}", required, _VERIFY, short=short)
    if counted.get("num_perf_log_entries", 1) == 0:
        yield Problem(path, "num_perf_log_entries 0", "answers that were compared", _VERIFY)
    differing = counted.get("num_perf_log_data_mismatch", 0) + counted.get("num_missing_qsl_idxs", 0)
    if _PASSES.search(text) and not _FAILS.search(text):
        if not counted:
            yield Problem(path, "TEST PASS without counts of answers", "lines num_… = N", _VERIFY)
        if differing:
            yield Problem(path, f"TEST PASS with {differing} answers that differ", "none that differ", _VERIFY)
        return
    there = set(
        compliance.test.tree.below(
            compliance.test.tree.folder("compliance_accuracy", compliance.test.place, test=compliance.name)
        )
    )
    folder = compliance.test.tree.folder("compliance_accuracy", compliance.test.place, test=compliance.name)
    for name in folder_rules(compliance.test.round, "compliance_accuracy").files_when_accuracy_differs:
        if f"{folder}/{name}" not in there:
            remedy = "find why answers change from run to run; or show that the accuracy is the same"
            yield Problem(path, "no line TEST PASS", f"it, or {folder}/{name}", remedy)


def answers(compliance: Compliance) -> Iterator[Problem]:
    """The answers that the test logged are those of the accuracy run, where both logs are at hand, whole."""
    tree, place = compliance.test.tree, compliance.test.place
    path = f"{tree.folder('compliance_accuracy', place, test=compliance.name)}/{ACCURACY}"
    paths = (f"{tree.folder('accuracy', place)}/{ACCURACY}", path)
    logs = [whole_accuracy_log(tree, path) for path in paths]
    if None in logs:
        return  # the rules of the logs say that they could not be seen
    try:
        verdict = accuracy_verdict(*(log for log in logs if log is not None))
    except LogError:
        return  # damaged, likewise
    folder = PurePosixPath(path).parent
    excused = folder_rules(compliance.test.round, "compliance_accuracy").files_when_accuracy_differs
    if not all(f"{folder}/{name}" in tree.there for name in excused):
        for reason in verdict.reasons:
            yield Problem(path, reason, "the accuracy run's answers", _VERIFY)


def own_answers(compliance: Compliance) -> Iterator[Problem]:
    """The answers are not those that the test logged in another scenario, unless its result is inferred from it."""
    tree, place = compliance.test.tree, compliance.test.place
    folder = tree.folder("compliance_accuracy", place, test=compliance.name)
    for other in tree.places:
        same = (other.owner, other.system, other.benchmark) == (place.owner, place.system, place.benchmark)
        if not same or other.scenario <= place.scenario:
            continue  # each pair once
        theirs = tree.folder("compliance_accuracy", other, test=compliance.name)
        log = f"{tree.folder('compliance_performance', other, test=compliance.name)}/{DETAIL}"
        if _are_copies(tree, f"{folder}/{ACCURACY}", f"{theirs}/{ACCURACY}") and not _are_copies(
            tree, compliance.test.detail_path, log
        ):
            remedy = "put the answers there that the test logged"
            yield Problem(f"{folder}/{ACCURACY}", f"the answers of {theirs}", "answers of its own", remedy)


def own_run(compliance: Compliance) -> Iterator[Problem]:
    """The logs are of a run of its own."""
    mine = compliance.test.detail.values
    for name, other in compliance.tests.items():
        if name == compliance.name or (name != "performance" and name < compliance.name):
            continue  # each pair once
        theirs = other.detail.values
        if _latencies(mine) == _latencies(theirs):
            remedy = f"run {compliance.name}; its logs are not those of another test"
            yield Problem(compliance.test.detail_path, f"the logs of {name}", "a run of its own", remedy)


def same_system(compliance: Compliance) -> Iterator[Problem]:
    """The SUT's name is that of the run's own performance test, and LoadGen is the same."""
    run = compliance.tests.get("performance")
    if run is None:
        return
    mine, theirs = compliance.test.detail.values, run.detail.values
    for key, level in _OF_THE_SYSTEM.items():
        if str(mine.get(key)).rstrip("\0") != str(theirs.get(key)).rstrip("\0"):
            required = f"{shown(theirs.get(key))} as in the performance test"
            remedy = "run the scenario's tests with one system"
            yield Problem(compliance.test.detail_path, f"{key} {shown(mine.get(key))}", required, remedy, level)


def rules_for(compliance: Compliance) -> dict[str, Rule[Compliance]]:
    """Those that apply to a test; a file that is missing has its finding in the layout's rules."""
    there = compliance.test.tree.there
    rules: dict[str, Rule[Compliance]] = {
        "a run of its own": own_run,
        "the run's scenario": same_scenario,
        "the run's system": same_system,
    }
    if compliance.rules.compared_with is not None:
        rules["performance of the compliance test"] = performance
    if f"{compliance.folder}/{VERIFY_PERFORMANCE}" in there:
        rules[VERIFY_PERFORMANCE] = verified_performance
    if compliance.rules.accuracy:
        if f"{compliance.folder}/{VERIFY_ACCURACY}" in there:
            rules[VERIFY_ACCURACY] = verified_accuracy
        rules["answers of the accuracy run"] = answers
        rules["answers of its own"] = own_answers
    return rules


RULES_OF_ACCURACY: dict[str, Rule[Compliance]] = {"the run's system": same_system}
"""For the accuracy test."""


def _passes(path: str, text: str) -> Iterator[Problem]:
    if not _PASSES.search(text):
        yield Problem(path, "no line TEST PASS", "it", _VERIFY)
    elif _FAILS.search(text):
        yield Problem(path, "a failure beside TEST PASS", "TEST PASS alone", _VERIFY)


def _are_copies(tree: SubmissionTree, path: str, other: str) -> bool:
    """Whether two files of the tree are there and have the same bytes."""
    return {path, other} <= tree.there and filecmp.cmp(tree.root / path, tree.root / other, shallow=False)


def _queries(test: LoadGenTest) -> int:
    """How many queries a test sent; in Offline samples."""
    counts = [test.detail.values.get(f"generated_{what}") for what in ("query_count", "samples_per_query")]
    queries, size = (count if isinstance(count, int) else 0 for count in counts)
    return size if test.scenario == "offline" else queries


def _latencies(values: Mapping[str, object]) -> list[object]:
    return [values.get(key) for key in LATENCIES]


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
