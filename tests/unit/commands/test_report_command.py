"""``ssd-harness report`` and ``results``: every format, every target, every mistake."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from harness import cli
from harness.runs.summary import summarise
from tests.support.made_runs import made_run, made_samples

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``base``, the slower ``slow``, and the INVALID ``bad``."""
    folder = tmp_path_factory.mktemp("runs")
    for name, latency, valid in (("base", 5.0, True), ("slow", 5.4, True), ("bad", 5.0, False)):
        scenarios = {
            "single_stream": made_samples(200, latency_ms=latency),
            "offline": made_samples(400, latency_ms=latency, sessions=2, offline=True),
        }
        summarise(made_run(folder / name, scenarios, valid=valid))
    return folder


def test_a_report_is_made_again_and_shown(runs: Path, capsys: Capture) -> None:
    assert cli.main(["report", str(runs / "base")]) == 0
    shown = capsys.readouterr()
    assert "SingleStream" in shown.out
    assert "VALID" in shown.out
    assert (runs / "base" / "report.html").is_file()
    assert cli.main(["report", str(runs / "bad")]) == 1
    assert "Offline is INVALID: it ended before its 600 s" in capsys.readouterr().out


def test_every_format_has_the_figures(runs: Path, tmp_path: Path, capsys: Capture) -> None:
    base = str(runs / "base")
    summary = json.loads((runs / "base" / "summary.json").read_text())
    p90 = summary["scenarios"]["single_stream"]["latency_ms"]["p90"]
    assert cli.main(["report", base, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == summary
    assert cli.main(["report", base, "--format", "csv"]) == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows[0] == ["run", "scenario", "figure", "value"]
    assert [base, "single_stream", "latency_ms.p90", str(p90)] in rows
    assert cli.main(["report", base, str(runs / "slow"), "--format", "markdown"]) == 0
    text = capsys.readouterr().out
    assert f"| SingleStream | {p90:.3f} ms (p90) |" in text
    assert text.count("| Offline |") == 2
    out = tmp_path / "out.txt"
    assert cli.main(["report", base, "--format", "table", "--output", str(out)]) == 0
    assert "SingleStream" in out.read_text()
    page = tmp_path / "page.html"
    assert cli.main(["report", base, "--format", "html", "--output", str(page)]) == 0
    assert page.read_text().startswith("<!DOCTYPE html>")


def test_a_comparison_says_what_is_slower(runs: Path, tmp_path: Path, capsys: Capture) -> None:
    slow, base = str(runs / "slow"), str(runs / "base")
    assert cli.main(["report", slow, "--compare", base]) == 0
    shown = capsys.readouterr().out
    assert "Nothing differs in configuration, system, model and versions." in shown
    assert "SingleStream p50 is slower (+" in " ".join(shown.split())
    assert cli.main(["report", slow, "--compare", base, "--fail-if-slower"]) == 1
    assert cli.main(["report", base, "--compare", base, "--fail-if-slower"]) == 0
    capsys.readouterr()
    assert cli.main(["report", slow, "--compare", base, "--format", "json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert {figure["verdict"] for figure in data["figures"] if figure["name"] == "mean"} == {"slower"}
    assert cli.main(["report", slow, "--compare", base, "--threshold", "20", "--format", "markdown"]) == 0
    assert "no significant change. Changes within ±20 % do not count." in capsys.readouterr().out
    assert cli.main(["report", slow, "--compare", base, "--format", "html"]) == 0
    page = (runs / "slow" / "comparison-with-base.html").read_text()
    assert "single_stream-distributions" in page
    assert "offline-throughputs" in page
    assert cli.main(["report", slow, base, "--compare", base, "--format", "csv"]) == 0


@pytest.mark.parametrize(
    ("more", "status", "message"),
    [
        (["--fail-if-slower"], 2, "--fail-if-slower needs a baseline"),
        (["--compare", "nowhere"], 3, "nowhere: is not a run directory"),
        (["--threshold", "-1", "--compare", "x"], 2, "is not a percentage"),
        (["--format", "pdf"], 2, "invalid choice"),
    ],
)
def test_mistakes_are_one_error(runs: Path, more: list[str], status: int, message: str, capsys: Capture) -> None:
    assert cli.main(["report", str(runs / "base"), *more]) == status
    assert message in capsys.readouterr().err


def test_several_pages_do_not_go_into_one_file(runs: Path, tmp_path: Path, capsys: Capture) -> None:
    both = [str(runs / "base"), str(runs / "slow")]
    one = ["--format", "html", "--output", str(tmp_path / "x.html")]
    assert cli.main(["report", *both, *one]) == 2
    assert cli.main(["report", *both, "--compare", both[0], *one]) == 2
    assert "into one file" in capsys.readouterr().err


def test_results_are_listed_filtered_and_charted(runs: Path, tmp_path: Path, capsys: Capture) -> None:
    assert cli.main(["results", str(runs), "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {row["run"]: row["verdict"] for row in rows} == {"base": "VALID", "slow": "VALID", "bad": "INVALID"}
    assert cli.main(["results", str(runs), "--valid", "--name", "slow"]) == 0
    shown = capsys.readouterr().out
    assert "slow" in shown
    assert "base" not in shown
    assert cli.main(["results", str(runs), "--backend", "npu"]) == 0
    assert "No such runs" in capsys.readouterr().err
    chart = tmp_path / "chart.html"
    assert cli.main(["results", str(runs), "--chart", "offline.samples_per_second", "--output", str(chart)]) == 0
    assert "3 runs over time" in chart.read_text()
    assert cli.main(["results", str(runs), "--chart", "offline.speed"]) == 2
    assert cli.main(["results", str(runs), "--since", "yesterday"]) == 2
    assert "is no date" in capsys.readouterr().err
    assert cli.main(["results", str(tmp_path / "none")]) == 3
