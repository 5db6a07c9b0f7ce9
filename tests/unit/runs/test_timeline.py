"""What happened over the time of a test, from its samples."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from harness.runs.timeline import percentile_over_time, queue_depth, session_rates


def test_the_queue_grows_with_an_issue_and_shrinks_with_a_start() -> None:
    samples = pd.DataFrame({"issued_ns": [0, 5, 5], "started_ns": [5, 7, 9]})
    moments, waiting = queue_depth(samples)
    assert moments.tolist() == [0, 5, 7, 9]
    assert waiting.tolist() == [1, 2, 1, 0]


def test_a_percentile_over_time_needs_enough_values_a_part() -> None:
    places = np.arange(1000, dtype=float)
    assert percentile_over_time(places[:199], places[:199]) is None
    made = percentile_over_time(places, np.where(places < 500, 1.0, 3.0))
    assert made is not None
    assert made.size == 100
    assert made.values.tolist() == [1.0] * 5 + [3.0] * 5
    assert made.at[0] == pytest.approx(49.5)


def test_each_sessions_rate_adds_up_to_its_samples() -> None:
    completed = np.arange(1, 201) * 10_000_000
    samples = pd.DataFrame({"session": [0, 1] * 100, "completed_ns": completed})
    made = session_rates(samples, 3)
    assert made is not None
    assert made.edges_s[-1] == 2.0
    width = made.edges_s[1] - made.edges_s[0]
    assert (made.rates.sum(axis=1) * width).tolist() == pytest.approx([100, 100, 0])
    assert session_rates(samples[:20], 3) is None
