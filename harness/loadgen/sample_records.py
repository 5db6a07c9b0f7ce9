"""``samples.csv.gz``: every sample's times, as the lanes kept them."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from harness.pipeline.counters import COLUMNS, COMPLETED, ISSUED
from harness.pipeline.dispatch import RecordedLane

SAMPLES_NAME = "samples.csv.gz"
ROWS = 512  # written at a time: as Python's numbers they take ten times the memory


def write_samples(folder: Path, lanes: Sequence[RecordedLane], beat: Callable[[], None]) -> tuple[int, int]:
    """Session by session, each in its order; times relative to the first issue.

    Args:
        beat: told "still working".

    Returns:
        when the first sample was issued and when the last one was completed, ns of the monotonic clock.
    """
    used = [lane.records() for lane in lanes if len(lane.records())]
    first_ns = min((int(records[:, ISSUED].min()) for records in used), default=0)
    last_ns = max((int(records[:, COMPLETED].max()) for records in used), default=0)
    with gzip.open(folder / SAMPLES_NAME, "wt", compresslevel=1, newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("session", *COLUMNS))
        for lane in lanes:
            records = lane.records()
            for start in range(0, len(records), ROWS):
                rows = np.insert(records[start : start + ROWS], 0, lane.slot.index, axis=1)
                rows[:, 1 + ISSUED :] -= first_ns
                writer.writerows(rows.tolist())
                beat()
    return first_ns, last_ns
