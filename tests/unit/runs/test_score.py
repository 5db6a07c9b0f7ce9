"""The headline is what the round scores, in every place the same number."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from harness import cli
from harness.loadgen.log import DetailLog
from harness.report import load_run
from harness.report.headlines import headlines
from harness.runs.records import TestRecord
from harness.runs.score import score_of_log
from harness.runs.summary import summarise
from tests.support.made_runs import made_record, made_run, made_samples

ESTIMATE_NS = 5_432_100
RULES = {"min_duration_s": 1.0, "min_queries": 64, "latency_percentile": 0.9}
RESULT = {"result": {"key": "early_stopping_latency_ss", "unit": "ns"}}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A SingleStream run whose log has an early-stopping estimate, which the round scores."""
    folder = made_run(tmp_path / "results" / "scored", {"single_stream": made_samples(200)})
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["tests"][0]["rules"] = RULES | RESULT
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with (folder / "single_stream/performance/run_1/mlperf_log_detail.txt").open("a") as log:
        entry = {"key": "early_stopping_latency_ss", "value": ESTIMATE_NS, "metadata": {}}
        log.write(f":::MLLOG {json.dumps(entry)}\n")
    summarise(folder)
    return folder


def test_every_place_shows_the_same_number(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario = json.loads((run / "summary.json").read_text())["scenarios"]["single_stream"]
    assert (scenario["score"], scenario["score_unit"]) == (5.4321, "ms")
    assert scenario["score_measure"] == "early-stopping estimate of p90"
    p90 = scenario["latency_ms"]["p90"]
    assert cli.main(["report", str(run)]) == 0
    assert "5.432 ms (ES p90)" in capsys.readouterr().out
    [headline] = [line for line in headlines(load_run(run).summary) if line.title == "SingleStream"]
    assert (headline.value, headline.unit) == ("5.432", "ms")
    assert headline.note == f"early-stopping estimate of p90 of 200 queries; p90 {p90:.3f} ms"
    assert cli.main(["results", str(run.parent), "--format", "csv"]) == 0
    [row] = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert row["SingleStream, ms"] == "5.4321"
    assert cli.main(["report", str(run), "--compare", str(run), "--format", "json"]) == 0
    figures = {figure["name"]: figure for figure in json.loads(capsys.readouterr().out)["figures"]}
    assert figures["score"]["value"] == 5.4321
    assert figures["p90"]["value"] == p90


def score_with(value: Any) -> Any:
    record = TestRecord.model_validate(made_record("single_stream", "performance", rules=RULES | RESULT))
    values = {} if value is None else {"early_stopping_latency_ss": value}
    return score_of_log(DetailLog(values, (), ()), record)


@pytest.mark.parametrize("value", [None, 0])
def test_a_test_that_is_too_short_has_no_score(value: int | None) -> None:
    score = score_with(value)
    assert score.value is None
    assert score.text == "no score: too few queries for the early-stopping estimate of p90"


def test_a_figure_of_an_invalid_test_says_so(tmp_path: Path) -> None:
    folder = made_run(tmp_path / "run", {"offline": made_samples(100, offline=True)}, valid=False)
    [offline] = headlines(load_run(folder).summary)
    assert offline.title == "Offline, INVALID"
