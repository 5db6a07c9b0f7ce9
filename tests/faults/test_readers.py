"""Readers that go away, streams that are closed or full: the work is done, and a status says no more than was done."""

from __future__ import annotations

import json

import pytest

from tests.faults.command import Harness

RUN = "$H run c.yaml --output r"


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(f"{RUN} 2>&1 | head -3; exit ${{PIPESTATUS[0]}}", marks=pytest.mark.quick_fault),
        f"{RUN} | true; exit ${{PIPESTATUS[0]}}",
        f"{RUN} --json-progress 2>&1 >/dev/null | head -2; exit ${{PIPESTATUS[0]}}",
        f"{RUN} --quiet 2>&1 | true; exit ${{PIPESTATUS[0]}}",
        pytest.param(f"{RUN} >&-", marks=pytest.mark.quick_fault),
        f"{RUN} 2>&-",
        pytest.param(f"{RUN} <&- >&- 2>&-", marks=pytest.mark.quick_fault),
        f"{RUN} 2>/dev/full",
        f"{RUN} --json-progress 2>/dev/full",
        f"{RUN} --scenario server --mode performance 2>&1 | true; exit ${{PIPESTATUS[0]}}",
        f"{RUN} --scenario multi_stream --mode performance >&- 2>&-",
    ],
)
def test_a_run_outlives_its_readers(harness: Harness, line: str) -> None:
    done = harness.shell(line)
    assert harness.manifest()["status"] == "complete", done.err
    summary = json.loads((harness.folder / "r/summary.json").read_text())
    assert done.status == (0 if summary["valid"] else 1)  # a busy machine may answer queries of Server too late
    assert (harness.folder / "r/report.html").is_file()


@pytest.mark.quick_fault
def test_results_that_a_full_disk_lost_are_not_status_0(harness: Harness) -> None:
    assert harness.shell(f"{RUN} >/dev/full").status == 3
    assert harness.manifest()["status"] == "complete"
    assert "could not be written: No space left on device" in harness.written("err")


@pytest.mark.parametrize(
    ("command", "status"),
    [
        pytest.param("submission check .", 1, marks=pytest.mark.quick_fault),
        ("submission check nothing-here", 2),
        ("results .", 0),
        ("backends", 0),
        ("report nothing-here", 3),
        ("accuracy nothing-here --annotations x", 3),
        ("run --nonsense", 2),
        ("--help", 0),
    ],
)
@pytest.mark.parametrize("reader", ["| true", "2>&1 | true", "2>&1 | head -1", ">&- 2>&-"])
def test_a_command_keeps_its_status_without_a_reader(harness: Harness, command: str, status: int, reader: str) -> None:
    (harness.folder / "closed/x").mkdir(parents=True)
    whole = harness.run(*command.split()).status
    assert whole in (status, 2, 3) if status in (2, 3) else whole == status
    end = "; exit ${PIPESTATUS[0]}" if "|" in reader else ""
    assert harness.shell(f"$H {command} {reader}{end}").status == whole


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252", "koi8-r"])
def test_every_encoding_shows_the_whole_table(harness: Harness, encoding: str) -> None:
    harness.environment["PYTHONIOENCODING"] = encoding
    done = harness.run("run", "c.yaml", "--output", "r")
    assert done.status == 0, done.err
    assert "SingleStream" in done.out
    assert "Files: r" in done.out
