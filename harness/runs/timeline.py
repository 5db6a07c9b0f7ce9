"""What happened over the time of a test: samples that waited, percentiles, and the rate of each session."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]
Ns = npt.NDArray[np.int64]

LEAST_FOR_P99 = 100
"""Values of which the largest hundredth is one."""


def steps(*changes: tuple[pd.Series[int], int]) -> tuple[Ns, Ns]:
    """When a number changed, and what it was then.

    Args:
        changes: each a column of moments in nanoseconds and what each of them adds.
    """
    moments = np.concatenate([moment.to_numpy(np.int64) for moment, _ in changes])
    added = np.concatenate([np.full(len(moment), add, np.int64) for moment, add in changes])
    order = np.argsort(moments, kind="stable")
    moments, values = moments[order], np.cumsum(added[order])
    last = np.append(np.diff(moments) > 0, True)[: len(moments)]
    return moments[last], values[last]


def queue_depth(samples: pd.DataFrame) -> tuple[Ns, Ns]:
    """The moments in nanoseconds at which the number of waiting samples changed, and that number from then on."""
    return steps((samples["issued_ns"], 1), (samples["started_ns"], -1))


@dataclass(frozen=True, eq=False)
class Percentiles:
    """A percentile of consecutive parts of a series.

    Attributes:
        at: where each part lies, the mean of its places.
        values: the percentile of each part.
        size: values in the smallest part.
    """

    at: Floats
    values: Floats
    size: int


def percentile_over_time(
    places: Floats, values: Floats, share: float = 0.99, *, least: int = LEAST_FOR_P99, most: int = 60
) -> Percentiles | None:
    """A percentile over ascending places; None where there are not even two parts of ``least`` values.

    Args:
        share: of the percentile, in (0, 1).
        least: values a part.
        most: parts.
    """
    parts = min(len(values) // least, most)
    if parts < 2:
        return None
    bounds = np.linspace(0, len(values), parts + 1).astype(np.int64)
    split = bounds[1:-1]
    found = np.array([np.quantile(part, share) for part in np.split(values, split)])
    at = np.array([part.mean() for part in np.split(places, split)])
    return Percentiles(at, found, int(np.diff(bounds).min()))


@dataclass(frozen=True, eq=False)
class SessionRates:
    """Completed samples a second of each session.

    Attributes:
        edges_s: (W + 1,) of the windows, seconds since the first issue.
        rates: (S, W) samples a second.
    """

    edges_s: Floats
    rates: Floats


def session_rates(
    samples: pd.DataFrame, sessions: int, *, least: float = 4.0, most: int = 60, fewest: int = 4
) -> SessionRates | None:
    """The rates in windows of equal width; None where there are too few samples for ``fewest`` windows.

    Args:
        least: samples that a session has in a window on average.
        most: windows.
    """
    windows = min(int(len(samples) / (sessions * least)), most)
    if windows < fewest:
        return None
    completed_s = samples["completed_ns"].to_numpy() / 1e9
    edges = np.linspace(0.0, float(completed_s.max()), windows + 1)
    if edges[-1] <= 0:
        return None
    counts, _, _ = np.histogram2d(
        samples["session"].to_numpy(), completed_s, bins=(np.arange(sessions + 1) - 0.5, edges)
    )
    return SessionRates(edges, counts / (edges[1] - edges[0]))
