"""``ssd-harness doctor system`` writes a systems JSON that a submission takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness import cli
from harness.rounds import load_round
from harness.settings import Division, SubmissionSettings
from harness.submission.system_description import read_system, system_errors

Capture = pytest.CaptureFixture[str]


def test_it_prints_json_and_says_what_is_left_to_fill_in(capsys: Capture) -> None:
    assert cli.main(["doctor", "system"]) == 0
    shown = capsys.readouterr()
    system = json.loads(shown.out)
    rules = load_round("v2.0").submission
    assert [error.field for error in system_errors(system, rules)] == ["division", "submitter"]
    assert "to be filled in: submitter" in shown.err
    assert "to be filled in: division, one of closed | open (the run's --division does)" in shown.err
    assert "cooling" in shown.err


def test_it_writes_what_it_is_told(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "npu.json"
    given = [
        "--submitter",
        "Org",
        "--division",
        "open",
        "--name",
        "NPU x1",
        "--type",
        "datacenter",
        "--status",
        "preview",
    ]
    assert cli.main(["doctor", "system", *given, "--output", str(path)]) == 0
    system = json.loads(path.read_text())
    fields = ("submitter", "division", "system_name", "system_type", "status")
    assert [system[field] for field in fields] == ["Org", "open", "NPU x1", "datacenter", "preview"]
    assert system_errors(system, load_round("v2.0").submission) == []
    assert capsys.readouterr().out.strip() == str(path)
    # what a person has corrected is not written over
    assert cli.main(["doctor", "system", "--output", str(path)]) == 2


def test_a_type_that_there_is_not_is_refused(capsys: Capture) -> None:
    assert cli.main(["doctor", "system", "--type", "phone"]) == 2
    assert '--type: found "phone", required one of edge' in capsys.readouterr().err


def test_json_is_one_document_with_the_description_and_what_it_lacks(tmp_path: Path, capsys: Capture) -> None:
    assert cli.main(["doctor", "system", "--output", str(tmp_path / "mine.json"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["system"] == json.loads((tmp_path / "mine.json").read_text())
    assert list(document["to_be_filled_in"]) == ["division", "submitter"]


@pytest.mark.parametrize("division", ["closed", "open"])
def test_what_it_writes_serves_a_run_of_either_division(division: Division, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    assert cli.main(["doctor", "system", "--output", str(path)]) == 0
    settings = SubmissionSettings(division=division, submitter="Org", system=path)
    system = read_system(settings, load_round("v2.0").submission)
    assert (system["division"], system["submitter"]) == (division, "Org")
