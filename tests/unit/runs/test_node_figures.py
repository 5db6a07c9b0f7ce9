"""What a summary and a trace say of nodes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from harness.runs.records import NodeRecord, SessionRecord, TestRecord, TestRules
from harness.runs.samples import nodes, sessions
from harness.runs.trace import _one_after_the_other

MOMENTS = ("issued_ns", "started_ns", "inferred_ns", "decoding_ns", "decoded_ns", "completed_ns")


def samples(*rows: tuple[int, ...]) -> pd.DataFrame:
    """Session, and the moments in ms."""
    table = pd.DataFrame(rows, columns=["session", *MOMENTS])
    table[list(MOMENTS)] = (table[list(MOMENTS)] * 1_000_000).astype(np.int64)
    return table.assign(sample_index=0, sample_id=range(len(rows)))


def test_a_nodes_part_is_that_of_its_sessions() -> None:
    test = TestRecord(
        scenario="offline",
        mode="performance",
        number=1,
        rules=TestRules(min_duration_s=1, min_queries=1),
        performance_sample_count=1,
        sessions=(
            SessionRecord(index=0, name="a/cpu#0", node="a"),
            SessionRecord(index=1, name="a/cpu#1", node="a"),
            SessionRecord(index=2, name="b/cpu#2", node="b"),
        ),
        nodes=(NodeRecord(name="a", samples=2, way_ms=0.5, way_share=0.1), NodeRecord(name="b", samples=0, lost=True)),
    )
    table = samples((0, 0, 1, 5, 5, 6, 10), (1, 0, 2, 4, 4, 6, 10))
    found = nodes(table, test, sessions(table, test.session_names))
    assert (found["a"].sessions, found["a"].samples, found["a"].busy) == (2, 2, 0.3)
    assert found["a"].stages_ms == {"queue": 1.5, "inference": 3.0, "wait": 0.0, "postprocess": 1.5, "complete": 4.0}
    assert (found["a"].way_ms, found["a"].way_share, found["a"].lost) == (0.5, 0.1, False)
    assert (found["b"].sessions, found["b"].samples, found["b"].busy) == (1, 0, 0.0)
    assert found["b"].stages_ms == {}
    assert found["b"].lost


def test_samples_that_overlap_in_a_trace_are_moved_later_and_keep_their_durations() -> None:
    own = samples((0, 0, 1, 5, 5, 6, 10), (0, 0, 4, 8, 8, 9, 10), (0, 0, 20, 22, 22, 23, 24))
    moved = _one_after_the_other(own)
    assert (moved["started_ns"] / 1e6).tolist() == [1, 5, 20]
    assert ((moved["inferred_ns"] - moved["started_ns"]) / 1e6).tolist() == [4, 4, 2]
    assert (moved["completed_ns"] >= moved["decoded_ns"]).all()


def test_samples_one_after_the_other_stay_as_they_are() -> None:
    own = samples((0, 0, 1, 5, 5, 6, 10), (0, 0, 5, 8, 8, 9, 10))
    assert _one_after_the_other(own) is own
