"""The counters of a running test, as the process that watches reads them."""

from __future__ import annotations

from harness.pipeline.counters import CURRENT, DONE
from harness.pipeline.pulse import Pulse


def test_signs_of_life_are_answers_and_beats() -> None:
    pulse = Pulse(2)
    pulse.beat()
    pulse.cells()[pulse.row(1) + DONE] += 3
    assert (pulse.done, pulse.total) == (3, 4)


def test_a_session_shows_the_sample_it_is_at() -> None:
    pulse = Pulse(3)
    pulse.cells()[pulse.row(2) + CURRENT] = 1
    assert [state.sample for state in pulse.slots()] == [None, None, 0]
    assert pulse.counters().at_work.tolist() == [0, 0, 1]


def test_what_loadgen_issued_is_counted() -> None:
    pulse = Pulse(1)
    pulse.cells()[pulse.submitted_cell] += 20
    assert pulse.counters().submitted == 20
    assert pulse.total == 0


def test_counters_are_of_one_moment() -> None:
    pulse = Pulse(1)
    before = pulse.counters()
    pulse.cells()[DONE] = 7
    assert before.done.tolist() == [0]
    assert pulse.counters().done.tolist() == [7]
