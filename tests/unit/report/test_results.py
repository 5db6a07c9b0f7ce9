"""Many runs as a table, filtered, and a figure of theirs over time."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

import pytest

from harness.errors import DataError, UsageError
from harness.report.results import Filter, chart_html, find_results, results_table
from harness.runs.summary import summarise
from tests.support.made_runs import made_run, made_samples

NASTY = "<script>x"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three finished runs, one that failed early, one whose manifest is damaged, and a file."""
    where = tmp_path_factory.mktemp("results")
    offline = {"offline": made_samples(100, offline=True)}
    summarise(made_run(where / "b-second", offline, started="2026-11-25T10:00:00+00:00"))
    summarise(made_run(where / f"a-{NASTY}", {"single_stream": made_samples(100)}, started="2026-11-24T10:00:00+00:00"))
    npu = {"name": "npu", "simulated": False, "options": {}}
    summarise(made_run(where / "c-third", offline, valid=False, backend=npu, started="2026-11-26T10:00:00+00:00"))
    (where / "d-early").mkdir()
    early = {"status": "failed", "started": "2026-11-27T10:00:00+00:00", "reason": "no model"}
    (where / "d-early/manifest.json").write_text(json.dumps(early))
    (where / "e-damaged").mkdir()
    (where / "e-damaged/manifest.json").write_text("{")
    (where / "README.md").write_text("")
    return where


def names(folder: Path, **wanted: object) -> list[str]:
    return [run.folder.name for run in find_results(folder, Filter(**wanted))[0]]  # type: ignore[arg-type]


def test_runs_come_in_the_order_of_time_and_damaged_ones_are_named(folder: Path) -> None:
    found, damaged = find_results(folder, Filter())
    assert [run.folder.name for run in found] == [f"a-{NASTY}", "b-second", "c-third", "d-early"]
    assert [path.name for path, _ in damaged] == ["e-damaged"]
    rows = results_table(found).rows
    assert [row[-1] for row in rows] == ["VALID", "VALID", "INVALID", "failed"]
    assert rows[0][2] == "simulated (SIMULATED)"
    assert rows[2][2] == "npu"
    assert str(rows[1][7]).endswith("samples/s")


def test_filters_leave_what_is_asked_for(folder: Path) -> None:
    assert names(folder, scenario="offline") == ["b-second", "c-third"]
    assert names(folder, backend="npu") == ["c-third"]
    assert names(folder, valid=True) == [f"a-{NASTY}", "b-second"]
    assert names(folder, since=datetime(2026, 11, 25, 12, tzinfo=timezone.utc)) == ["c-third", "d-early"]
    assert names(folder, model="ssd-res") == [f"a-{NASTY}", "b-second", "c-third"]
    assert names(folder, model="yolo") == []
    assert names(folder, name="second") == ["b-second"]
    with pytest.raises(DataError, match="no such folder"):
        find_results(folder / "nowhere", Filter())


def test_a_chart_has_the_runs_that_have_the_figure(folder: Path) -> None:
    found, _ = find_results(folder, Filter())
    page = chart_html(found, "offline.samples_per_second")
    assert "2 runs over time" in page
    assert "circle-open" not in page.split("</main>")[0]
    assert '"square-open"' in page  # the INVALID one
    assert "<script>x" not in chart_html(found, "single_stream.latency_ms.p90")
    with pytest.raises(UsageError, match=r"no run has the figure 'offline\.samples'") as caught:
        chart_html(found[:1], "offline.samples")
    assert "single_stream.latency_ms.p90" in str(caught.value)
