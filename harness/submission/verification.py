"""What a compliance test must show, from logs alone: that its settings were used, its performance, its answers.

The official scripts read mlperf_log_summary.txt, whose wording changed with LoadGen 5.0; here everything is read from
the detail log. What is written has their words, so that whoever knows theirs can read it: ``TEST PASS`` decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.accuracy.log import read_records
from harness.loadgen.log import DetailLog
from harness.rounds import ComplianceTest, Result, ScenarioRules, Seeds
from harness.scenarios import Scenario

SHOWN = 3  # images that a message names
PASS, FAIL = "TEST PASS", "TEST FAIL"


@dataclass(frozen=True)
class ComplianceVerdict:
    """The verdict on one part of a compliance test.

    Attributes:
        lines: what was found, for a verify_….txt, without the last line.
        found: the same for a person, in a few words.
        reasons: why it failed, each in words a person can act on; empty when it passed.
    """

    lines: tuple[str, ...]
    found: str
    reasons: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether there is no reason against it."""
        return not self.reasons

    def text(self) -> str:
        """The whole text of the verify_….txt."""
        last = PASS if self.passed else f"{FAIL}: {'; '.join(self.reasons)}"
        return "".join(f"{line}\n" for line in (*self.lines, last))


def used_settings(log: DetailLog, test: ComplianceTest, seeds: Seeds) -> list[str]:
    """What LoadGen had in effect and the test does not ask for.

    Args:
        seeds: those the test must have.
    """
    wanted = {f"effective_{key}": value for key, value in test.audit.items() if key != "mode"}
    wanted |= {f"effective_{name}_rng_seed": value for name, value in seeds.model_dump().items()}
    return [
        f"{key} was {log.values.get(key)}, the test asks for {value}"
        for key, value in wanted.items()
        if log.values.get(key) != value
    ] + [
        f"LoadGen logged an error: {error}"
        for error in log.errors
        if not any(expected in error for expected in test.expected_errors)
    ]


def performance_verdict(
    test: ComplianceTest,
    scenario: Scenario,
    rules: ScenarioRules,
    reference: DetailLog,
    log: DetailLog,
    names: tuple[str, str] = ("reference", "test"),
) -> ComplianceVerdict:
    """Is the performance of the two tests the same, within what the round allows?

    Args:
        reference: of ``test.compared_with``.
        log: of the test.
        names: of the two, as the verdict has them.
    """
    result = rules.compared or rules.result
    scores = [each.values.get(result.key) for each in (reference, log)]
    lines = [f"{result.key} of {scenario}"]
    lines += [f"{name} score = {score}" for name, score in zip(names, scores, strict=True)]
    figures = [float(score) for score in scores if isinstance(score, (int, float)) and score > 0]
    if len(figures) < 2:
        return ComplianceVerdict(tuple(lines), "", (f"there is no {result.key} to compare: the test was not finished",))
    reasons = []
    if test.compared_with == "performance":  # the small TEST04 are never VALID, and need not be
        reasons += [
            f"the {name} is INVALID" for name, each in zip(names, (reference, log), strict=True) if not each.valid
        ]
    low, high = test.bounds(scenario, figures[0], result)
    allowed = f"allowed {bounds_in_words(low, high, lambda bound: _shown(bound, result))}"
    lines.append(allowed)
    was, now = (_shown(figure, result) for figure in figures)
    if not low < figures[1] < high:
        change = 100 * (figures[1] / figures[0] - 1)
        reasons.append(f"{now} is {change:+.2f} % from the {names[0]}'s {was}; {allowed}")
    return ComplianceVerdict(tuple(lines), f"{now}, {names[0]} {was}; {allowed}", tuple(reasons))


def bounds_in_words(low: float, high: float, shown: Callable[[float], str]) -> str:
    """``above 11.5 ms and below 14 ms``; a bound that excludes nothing is left out."""
    sides = [f"above {shown(low)}"] if low > 0 else []
    sides += [f"below {shown(high)}"] if high < float("inf") else []
    return " and ".join(sides)


def accuracy_verdict(reference: Path, log: Path) -> ComplianceVerdict:
    """Are the answers of a performance run those of the accuracy run, byte for byte?

    Args:
        reference: the accuracy run's log, untruncated.
        log: the test's.

    Raises:
        LogError: one of them cannot be read or is damaged.
    """
    answers: dict[int, list[bytes]] = {}
    entries = 0
    for record in read_records(log):
        answers.setdefault(record.qsl_idx, []).append(record.data)
        entries += 1
    matched, differing, seen, reference_entries = 0, [], set(), 0
    for record in read_records(reference):
        reference_entries += 1
        if record.qsl_idx in seen:
            continue
        seen.add(record.qsl_idx)
        for data in answers.get(record.qsl_idx, ()):
            matched += 1
            if data != record.data:
                differing.append(record.qsl_idx)
    missing = sorted(set(answers) - seen)
    reasons = []
    if not entries:
        reasons.append("no answer was logged, so nothing could be compared; run the test again, longer")
    if differing:
        reasons.append(
            f"{len(differing)} of {entries} answers are not those of the accuracy run (images {_some(differing)}): "
            "the device does not give the same outputs each time"
        )
    if missing:
        reasons.append(f"{len(missing)} images are not in the accuracy run's log ({_some(missing)})")
    lines = (
        f"num_acc_log_entries = {reference_entries}",
        f"num_perf_log_entries = {entries}",
        f"num_perf_log_qsl_idx_match = {matched}",
        f"num_perf_log_data_mismatch = {len(differing)}",
        f"num_missing_qsl_idxs = {len(missing)}",
    )
    found = f"{matched - len(differing)} of {entries} answers are those of the accuracy run"
    return ComplianceVerdict(lines, found, tuple(reasons))


def _shown(value: float, result: Result) -> str:
    return f"{value / 1e6:.6g} ms" if result.unit == "ns" else f"{value:.6g} {result.unit}"


def _some(numbers: Iterable[int]) -> str:
    unique = sorted(set(numbers))
    return ", ".join(map(str, unique[:SHOWN])) + (", …" if len(unique) > SHOWN else "")
