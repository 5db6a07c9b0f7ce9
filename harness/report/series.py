"""Long series made short enough to draw: what stands out of the mass is kept, and how it was done is said."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MOST_POINTS = 600
"""Of a drawn series; up to twice as many are drawn as they are."""
LEAST_BINS, MOST_BINS = 24, 60
TAIL = 0.999


@dataclass(frozen=True, eq=False)
class Intervals:
    """A series in consecutive intervals of equally many values.

    Attributes:
        x: where each interval lies, the mean of its places.
        low, middle, high: its least value, its median and its largest.
        size: values in the largest interval; 1: nothing was summarised.
    """

    x: Floats
    low: Floats
    middle: Floats
    high: Floats
    size: int


def intervals(x: Floats, y: Floats, most: int = MOST_POINTS) -> Intervals:
    """``y`` over ascending ``x`` in ``most`` intervals (a series up to twice as long is left as it is).

    The extremes of the whole are among those of the intervals.
    """
    count = len(y) if len(y) <= 2 * most else most
    bounds = np.linspace(0, len(y), count + 1).astype(np.int64)
    starts = bounds[:-1]
    low, high = np.minimum.reduceat(y, starts), np.maximum.reduceat(y, starts)
    middle = np.array([np.median(part) for part in np.split(y, bounds[1:-1])])
    places = np.add.reduceat(x, starts) / np.diff(bounds)
    return Intervals(places, low, middle, high, int(np.diff(bounds).max()))


@dataclass(frozen=True, eq=False)
class Histogram:
    """Counts in bins of equal width.

    Attributes:
        edges: (B + 1,) ascending.
        counts: (B,) whole numbers.
        beyond: values above the last edge, the longest of the tail.
    """

    edges: Floats
    counts: npt.NDArray[np.int64]
    beyond: int


def histogram(values: Floats, reach: float) -> Histogram:
    """Bins by Freedman and Diaconis up to the 99.9th percentile, or to ``reach`` where that is further.

    One slow sample in a thousand would otherwise squeeze all others into one bin.
    """
    top, largest = max(float(np.quantile(values, TAIL)), reach), float(values.max())
    if top < largest < 1.1 * top:
        top = largest
    shown = values[values <= top]
    low = float(shown.min()) if len(shown) else 0.0
    if top <= low:
        top = low + max(abs(low) * 1e-3, 1e-6)
    quarter, three_quarters = np.quantile(shown, (0.25, 0.75)) if len(shown) else (low, top)
    width = 2 * (three_quarters - quarter) / max(len(shown), 1) ** (1 / 3)
    bins = int(np.clip(np.ceil((top - low) / width), LEAST_BINS, MOST_BINS)) if width > 0 else MOST_BINS
    counts, edges = np.histogram(shown, bins=bins, range=(low, top))
    return Histogram(edges, counts, len(values) - int(counts.sum()))


def distribution(values: Floats) -> tuple[Floats, Floats]:
    """The empirical distribution function: values, and the share in [0, 1] of all that are at most so large.

    Of more than `MOST_POINTS` values every so many-th and each of the largest ones.
    """
    ordered = np.sort(values)
    places = np.arange(len(ordered))
    if len(ordered) > MOST_POINTS:
        even = np.linspace(0, len(ordered) - 1, MOST_POINTS - 100).astype(np.int64)
        places = np.union1d(even, places[-100:])
    return ordered[places], (places + 1) / len(ordered)


def rates(completed_s: Floats, least: int = 8, most: int = 120) -> tuple[Floats, Floats, float]:
    """Completions a second over time.

    Args:
        completed_s: ascending moments, seconds since the first sample was issued.
        least: completions that a window should hold on average.
        most: windows.

    Returns:
        the windows' middles in seconds, their rates a second, and their width in seconds.
    """
    end = float(completed_s[-1]) if len(completed_s) else 0.0
    windows = int(np.clip(len(completed_s) // least, 1, most))
    if end <= 0:
        return np.zeros(0), np.zeros(0), 0.0
    counts, edges = np.histogram(completed_s, bins=windows, range=(0.0, end))
    width = end / windows
    return (edges[:-1] + edges[1:]) / 2, counts / width, width
