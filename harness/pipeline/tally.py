"""What a lane notes of its answered samples for a process that watches: sums of its stages and a latency histogram.

The histogram is log-linear, as HdrHistogram's: 2^`BITS` buckets to every doubling, so that a value is known within
0.8 %, from a nanosecond to an hour, in a fixed place and without a lock.
"""

from __future__ import annotations

from array import array
from typing import Protocol

import numpy as np
import numpy.typing as npt

COLUMNS = ("sample_id", "sample_index", "issued_ns", "started_ns", "inferred_ns", "decoded_ns", "completed_ns")
"""Of a sample's record; times are of the monotonic clock."""
ISSUED, STARTED, COMPLETED = (COLUMNS.index(name) for name in ("issued_ns", "started_ns", "completed_ns"))

BITS = 6
LONGEST_NS = 1 << 42
"""73 minutes; the last bucket holds whatever takes longer."""

DONE, CURRENT, FIRST, LAST, STAGES, HISTOGRAM = 0, 1, 2, 3, 4, 8
"""Places in a lane's row of cells: samples answered; 1 + the index of the sample at work, 0 when idle; the moments of
its first issue and its last answer; the summed ns of queue, inference, postprocess and complete; the histogram."""


def bucket(value_ns: int) -> int:
    """The bucket of a latency."""
    if value_ns <= 0:
        return 0
    shift = max(value_ns.bit_length() - BITS - 1, 0)
    return min((shift << BITS) + (value_ns >> shift), BUCKETS - 1)


BUCKETS = ((LONGEST_NS.bit_length() - BITS - 1) << BITS) + (1 << BITS)
ROW = HISTOGRAM + BUCKETS
"""Cells of one lane."""


class Tally(Protocol):
    """One lane's notes."""

    def add(self, records: array[int], count: int, completed: int) -> None:
        """The last ``count`` of the records were answered at ``completed``, which is written into them."""
        ...


class PythonTally:
    """Where the extension was not built. About ten times as slow as `harness.native._tally.Tally`.

    Args:
        cells: int64; the lane's row begins at ``at``.
        from_start: latencies count from the moment a session took the sample, not from its issue.
    """

    def __init__(self, cells: memoryview, at: int, from_start: bool) -> None:
        self._row = cells[at : at + ROW]
        self._from = STARTED if from_start else ISSUED

    def add(self, records: array[int], count: int, completed: int) -> None:
        """Adds the last `count` records, completed at that time."""
        row, width = self._row, len(COLUMNS)
        for start in range(len(records) - count * width, len(records), width):
            records[start + COMPLETED] = completed
            if not row[FIRST]:
                row[FIRST] = records[start + ISSUED]
            for stage in range(COMPLETED - ISSUED):
                moment = start + ISSUED + stage
                row[STAGES + stage] += records[moment + 1] - records[moment]
            row[HISTOGRAM + bucket(completed - records[start + self._from])] += 1
        row[LAST] = completed
        row[DONE] += count


def tally(cells: memoryview, at: int, *, from_start: bool) -> Tally:
    """The fastest one there is here."""
    try:
        from harness.native import _tally
    except ImportError:
        return PythonTally(cells, at, from_start)
    return _tally.Tally(cells, at, from_start, BUCKETS, BITS)


def percentile(counts: npt.NDArray[np.int64], share: float) -> float | None:
    """The latency in ns that ``share`` of the counted ones do not exceed, within 0.8 %; None when none was counted.

    The rank is LoadGen's: the value after that share of all, from the smallest up.
    """
    total = int(counts.sum())
    if not total:
        return None
    rank = min(int(share * total), total - 1)
    found = int(np.searchsorted(np.cumsum(counts), rank, side="right"))
    shift = max((found >> BITS) - 1, 0)
    low = found - (shift << BITS)
    return (low + 0.5) * 2.0**shift if shift else float(low)
