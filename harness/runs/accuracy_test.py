"""Which accuracy test speaks for a scenario or a run: one rule for the summary, `accuracy RUN` and submissions."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from harness.errors import LogError
from harness.runs.documents import read_document
from harness.runs.figures import AccuracyFigures
from harness.runs.layout import RunLayout
from harness.runs.records import TestRecord
from harness.scenarios import Scenario


def accuracy_scenario(
    layout: RunLayout, tests: Sequence[TestRecord], scenario: Scenario | None = None
) -> Scenario | None:
    """The scenario whose accuracy test counts; None where the run has no accuracy test.

    A scenario's own test speaks for it. Where it has none, and for the whole run, it is the test that decides whether
    the run reaches a gate: the one with the lowest mAP, of equals the first. One that was not evaluated yet comes
    before all others: its mAP could be any.

    Args:
        tests: those of the manifest.
        scenario: none: for the whole run.
    """
    measured = [test.scenario for test in tests if test.mode == "accuracy"]
    if scenario in measured:
        return scenario
    return min(measured, key=lambda name: _mean(layout, name), default=None)


def _mean(layout: RunLayout, scenario: Scenario) -> float:
    try:
        return read_document(AccuracyFigures, layout.accuracy(scenario).accuracy).mAP
    except LogError:
        return -inf
