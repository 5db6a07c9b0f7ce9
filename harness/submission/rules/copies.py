"""Logs that are another test's: what one place's files cannot show, and all tests of a tree beside each other do."""

from __future__ import annotations

import filecmp
from collections.abc import Iterator
from typing import Literal

from harness.submission.rules.finding import Problem, Rule
from harness.submission.rules.loadgen_test import LoadGenTest

LATENCIES = ("result_min_latency_ns", "result_mean_latency_ns", "result_max_latency_ns")
"""Three figures in nanoseconds, which two runs do not share."""


def other_places(tests: list[LoadGenTest]) -> Iterator[Problem]:
    """No test has the latencies of a test of another place.

    Over 2 000 published tests those that share the minimum, mean and maximum were the same file each time: of a result
    that is inferred, of one run that counts for two benchmarks, or of one machine that is described twice. The last is
    unusual; a log that shares them and is another file was edited.
    """
    first: dict[tuple[int, ...], LoadGenTest] = {}
    for test in tests:
        values = (test.detail.values.get(key) for key in LATENCIES)
        latencies = tuple(value for value in values if isinstance(value, int))
        if len(latencies) < len(LATENCIES):
            continue  # which has its finding in the rules of one log
        other = first.setdefault(latencies, test)
        if other.place == test.place:
            continue
        root = test.tree.root
        copied = filecmp.cmp(root / test.detail_path, root / other.detail_path, shallow=False)
        if copied and _may_share(test, other):
            continue
        found = f"{'a' if copied else 'an edited'} copy of a log of {other.place}"
        level: Literal["FAIL", "WARN"] = "WARN" if copied else "FAIL"
        yield Problem(test.detail_path, found, "a run of its own", "run the test here", level)


RULES: dict[str, Rule[list[LoadGenTest]]] = {"logs of no other place": other_places}


def _may_share(test: LoadGenTest, other: LoadGenTest) -> bool:
    """Whether the round lets one run stand in both places: inferred, or as two benchmarks of one model."""
    mine, theirs = test.place, other.place
    if (mine.owner, mine.system) != (theirs.owner, theirs.system):
        return False
    if mine.benchmark == theirs.benchmark:
        return test.scenario == other.scenario and (test.inferred or other.inferred)
    return test.benchmark.loadgen_model is not None and test.benchmark.loadgen_model == other.benchmark.loadgen_model
