"""Many runs as a table, filtered, and a figure of theirs over time."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

import pytest

from harness.errors import DataError, UsageError
from harness.report.results import Filter, chart_html, find_results, for_people, read_row, results_table
from harness.runs.directory import alone_in
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
    return [row.folder.name for row in find_results(folder, Filter(**wanted))]  # type: ignore[arg-type]


def test_runs_come_in_the_order_of_time_and_damaged_ones_are_named(folder: Path) -> None:
    found = find_results(folder, Filter())
    assert [row.folder.name for row in found] == [f"a-{NASTY}", "b-second", "c-third", "d-early", "e-damaged"]
    rows = results_table(found).rows
    assert [row[-2] for row in rows] == ["VALID", "VALID", "INVALID", "failed", "damaged"]
    assert [row[-1] for row in rows[:4]] == [None, None, "Offline", "no model"]
    assert str(rows[4][-1]).startswith("manifest.json is damaged")
    assert rows[0][2:6] == ("simulated", 64, "yes", "yes")
    assert rows[2][2] == "npu"
    assert results_table(found).columns[9] == "Offline, samples/s"
    assert rows[1][9] == pytest.approx(194, rel=0.05)


def test_a_run_itself_can_be_named(folder: Path) -> None:
    assert names(folder / "b-second") == ["b-second"]
    assert results_table(find_results(folder / "b-second", Filter())).title == "1 run"


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
    found = find_results(folder, Filter())
    page = chart_html(found, "offline.samples_per_second")
    assert "2 runs over time" in page
    assert "circle-open" not in page.split("</main>")[0]
    assert '"square-open"' in page  # the INVALID one
    assert "<script>x" not in chart_html(found, "single_stream.latency_ms.p90")
    with pytest.raises(UsageError, match=r"no run has the figure 'offline\.samples'") as caught:
        chart_html(found[:1], "offline.samples")
    assert "single_stream.latency_ms.p90" in str(caught.value)


DAMAGES = {
    "a list": "[]",
    "null": "null",
    "deep": "[" * 5000 + "]" * 5000,
    "started is no moment": json.dumps({"status": "complete", "started": "yesterday"}),
    "started is a number": json.dumps({"status": "complete", "started": 5}),
    "no status": "{}",
    "tests are text": json.dumps({"status": "complete", "tests": "many"}),
}


@pytest.mark.parametrize("name", DAMAGES)
@pytest.mark.parametrize("file", ["manifest.json", "summary.json"])
def test_a_damaged_run_costs_itself_only(tmp_path: Path, name: str, file: str) -> None:
    summarise(made_run(tmp_path / "sound", {"offline": made_samples(100, offline=True)}))
    summarise(made_run(tmp_path / "damaged", {"offline": made_samples(100, offline=True)}))
    (tmp_path / "damaged" / file).write_text(DAMAGES[name])
    rows = {row.folder.name: row for row in find_results(tmp_path, Filter())}
    table = for_people(results_table(list(rows.values())))
    assert len(table.rows) == 2
    assert rows["sound"].verdict == "VALID"
    sound = (file, name) == ("manifest.json", "started is no moment")  # nothing but its place in time is lost
    assert rows["damaged"].verdict == ("VALID" if sound else "damaged")
    chart_html(list(rows.values()), "offline.samples_per_second")


def test_a_run_whose_process_is_gone_was_interrupted(tmp_path: Path) -> None:
    made_run(tmp_path / "run", {"offline": made_samples(100, offline=True)}, status="running")
    assert read_row(tmp_path / "run").verdict == "interrupted"
    with alone_in(tmp_path / "run"):
        assert read_row(tmp_path / "run").verdict == "running"
