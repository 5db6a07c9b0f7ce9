"""The summary's tables keep what matters on a narrow terminal."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

from rich.console import Console

from harness.report.summary_tables import nodes_table
from harness.report.tables import print_table
from harness.runs.figures import NodeFigures
from harness.stages import STAGES


def figures(*, lost: bool) -> Any:
    """Of a test on two nodes."""
    stages = dict.fromkeys(STAGES, 123.456)
    node = NodeFigures(sessions=4, samples=100_000, busy=0.993, way_ms=2.836, way_share=0.0589, stages_ms=stages)
    return SimpleNamespace(nodes={"server-of-eight": node, "other": node.model_copy(update={"lost": lost})})


def test_nodes_fit_80_columns_with_the_word_for_a_lost_one() -> None:
    out = io.StringIO()
    print_table(nodes_table("offline", figures(lost=True), stages=False), Console(file=out, width=80))
    lines = out.getvalue().splitlines()
    assert max(len(line) for line in lines) <= 80
    [first] = [line.split() for line in lines if "server-of-eight" in line]
    [second] = [line.split() for line in lines if "other" in line]
    assert first == ["server-of-eight", "4", "100000", "99.3", "%", "2.836", "5.89", "%"]
    assert second[-1] == "lost"


def test_without_a_lost_node_there_is_no_column_for_it() -> None:
    table = nodes_table("offline", figures(lost=False))
    assert all(table.columns)
    assert table.columns[-1] == "way share"
    assert [f"{stage} ms" in table.columns for stage in STAGES] == [True] * len(STAGES)
