"""A test's profiles as a document, and the means of their sessions."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.report.profile_plots import profile_plots, profile_tables
from harness.runs.documents import write_document
from harness.runs.profiles import ProfileRecord, mean_layers, mean_parts, profile_record
from harness.runs.recorded_run import load_run
from harness.sessions.profile import COMPUTE, TRANSFER_IN, LayerTime, SessionProfile
from tests.support.made_runs import made_run, made_samples

NASTY = "<script>conv"


def two_sessions() -> ProfileRecord:
    layers = (LayerTime(NASTY, "Conv", 10, 30_000_000), LayerTime("add", "Add", 10, 10_000_000))
    parts = {TRANSFER_IN: 5_000_000, COMPUTE: 40_000_000}
    quick = tuple(LayerTime(layer.name, layer.kind, 10, layer.total_ns // 2) for layer in layers)
    return profile_record(
        {"a#0": SessionProfile("made", 10, parts, layers), "a#1": SessionProfile("made", 10, {}, quick)}
    )


def test_means_are_over_all_inferences_of_the_sessions() -> None:
    sessions = two_sessions().sessions.values()
    assert [(layer.name, layer.mean_ms) for layer in mean_layers(sessions)] == [(NASTY, 2.25), ("add", 0.75)]
    assert mean_parts(sessions) == {TRANSFER_IN: 0.25, COMPUTE: 2.0}
    assert mean_layers([]) == []


def test_the_report_shows_layers_operators_and_parts(tmp_path: Path) -> None:
    test = load_run(made_run(tmp_path / "r", {"offline": made_samples(100, offline=True)})).test("offline")
    write_document(test.files.profile, two_sessions())
    (plot,) = profile_plots(test)
    assert plot.traces[0]["y"] == ["add", "&lt;script&gt;conv"]
    assert [row[3] for row in plot.rows] == [75.0, 25.0]
    assert "20 inferences" in plot.note
    parts, operators = profile_tables(test)
    assert parts.rows[1] == (COMPUTE, 2.0, pytest.approx(88.89))
    assert operators.rows == [("Conv", 1, 2.25, 75.0), ("Add", 1, 0.75, 25.0)]


def test_a_run_that_was_not_profiled_shows_nothing(tmp_path: Path) -> None:
    test = load_run(made_run(tmp_path / "r", {"offline": made_samples(100, offline=True)})).test("offline")
    assert test.profile is None
    assert profile_plots(test) == []
    assert profile_tables(test) == []
