"""A run against a baseline: what differs, then each figure with its change and whether it is more than noise."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from harness.report.differences import differences
from harness.report.significance import (
    LEAST_RUNS,
    Interval,
    Noise,
    interval,
    noise_of_latencies,
    noise_of_rate,
    noise_of_runs,
)
from harness.report.summary_tables import TITLES
from harness.report.tables import Cell, Table
from harness.runs.recorded_run import Run, Test
from harness.runs.stages import QUANTILES

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
        return [it for it in self.figures if it.verdict in ("faster", "slower", "better", "worse")]

    @property
    def verdict(self) -> str:
        """The whole in one sentence."""
        if self.changed:
            words = (f"{_title(it)} is {it.verdict} ({_percent(it.change)})" for it in self.changed)
            return "; ".join(words)
        unknown = [it for it in self.figures if it.verdict in (FEW_SAMPLES, FEW_RUNS)]
        if self.figures and len(unknown) == len(self.figures):
            return unknown[0].verdict
        return UNCHANGED if self.figures else "the two runs have no figure in common"

    def tables(self) -> list[Table]:
        """Differences, figures and the verdict."""
        names = f"{self.run.name} against {self.baseline.name}"
        rows: list[tuple[Cell, ...]] = [(*it[:2], _shown(it[2]), _shown(it[3])) for it in self.differences]
        columns = ("", "key", self.baseline.name, self.run.name)
        nothing = "" if rows else "Nothing differs in configuration, system, model and versions."
        figures: list[tuple[Cell, ...]] = [
            (TITLES.get(it.scenario, it.scenario), it.name, *_values(it), _percent(it.change), _range(it), it.verdict)
            for it in self.figures
        ]
        titles = ("", "figure", self.baseline.name, self.run.name, "change", "95 % interval", "")
        note = f"{names}: {self.verdict}. Changes within ±{100 * self.threshold:g} % do not count."
        if self.not_compared:
            note += f" Not compared: {', '.join(self.not_compared)}."
        return [Table(f"What differs: {names}", columns, rows, nothing), Table("Figures", titles, figures, note)]

    def as_json(self) -> dict[str, Any]:
        """For programs; changes are fractions."""
        keys = ("group", "key", "baseline", "run")
        return {
            "baseline": str(self.baseline.folder),
            "run": str(self.run.folder),
            "threshold": self.threshold,
            "verdict": self.verdict,
            "differences": [dict(zip(keys, it, strict=True)) for it in self.differences],
            "figures": [asdict(it) for it in self.figures],
            "not_compared": list(self.not_compared),
        }


def compare(baseline: Run, run: Run, threshold: float = 0.01) -> Comparison:
    """Compares every scenario that both have, and the mAP.

    Args:
        threshold: a change counts when its whole interval lies beyond it, relative.

    Raises:
        LogError: a file of a run is missing or damaged.
    """
    judged: list[tuple[str, str, float, float, Noise | None, Noise | None, str]] = []
    not_compared = []
    ours, theirs = run.summary["scenarios"], baseline.summary["scenarios"]
    for scenario in dict.fromkeys([*theirs, *ours]):
        if scenario not in ours or scenario not in theirs:
            not_compared.append(f"{TITLES[scenario]} (in one run only)")
            continue
        noises = [_noise(it.performance[scenario]) for it in (baseline, run)]
        missing = FEW_RUNS if scenario == "offline" else FEW_SAMPLES
        for name in noises[0][0]:
            before, after = (figures[name] for figures, _ in noises)
            one, other = (noise.get(name) for _, noise in noises)
            judged.append((scenario, name, before, after, one, other, missing))
    figures = [_judge(*it, len(judged), threshold) for it in judged]
    one, other = baseline.summary.get("accuracy"), run.summary.get("accuracy")
    if one is not None and other is not None:
        if one["images"] == other["images"] and _dataset(baseline) == _dataset(run):
            figures.append(_accuracy(one["mAP"], other["mAP"]))
        else:
            not_compared.append("mAP (of other images)")
    found = differences(baseline.manifest, run.manifest)
    return Comparison(baseline, run, threshold, tuple(found), tuple(figures), tuple(not_compared))


def _dataset(run: Run) -> Any:
    return run.manifest["dataset"]["sha256"]


def _noise(tests: list[Test]) -> tuple[dict[str, float], dict[str, Noise]]:
    """The figures of a scenario, means over its repetitions, and their noise as far as it is known."""
    per_run = [_figures(test) for test in tests]
    figures = {name: float(np.exp(np.mean([np.log(it[name]) for it in per_run]))) for name in per_run[0]}
    if len(tests) >= LEAST_RUNS:
        of_runs = {name: noise_of_runs([it[name] for it in per_run]) for name in figures}
        return figures, {name: noise for name, noise in of_runs.items() if noise is not None}
    test = tests[0]
    if test.scenario == "offline":
        rate = noise_of_rate(np.sort(test.samples["completed_ns"].to_numpy()) / 1e9, len(test.record["sessions"]))
        return per_run[0], {} if rate is None else {"samples_per_second": rate}
    latencies = test.queries.sort_values("issued_ns", kind="stable")["latency_ms"].to_numpy()
    return per_run[0], noise_of_latencies(latencies, QUANTILES)


def _figures(test: Test) -> dict[str, float]:
    """LoadGen's own figures of one test."""
    figures = test.figures
    if test.scenario == "offline":
        return {"samples_per_second": float(figures["samples_per_second"])}
    return {name: value for name, value in figures["latency_ms"].items() if name == "mean" or name in QUANTILES}


def _judge(
    scenario: str,
    name: str,
    before: float,
    after: float,
    one: Noise | None,
    other: Noise | None,
    missing: str,
    figures: int,
    threshold: float,
) -> Figure:
    change = after / before - 1
    within: Interval | None = None
    if change == 0:
        verdict = UNCHANGED
    elif one is None or other is None:
        verdict = missing
    else:
        within = interval(after / before, one, other, figures)
        more_is_better = name == "samples_per_second"
        moved = "faster" if (change > 0) == more_is_better else "slower"
        verdict = moved if within.beyond(threshold) else UNCHANGED
    low, high = (None, None) if within is None else (within.low, within.high)
    basis = "" if one is None or other is None else f"{one.basis} and {other.basis}"
    return Figure(scenario, name, before, after, change, low, high, verdict, basis)


def _accuracy(before: float, after: float) -> Figure:
    change = after - before
    verdict = UNCHANGED if abs(change) < LEAST_MAP_CHANGE else "better" if change > 0 else "worse"
    return Figure("accuracy", "mAP", before, after, change, None, None, verdict, "the same images")


def _title(figure: Figure) -> str:
    return figure.name if figure.scenario == "accuracy" else f"{TITLES[figure.scenario]} {figure.name}"


def _values(figure: Figure) -> tuple[str, str]:
    if figure.scenario == "accuracy":
        return f"{100 * figure.baseline:.3f} %", f"{100 * figure.value:.3f} %"
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
