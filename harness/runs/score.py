"""The figure that a round scores: the headline of a test wherever it is shown.

In SingleStream and MultiStream, rounds since v2.0 score LoadGen's early-stopping estimate: a bound on the percentile
that holds with 99 % confidence however few queries there were, and that is never below the percentile itself. Which
figure of the detail log it is says the round's ``result``, which is in the record of the test.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.loadgen.log import DetailLog
from harness.runs.figures import ScenarioFigures
from harness.runs.records import TestRecord
from harness.scenarios import Scenario


@dataclass(frozen=True)
class Score:
    """A scored figure.

    Attributes:
        value: None where the test was too short for the round's measure.
        unit: "ms", "samples/s" or "queries/s".
        measure: what it is, in words: "early-stopping estimate of p90", "p90", "samples per second", ….
    """

    value: float | None
    unit: str
    measure: str

    @property
    def text(self) -> str:
        """The figure with its unit."""
        if self.value is None:
            return f"no score: too few queries for the {self.measure}"
        return f"{self.value:.3f} {self.unit}"


def percentile_name(figures: ScenarioFigures) -> str:
    """The round's percentile as "p90"; the median where the record has none."""
    return f"p{(figures.percentile or 0.5) * 100:g}"


def score_of_log(log: DetailLog, test: TestRecord) -> Score | None:
    """The scored figure of a performance test; None for a record that does not say which it is."""
    result = test.rules.result
    if result is None:
        return None
    value = log.values.get(result.key) or None
    if result.unit != "ns":
        queries = test.scenario == "server"
        unit, measure = ("queries/s", "scheduled rate") if queries else ("samples/s", "rate")
        return Score(None if value is None else float(value), unit, measure)
    percentile = f"p{(test.rules.latency_percentile or 0.5) * 100:g}"
    estimated = result.key.startswith("early_stopping")
    measure = f"early-stopping estimate of {percentile}" if estimated else percentile
    return Score(None if value is None else log.milliseconds(result.key), "ms", measure)


def score_of(scenario: Scenario, figures: ScenarioFigures) -> Score:
    """The scored figure of a scenario; of a summary that was written before there were scores, the nearest."""
    if figures.score_unit is not None:
        return Score(figures.score, figures.score_unit, figures.score_measure or "")
    if scenario == "offline":
        return Score(figures.samples_per_second, "samples/s", "rate")
    if scenario == "server":
        return Score(figures.scheduled_samples_per_second, "queries/s", "scheduled rate")
    name = percentile_name(figures)
    if figures.early_stopping_latency_ms is not None:
        return Score(figures.early_stopping_latency_ms, "ms", f"early-stopping estimate of {name}")
    return Score(figures.latency_ms.get(name), "ms", name)
