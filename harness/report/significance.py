"""Whether a figure changed by more than noise.

Samples of one run are not independent: a slow second is slow for all its samples, and with thousands of samples any
difference is "significant" to a test that takes them for independent. So the noise of a figure is estimated from whole
stretches of the run (a block bootstrap), widened where neighbouring stretches resemble each other, and a change counts
only where its whole confidence interval lies beyond a least effect. Of a repeated test the runs are the stretches.

Sources: H. R. Künsch, "The jackknife and the bootstrap for general stationary observations", Annals of Statistics 17
(1989), for the blocks; B. L. Welch, "The generalization of Student's problem when several different population
variances are involved", Biometrika 34 (1947), for the repeated runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

BLOCKS = 16
RESAMPLES = 1000
LEAST_BEYOND = 5
"""Samples that must lie beyond a percentile for its noise to be known."""
LEAST_RUNS = 3
CONFIDENCE = 0.95
"""The confidence that holds for all figures of a comparison together."""


@dataclass(frozen=True)
class Noise:
    """How uncertain a figure is.

    Attributes:
        log_error: standard error of the figure's logarithm, that is its relative one.
        freedom: degrees of freedom of that estimate.
        basis: what it was estimated from, for people.
    """

    log_error: float
    freedom: float
    basis: str


def noise_of_latencies(latencies: Floats, quantiles: Mapping[str, float]) -> dict[str, Noise]:
    """The noise of the mean and of percentiles of one run.

    Args:
        latencies: in the order of time.
        quantiles: figure → its share in (0, 1). What too few samples can tell is not in the answer.
    """
    if len(latencies) < 2 * BLOCKS:
        return {}
    blocks = np.arange(len(latencies)) * BLOCKS // len(latencies)
    sizes = np.bincount(blocks, minlength=BLOCKS)
    sums = np.bincount(blocks, latencies, BLOCKS)
    order = np.argsort(latencies, kind="stable")
    ordered, of_block = latencies[order], blocks[order]
    rng = np.random.default_rng(0)
    draws = rng.multinomial(BLOCKS, np.full(BLOCKS, 1 / BLOCKS), RESAMPLES)
    shares = np.array(list(quantiles.values()))
    resampled = np.empty((RESAMPLES, len(shares)))
    for row, draw in enumerate(draws):
        cumulated = np.cumsum(draw[of_block])
        resampled[row] = ordered[np.searchsorted(cumulated, shares * cumulated[-1])]
    widening = _widening(sums / sizes)
    basis = f"{BLOCKS} stretches of {len(latencies) // BLOCKS}"
    noise = {"mean": Noise(_log_error(draws @ sums / (draws @ sizes)) * widening, BLOCKS - 1, basis)}
    for column, (name, share) in enumerate(quantiles.items()):
        if len(latencies) * (1 - share) >= LEAST_BEYOND:
            noise[name] = Noise(_log_error(resampled[:, column]) * widening, BLOCKS - 1, basis)
    return noise


def noise_of_rate(completed_s: Floats, sessions: int) -> Noise | None:
    """The noise of the throughput of one run, from the pace of its stretches; None where they are too short to tell.

    Args:
        completed_s: ascending moments of completion.
        sessions: that many samples are on their way at once, and can end in one stretch or the next.
    """
    if len(completed_s) <= BLOCKS * max(8, 4 * sessions):
        return None
    # sessions that began together end together: where a stretch ends must not depend on who came first
    steady = np.convolve(completed_s, np.full(sessions, 1 / sessions), "valid")
    bounds = np.linspace(0, len(steady) - 1, BLOCKS + 1).astype(np.int64)
    paces = np.diff(steady[bounds]) / np.diff(bounds)
    if not paces.min() > 0:
        return None
    error = float(paces.std(ddof=1) / paces.mean() / math.sqrt(BLOCKS)) * _widening(paces)
    return Noise(error, BLOCKS - 1, f"{BLOCKS} stretches of {len(completed_s) // BLOCKS}")


def noise_of_runs(figures: Sequence[float]) -> Noise | None:
    """The noise of the mean of repeated runs; None where there are too few."""
    if len(figures) < LEAST_RUNS:
        return None
    logs = np.log(np.array(figures))
    return Noise(float(logs.std(ddof=1)) / math.sqrt(len(logs)), len(logs) - 1, f"{len(logs)} runs")


@dataclass(frozen=True)
class Interval:
    """A confidence interval of a relative change, e.g. 0.01 to 0.05 for 1 % to 5 % more."""

    low: float
    high: float

    def beyond(self, least: float) -> bool:
        """Whether all of it lies further from no change than ``least``."""
        return self.low > least or self.high < -least


def interval(ratio: float, one: Noise, other: Noise, figures: int) -> Interval:
    """The interval of a change to ``ratio`` times, when so many figures are judged together (Bonferroni)."""
    from scipy.stats import t

    errors = one.log_error**2, other.log_error**2
    both = sum(errors)
    weights = errors[0] ** 2 / one.freedom + errors[1] ** 2 / other.freedom
    freedom = both**2 / weights if weights else one.freedom + other.freedom
    reach = float(t.ppf(1 - (1 - CONFIDENCE) / 2 / figures, freedom)) * math.sqrt(both)
    centre = math.log(ratio)
    return Interval(math.expm1(centre - reach), math.expm1(centre + reach))


def _log_error(resampled: Floats) -> float:
    return float(np.log(resampled).std(ddof=1)) * math.sqrt(BLOCKS / (BLOCKS - 1))


def _widening(stretches: Floats) -> float:
    """The factor for stretches that are like their neighbours: that of a first-order autoregressive series."""
    centred = stretches - stretches.mean()
    power = float(centred @ centred)
    alike = float(centred[1:] @ centred[:-1]) / power if power else 0.0
    alike = min(max(alike, 0.0), 0.9)
    return math.sqrt((1 + alike) / (1 - alike))
