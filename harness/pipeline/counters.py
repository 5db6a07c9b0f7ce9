"""What is kept of every sample, and what a watching process reads of all of them: sums of stages, and latencies.

The histogram is log-linear, as HdrHistogram's: 2^`BITS` buckets to every doubling, so that a value is known within
0.8 %, from a nanosecond to an hour, in a fixed place and without a lock.
"""

from __future__ import annotations

from array import array
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

COLUMNS = (
    "sample_id",
    "sample_index",
    "issued_ns",
    "started_ns",
    "inferred_ns",
    "decoding_ns",
    "decoded_ns",
    "completed_ns",
)
"""Of a sample's record. Times are of the monotonic clock: LoadGen issued it, its device began, its device ended, its
decoding began, its decoding ended, LoadGen had its answer."""
ISSUED, STARTED, COMPLETED = (COLUMNS.index(name) for name in ("issued_ns", "started_ns", "completed_ns"))
STAGE_COUNT = COMPLETED - ISSUED
"""Queue, inference, wait (for a decoder), postprocess and complete: from each moment of a record to the next."""

BITS = 6
LONGEST_NS = 1 << 42
"""73 minutes; the last bucket holds whatever takes longer."""
BUCKETS = ((LONGEST_NS.bit_length() - BITS - 1) << BITS) + (1 << BITS)


class CounterLayout(NamedTuple):
    """Places in a lane's row of 64-bit counters; the native code is given them too.

    Attributes:
        done: samples answered.
        current: 1 + the index of the sample at work, 0 when idle.
        first: the moment of the first issue.
        last: the moment of the last answer.
        stages: the summed ns of the `STAGE_COUNT` stages, from here on.
        histogram: `buckets` counts of latencies, from here on.
        bits: 2^bits buckets to every doubling.
    """

    done: int = 0
    current: int = 1
    first: int = 2
    last: int = 3
    stages: int = 4
    histogram: int = 4 + STAGE_COUNT
    buckets: int = BUCKETS
    bits: int = BITS


LAYOUT = CounterLayout()
DONE, CURRENT, FIRST, LAST, STAGES_AT, HISTOGRAM, *_ = LAYOUT
ROW = HISTOGRAM + BUCKETS
"""The number of cells that one lane has."""


def bucket(value_ns: int) -> int:
    """The bucket of a latency."""
    if value_ns <= 0:
        return 0
    shift = max(value_ns.bit_length() - BITS - 1, 0)
    return min((shift << BITS) + (value_ns >> shift), BUCKETS - 1)


class Tally(Protocol):
    """Counts one lane's samples."""

    def add(self, records: array[int], count: int, completed: int) -> None:
        """The last ``count`` of the records were answered at ``completed``, which is written into them."""
        ...


class PythonTally:
    """The tally of an installation without the extension: ten times as slow as `harness.native._pipeline.Tally`.

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
            for stage in range(STAGE_COUNT):
                moment = start + ISSUED + stage
                row[STAGES_AT + stage] += records[moment + 1] - records[moment]
            row[HISTOGRAM + bucket(completed - records[start + self._from])] += 1
        row[LAST] = completed
        row[DONE] += count


def tally(cells: memoryview, at: int, *, from_start: bool) -> Tally:
    """The fastest tally there is here."""
    try:
        from harness.native import _pipeline
    except ImportError:
        return PythonTally(cells, at, from_start)
    return _pipeline.Tally(cells, at, LAYOUT, from_start)


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
