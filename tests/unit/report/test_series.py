"""Series made short keep what stands out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.report.series import MOST_BINS, MOST_POINTS, distribution, histogram, intervals, rates


@settings(max_examples=25)
@given(st.lists(st.floats(0.001, 1e4), min_size=1, max_size=3000))
def test_intervals_keep_the_extremes_and_the_order(values: list[float]) -> None:
    y = np.array(values)
    made = intervals(np.arange(len(y), dtype=float), y, 50)
    assert made.low.min() == y.min()
    assert made.high.max() == y.max()
    assert (made.low <= made.middle).all()
    assert (made.middle <= made.high).all()
    assert len(made.x) <= 50
    assert (np.diff(made.x) > 0).all()


def test_a_short_series_is_left_as_it_is() -> None:
    y = np.array([3.0, 1.0, 2.0])
    made = intervals(np.arange(3.0), y)
    assert made.size == 1
    assert made.middle.tolist() == y.tolist()


@settings(max_examples=25)
@given(st.lists(st.floats(0.001, 1e4), min_size=1, max_size=3000), st.floats(0, 2e4))
def test_every_value_is_in_the_histogram_or_beyond_it(values: list[float], reach: float) -> None:
    made = histogram(np.array(values), reach)
    assert made.counts.sum() + made.beyond == len(values)
    assert len(made.counts) <= MOST_BINS
    assert made.edges[-1] >= reach or made.edges[-1] >= np.quantile(values, 0.999)


def test_one_slow_sample_does_not_squeeze_the_others() -> None:
    values = np.append(np.random.default_rng(0).normal(5, 0.1, 9999), 5000.0)
    made = histogram(values, 5.3)
    assert made.edges[-1] < 6
    assert made.beyond >= 1


@settings(max_examples=25)
@given(st.lists(st.floats(0.001, 1e4), min_size=1, max_size=3000))
def test_a_distribution_ends_at_the_largest_value_and_one(values: list[float]) -> None:
    x, share = distribution(np.array(values))
    assert (x[-1], share[-1]) == (max(values), 1.0)
    assert len(x) <= MOST_POINTS
    place = len(x) // 2
    assert share[place] <= np.mean(np.array(values) <= x[place]) + 1e-12


def test_rates_add_up_to_all_completions() -> None:
    completed = np.arange(1, 101) / 10
    x, y, width = rates(completed)
    assert y.sum() * width == pytest.approx(100)
    assert y == pytest.approx(np.full(len(x), 10.0), rel=0.15)
    assert rates(np.zeros(0))[2] == 0
