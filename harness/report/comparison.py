"""A run against a baseline: what differs, then each figure with its change and whether it is more than noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from harness.accuracy.evaluate import percent_text
from harness.report.differences import differences
from harness.report.significance import (
    LEAST_RUNS,
    Noise,
    interval,
    noise_of_latencies,
    noise_of_rate,
    noise_of_runs,
)
from harness.report.tables import Cell, Table
from harness.runs.recorded_run import Run, Test
from harness.runs.score import percentile_name, score_of
from harness.scenarios import TITLES, Scenario, title_of
from harness.stages import PERCENTILES

SCORE = "score"
UNCHANGED = "no significant change"
FEW_SAMPLES = "not enough samples to tell"
FEW_RUNS = "not enough runs to tell"
LEAST_MAP_CHANGE = 0.0005
"""mAP has no noise of its own: on the same images every difference is one. Below 0.05 points none matters."""


@dataclass(frozen=True)
class Figure:
    """One figure of both runs.

    Attributes:
        scenario: or "accuracy".
        change: relative to the baseline, 0.03 for 3 % more; of the mAP: the difference.
        low, high: the confidence interval of ``change``; None where it is not known.
        verdict: "faster", "slower", "better", "worse", or one of the module's constants.
        basis: what the noise was estimated from.
    """

    scenario: str
    name: str
    baseline: float
    value: float
    change: float
    low: float | None
    high: float | None
    verdict: str
    basis: str


@dataclass(frozen=True)
class Comparison:
    """A run compared with a baseline.

    Attributes:
        threshold: the least relative change that counts.
        differences: group, key, baseline's value, run's value.
        not_compared: what only one of the two has.
    """

    baseline: Run
    run: Run
    threshold: float
    differences: tuple[tuple[str, str, Any, Any], ...]
    figures: tuple[Figure, ...]
    not_compared: tuple[str, ...]

    @property
    def worse(self) -> bool:
        """Whether a figure got worse by more than noise."""
        return any(figure.verdict in ("slower", "worse") for figure in self.figures)

    @property
    def changed(self) -> list[Figure]:
        """The figures that changed by more than noise."""
        return [figure for figure in self.figures if figure.verdict in ("faster", "slower", "better", "worse")]

    @property
    def verdict(self) -> str:
        """The whole in one sentence."""
        if self.changed:
            words = (f"{_title(figure)} is {figure.verdict} ({_percent(figure.change)})" for figure in self.changed)
            return "; ".join(words)
        unknown = [figure for figure in self.figures if figure.verdict in (FEW_SAMPLES, FEW_RUNS)]
        if self.figures and len(unknown) == len(self.figures):
            return unknown[0].verdict
        return UNCHANGED if self.figures else "the two runs have no figure in common"

    def tables(self) -> list[Table]:
        """Differences, figures and the verdict."""
        names = f"{self.run.name} against {self.baseline.name}"
        rows: list[tuple[Cell, ...]] = [
            (group, key, _shown(before), _shown(after)) for group, key, before, after in self.differences
        ]
        columns = ("", "key", self.baseline.name, self.run.name)
        nothing = "" if rows else "Nothing differs in configuration, system, model and versions."
        figures: list[tuple[Cell, ...]] = [
            (
                title_of(figure.scenario),
                figure.name,
                *_values(figure),
                _percent(figure.change),
                _range(figure),
                figure.verdict,
            )
            for figure in self.figures
        ]
        titles = ("", "figure", self.baseline.name, self.run.name, "change", "95 % interval", "")
        note = f"{names}: {self.verdict}. Changes within ±{100 * self.threshold:g} % do not count."
        note += "".join(f" {sentence}." for run in (self.baseline, self.run) for sentence in _disturbances(run))
        if self.not_compared:
            note += f" Not compared: {', '.join(self.not_compared)}."
        return [Table(f"What differs: {names}", columns, rows, nothing), Table("Figures", titles, figures, note)]

    def as_json(self) -> dict[str, Any]:
        """The comparison as JSON for programs; changes are fractions."""
        keys = ("group", "key", "baseline", "run")
        return {
            "baseline": str(self.baseline.folder),
            "run": str(self.run.folder),
            "threshold": self.threshold,
            "verdict": self.verdict,
            "differences": [dict(zip(keys, difference, strict=True)) for difference in self.differences],
            "figures": [asdict(figure) for figure in self.figures],
            "not_compared": list(self.not_compared),
        }


def _disturbances(run: Run) -> list[str]:
    return [
        f"{run.name}: {TITLES[scenario]} was disturbed: {reason}"
        for scenario, figures in run.summary.scenarios.items()
        for reason in figures.disturbed_by
    ]


def compare(baseline: Run, run: Run, threshold: float = 0.01) -> Comparison:
    """Compares every scenario that both have, and the mAP.

    Args:
        threshold: a change counts when its whole interval lies beyond it, relative.

    Raises:
        LogError: a file of a run is missing or damaged.
    """
    measured: list[_Measured] = []
    not_compared = []
    ours, theirs = run.summary.scenarios, baseline.summary.scenarios
    for scenario in dict.fromkeys([*theirs, *ours]):
        if scenario in ours and scenario in theirs:
            measured += _measured(scenario, baseline.performance[scenario], run.performance[scenario])
        else:
            not_compared.append(f"{TITLES[scenario]} (in one run only)")
    figures = [_judge(figure, len(measured), threshold) for figure in measured]
    before, after = baseline.summary.accuracy, run.summary.accuracy
    if before is not None and after is not None:
        if before.images == after.images and baseline.manifest.dataset.sha256 == run.manifest.dataset.sha256:
            figures.append(_accuracy(before.mAP, after.mAP))
        else:
            not_compared.append("mAP (of other images)")
    found = differences(baseline.manifest, run.manifest)
    return Comparison(baseline, run, threshold, tuple(found), tuple(figures), tuple(not_compared))


@dataclass(frozen=True)
class _Measured:
    """A figure of both runs with its noise, None where that is not known."""

    scenario: Scenario
    name: str
    before: float
    after: float
    noise_before: Noise | None
    noise_after: Noise | None


def _measured(scenario: Scenario, baseline: list[Test], run: list[Test]) -> list[_Measured]:
    (before, noise_before), (after, noise_after) = _noise(baseline), _noise(run)
    return [
        _Measured(scenario, name, before[name], after[name], noise_before.get(name), noise_after.get(name))
        for name in before
        if name in after
    ]


def _noise(tests: list[Test]) -> tuple[dict[str, float], dict[str, Noise]]:
    """The figures of a scenario, means over its repetitions, and their noise as far as it is known."""
    per_run = [_figures(test) for test in tests]
    figures = {name: float(np.exp(np.mean([np.log(of_run[name]) for of_run in per_run]))) for name in _common(per_run)}
    if len(tests) >= LEAST_RUNS:
        of_runs = {name: noise_of_runs([of_run[name] for of_run in per_run]) for name in figures}
        return figures, {name: noise for name, noise in of_runs.items() if noise is not None}
    test = tests[0]
    if test.scenario == "offline":
        rate = noise_of_rate(np.sort(test.samples["completed_ns"].to_numpy()) / 1e9, len(test.record.sessions))
        return per_run[0], {} if rate is None else {"samples_per_second": rate}
    latencies = test.queries.sort_values("issued_ns", kind="stable")["latency_ms"].to_numpy()
    noises = noise_of_latencies(latencies, PERCENTILES)
    percentile = noises.get(percentile_name(test.figures))
    if percentile is not None:  # the score is that percentile, or an estimate of it
        noises[SCORE] = percentile
    return per_run[0], noises


def _common(figures: Sequence[Mapping[str, float]]) -> list[str]:
    """The names that every repetition has: one may be too short for a score."""
    return [name for name in figures[0] if all(name in of_run for of_run in figures)]


def _figures(test: Test) -> dict[str, float]:
    """LoadGen's own figures of one test."""
    figures = test.figures
    if test.scenario == "offline":
        return {"samples_per_second": float(figures.samples_per_second or 0.0)}
    score = score_of(test.scenario, figures)
    scored = {} if score.value is None or score.unit != "ms" else {SCORE: score.value}
    return scored | {name: ms for name, ms in figures.latency_ms.items() if name == "mean" or name in PERCENTILES}


def _judge(figure: _Measured, figures: int, threshold: float) -> Figure:
    """Whether the figure changed by more than its noise; ``figures`` is how many are judged together."""
    ratio, one, other = figure.after / figure.before, figure.noise_before, figure.noise_after
    within, basis = None, ""
    if one is not None and other is not None:
        basis = f"{one.basis} and {other.basis}"
    if ratio == 1:
        verdict = UNCHANGED
    elif one is None or other is None:
        verdict = FEW_RUNS if figure.scenario == "offline" else FEW_SAMPLES
    else:
        within = interval(ratio, one, other, figures)
        more_is_better = figure.name == "samples_per_second"
        moved = "faster" if (ratio > 1) == more_is_better else "slower"
        verdict = moved if within.beyond(threshold) else UNCHANGED
    low, high = (None, None) if within is None else (within.low, within.high)
    change = ratio - 1
    return Figure(figure.scenario, figure.name, figure.before, figure.after, change, low, high, verdict, basis)


def _accuracy(before: float, after: float) -> Figure:
    change = after - before
    if min(before, after) < 0:
        return Figure("accuracy", "mAP", before, after, 0.0, None, None, UNCHANGED, "not defined: no objects to find")
    verdict = UNCHANGED if abs(change) < LEAST_MAP_CHANGE else "better" if change > 0 else "worse"
    return Figure("accuracy", "mAP", before, after, change, None, None, verdict, "the same images")


def _title(figure: Figure) -> str:
    return figure.name if figure.scenario == "accuracy" else f"{title_of(figure.scenario)} {figure.name}"


def _values(figure: Figure) -> tuple[str, str]:
    if figure.scenario == "accuracy":
        return percent_text(figure.baseline), percent_text(figure.value)
    unit = "/s" if figure.name == "samples_per_second" else " ms"
    return f"{figure.baseline:.6g}{unit}", f"{figure.value:.6g}{unit}"


def _percent(change: float) -> str:
    return f"{100 * change:+.2f} %"


def _range(figure: Figure) -> str | None:
    if figure.low is None or figure.high is None:
        return None
    return f"{100 * figure.low:+.2f} to {100 * figure.high:+.2f} %"


def _shown(value: Any) -> Cell:
    return value if value is None or isinstance(value, (str, int, float)) else str(value)
