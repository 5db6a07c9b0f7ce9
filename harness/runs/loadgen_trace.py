"""LoadGen's own trace (``mlperf_log_trace.json``), read and laid on the clock of the samples' moments."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.runs.layout import TestFolder

DOUBLY_QUOTED = re.compile(r'""([^"]*)""')
"""LoadGen 6.0 writes the key of its LogDetail events so, which is not JSON."""
WINDOW = 50
"""Samples among which the one that shows best how far the clocks are apart is looked for."""
ENOUGH = 4
"""Windows that show a drift."""

Floats = npt.NDArray[np.float64]


class LoadGenTrace:
    """LoadGen counts from a moment of its own, on another clock than ours.

    Both saw every sample complete: LoadGen inside the call that hands answers over, we right after it. So the k-th
    completion of ours is never before LoadGen's k-th, and the least distance among neighbours is that of the clocks, a
    few microseconds too long. It is taken anew all along the test, for clocks drift.

    Attributes:
        about: what a reader of the trace should know.
    """

    def __init__(self, folder: Path, samples: pd.DataFrame) -> None:
        self._path = TestFolder(folder).loadgen_trace
        self._damaged = 0
        self.about: dict[str, Any] = {}
        self._at_us, self._ahead_us = np.zeros(0), np.zeros(0)
        self._earliest_us = 0.0
        if not self._path.is_file():
            self.about["LoadGen's events"] = f"none: there is no {self._path.name}"
            return
        begun, ended = (np.sort(moments) for moments in self._samples())
        ours = np.sort(samples["completed_ns"].to_numpy(np.float64)) / 1e3
        if not len(ended) or len(ended) != len(ours):
            self.about["LoadGen's events"] = f"none: it saw {len(ended)} samples complete, and we {len(ours)}"
            return
        self._at_us, self._ahead_us = _clocks(ended, ours)
        # when the k-th begins, those that ended before it are over
        self._in_flight = int((np.arange(1, len(begun) + 1) - np.searchsorted(ended, begun)).max())
        self.about["LoadGen's events"] = "on the same clock, within some microseconds"
        self.about["LoadGen's clock, microseconds apart"] = [round(float(self._ahead_us[k]), 3) for k in (0, -1)]
        if self._damaged:
            self.about["LoadGen's lines that could not be read"] = self._damaged

    @property
    def before_us(self) -> float:
        """How long before the first issue LoadGen's first event was; 0 without events."""
        return max(-self._ours_us(self._earliest_us), 0.0) if len(self._at_us) else 0.0

    def events(self, pid: int, every: int, most_at_once: int, shift_us: float) -> Iterator[str]:
        """LoadGen's events as JSON, for the process ``pid`` of our trace.

        Args:
            shift_us: added to the microseconds since the first issue.
            every: of each kind one event in so many.
            most_at_once: samples drawn at the same time; of more, one in so many that these are left.
        """
        if not len(self._at_us):
            return
        every_sample = every * max(-(-self._in_flight // (most_at_once * every)), 1)
        seen: Counter[str] = Counter()
        for event in self._read():
            if event["name"] == "Sample":
                if event["id"] % every_sample:
                    continue
            else:
                seen[event["name"]] += 1
                if (seen[event["name"]] - 1) % every:
                    continue
            theirs_us = event["ts"]
            event["ts"] = round(self._ours_us(theirs_us) + shift_us, 3)
            if "dur" in event:  # both ends are moved, so that what nests still does
                event["dur"] = round(self._ours_us(theirs_us + event["dur"]) + shift_us - event["ts"], 3)
            event["pid"] = pid
            if event["name"] == "Sample":
                event["cat"], event["tid"] = "LoadGen", 0
            yield json.dumps(event, separators=(",", ":"))

    def _ours_us(self, theirs_us: float) -> float:
        return round(theirs_us + float(np.interp(theirs_us, self._at_us, self._ahead_us)), 3)

    def _samples(self) -> tuple[list[float], list[float]]:
        """The moments at which LoadGen's samples begin, and at which they end."""
        begun: list[float] = []
        ended: list[float] = []
        for event in self._read():
            self._earliest_us = min(self._earliest_us, event["ts"])
            if event["name"] == "Sample":
                (begun if event["ph"] == "b" else ended).append(event["ts"])
        return begun, ended

    def _read(self) -> Iterator[dict[str, Any]]:
        """One event a line; the lines around them are no events."""
        self._damaged = 0
        with self._path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                text = line.strip().removesuffix(",")
                if not text.startswith('{"name"'):
                    continue
                if '""' in text:
                    text = DOUBLY_QUOTED.sub(r'"\1"', text)
                try:
                    event = json.loads(text)
                except ValueError:
                    self._damaged += 1
                    continue
                if "ts" in event:  # the last one has none
                    yield event


def _clocks(theirs_us: Floats, ours_us: Floats) -> tuple[Floats, Floats]:
    """Moments of LoadGen's clock, and how far ours is ahead of it there."""
    ahead = ours_us - theirs_us
    drift = np.zeros_like(ahead)
    if len(ahead) >= ENOUGH * WINDOW:
        # a steady drift is taken out first: within a window it would make the earliest or the latest sample the best
        best = _least(ahead)
        slope, start = np.polyfit(theirs_us[best], ahead[best], 1)
        drift = slope * theirs_us + start
    best = _least(ahead - drift)
    rest = (ahead - drift)[best]
    ends = np.array([0, len(ahead) - 1])
    at = np.concatenate([theirs_us[best], theirs_us[ends]])
    found = np.concatenate([ahead[best], drift[ends] + rest[[0, -1]]])
    order = np.argsort(at, kind="stable")
    return at[order], found[order]


def _least(distances: Floats) -> npt.NDArray[np.int64]:
    """The index of the least value of each window."""
    windows = np.array_split(np.arange(len(distances)), max(len(distances) // WINDOW, 1))
    return np.array([window[np.argmin(distances[window])] for window in windows])
