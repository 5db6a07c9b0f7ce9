"""Forty runs of the fuzz; ``fuzz_session_queue.py`` does as many as it is told."""

from __future__ import annotations

import pytest

from tests.contract.fuzz_session_queue import run


@pytest.mark.parametrize("first", range(0, 40, 10))
def test_no_sample_is_lost_and_none_answered_twice_whatever_sessions_do(first: int) -> None:
    for seed in range(first, first + 10):
        run(seed)
