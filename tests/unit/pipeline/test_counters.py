"""What a lane notes of its samples: the native tally and the Python one note the same, and percentiles are right."""

from __future__ import annotations

from array import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.native import _pipeline
from harness.pipeline.counters import (
    BUCKETS,
    COLUMNS,
    HISTOGRAM,
    LAST,
    LAYOUT,
    LONGEST_NS,
    STAGES_AT,
    PythonTally,
    bucket,
    percentile,
    tally,
)
from harness.pipeline.pulse import Pulse

durations_ns = st.integers(0, 10**11)
samples = st.lists(st.tuples(*[durations_ns] * 5, st.integers(1, 10**15)), max_size=20)


def records_of(rows: list[tuple[int, ...]]) -> array[int]:
    """Records whose completion is not known yet; it is written a little after the last decoding."""
    records = array("q")
    for k, (queue, inference, wait, postprocess, _, issued) in enumerate(rows):
        started = issued + queue
        inferred = started + inference
        decoding = inferred + wait
        decoded = decoding + postprocess
        records.extend((k, k, issued, started, inferred, decoding, decoded, decoded))
    return records


@given(samples, st.booleans())
def test_both_tallies_note_the_same(rows: list[tuple[int, ...]], from_start: bool) -> None:
    pulses = Pulse(2), Pulse(2)
    records = records_of(rows), records_of(rows)
    completed = max(records[0][6::8], default=0) + 1000
    _pipeline.Tally(pulses[0].cells(), pulses[0].row(1), LAYOUT, from_start).add(records[0], len(rows), completed)
    PythonTally(pulses[1].cells(), pulses[1].row(1), from_start).add(records[1], len(rows), completed)
    assert records[0] == records[1]
    assert list(pulses[0].cells()) == list(pulses[1].cells())
    counters = pulses[0].counters()
    assert counters.done.tolist() == [0, len(rows)]
    moments = np.array(records[0], np.int64).reshape(-1, len(COLUMNS))[:, 2:]
    assert counters.stages_ns[1].tolist() == np.diff(moments, axis=1).sum(axis=0).tolist()
    assert counters.stages_ns[1].sum() == (moments[:, -1] - moments[:, 0]).sum()
    assert counters.histogram.sum() == len(rows)


def test_only_the_samples_answered_together_get_their_moment() -> None:
    pulse, records = Pulse(1), records_of([(1, 2, 0, 3, 0, 10), (1, 2, 0, 3, 0, 20), (1, 2, 0, 3, 0, 30)])
    counted = tally(pulse.cells(), 0, from_start=False)
    counted.add(records, 1, 50)
    assert records[7::8].tolist() == [16, 26, 50]
    assert pulse.counters().stages_ns[0].tolist() == [1, 2, 0, 3, 14]
    assert pulse.cells()[LAST] == 50
    assert pulse.counters().first_ns.tolist() == [30]
    assert type(counted) is _pipeline.Tally


@pytest.mark.parametrize("wrong", [(-1,), (2,)])
def test_a_count_that_is_not_there_is_refused(wrong: tuple[int]) -> None:
    pulse = Pulse(1)
    with pytest.raises(ValueError, match="not that many records"):
        tally(pulse.cells(), 0, from_start=True).add(array("q", range(8)), wrong[0], 0)


def test_a_row_outside_the_cells_is_refused() -> None:
    with pytest.raises(ValueError, match="outside the cells"):
        tally(Pulse(1).cells(), 10, from_start=True)
    with pytest.raises(ValueError, match="64-bit"):
        tally(memoryview(bytearray(10**6)), 0, from_start=True)


@given(st.integers(1, LONGEST_NS - 1))
def test_a_latency_is_known_within_0_8_percent(latency_ns: int) -> None:
    counts = np.zeros(BUCKETS, np.int64)
    counts[bucket(latency_ns)] = 1
    assert percentile(counts, 0.5) == pytest.approx(latency_ns, rel=0.008)


def test_latencies_outside_the_range_are_counted_at_its_ends() -> None:
    assert bucket(-5) == bucket(0) == 0
    assert bucket(LONGEST_NS * 8) == bucket(LONGEST_NS - 1) == BUCKETS - 1


@given(st.lists(st.integers(1, 10**10), min_size=1), st.sampled_from([0.5, 0.9, 0.99]))
def test_percentiles_are_loadgens(latencies_ns: list[int], share: float) -> None:
    """LoadGen sorts the latencies and takes the one at the index that is that share of their number, cut to a whole."""
    counts = np.zeros(BUCKETS, np.int64)
    for latency in latencies_ns:
        counts[bucket(latency)] += 1
    exact = sorted(latencies_ns)[int(share * len(latencies_ns))]
    assert percentile(counts, share) == pytest.approx(exact, rel=0.008)


def test_nothing_counted_has_no_percentile() -> None:
    assert percentile(np.zeros(BUCKETS, np.int64), 0.9) is None
    assert HISTOGRAM == STAGES_AT + 5
