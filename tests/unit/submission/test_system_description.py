"""systems/*.json: every field of the round, each with what may be in it, all mistakes named at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.rounds import load_round
from harness.settings import SubmissionSettings
from harness.submission.machine import describe_machine
from harness.submission.system_description import read_json_object, read_system, system_errors

RULES = load_round("v2.0").submission
EXAMPLE = Path(__file__).parents[3] / "configs" / "systems" / "simulated.json"


def example(**changes: Any) -> dict[str, Any]:
    return {**read_json_object(EXAMPLE), "submitter": "Org", **changes}


def test_the_shipped_example_lacks_only_the_submitter() -> None:
    assert system_errors(example(), RULES) == []
    assert [error.field for error in system_errors(read_json_object(EXAMPLE), RULES)] == ["submitter"]


@pytest.mark.parametrize(
    ("changes", "found", "required"),
    [
        ({"status": "ready"}, '"ready"', "one of available | preview | rdi"),
        ({"system_type": "phone"}, '"phone"', "one of edge | datacenter | datacenter,edge | edge,datacenter"),
        ({"division": "ajar"}, '"ajar"', "one of closed | open"),
        ({"number_of_nodes": 0}, "0", "a number from 1"),
        ({"number_of_nodes": "one"}, '"one"', "a number from 1"),
        ({"host_processor_core_count": 2.5}, "2.5", "a number or a text in ASCII"),
        ({"cooling": "W\u00e4rmetauscher"}, '"W\\u00e4rmetauscher"', "a text in ASCII"),
        ({"cooling": None}, "null", "a text in ASCII"),
        ({"system_name": "  "}, '"  "', "a text, not empty, in ASCII"),
        ({"colour": "red"}, '"red"', "no such field"),
    ],
)
def test_a_field_that_is_wrong_says_what_was_found_and_what_is_required(
    changes: dict[str, Any], found: str, required: str
) -> None:
    [error] = system_errors(example(**changes), RULES)
    assert (error.field, error.found, error.required) == (next(iter(changes)), found, required)


@pytest.mark.parametrize("field", RULES.system_fields)
def test_every_field_of_the_round_is_required(field: str) -> None:
    system = example()
    del system[field]
    [error] = system_errors(system, RULES)
    assert (error.field, error.found) == (field, "nothing")


def test_numbers_may_be_texts_and_the_status_in_capitals_as_published_ones_have_it() -> None:
    assert system_errors(example(number_of_nodes="4", accelerators_per_node="8", status="Available"), RULES) == []


def settings(path: Path, submitter: str = "Org") -> SubmissionSettings:
    return SubmissionSettings(division="closed", submitter=submitter, system=path)


def written(path: Path, **changes: Any) -> Path:
    path.write_text(json.dumps(example(**changes)))
    return path


def test_a_file_is_read_with_all_its_mistakes_in_one_message(tmp_path: Path) -> None:
    path = written(tmp_path / "x.json", status="soon", number_of_nodes=-1)
    with pytest.raises(UsageError, match=r"(?s)x\.json: status: found .*; number_of_nodes: found -1") as caught:
        read_system(settings(path), RULES)
    assert caught.value.hint is not None
    assert "doctor system" in caught.value.hint


def test_the_owner_is_filled_in_and_never_changed(tmp_path: Path) -> None:
    path = written(tmp_path / "x.json", submitter="", division="")
    system = read_system(settings(path), RULES)
    assert (system["submitter"], system["division"]) == ("Org", "closed")
    written(path, submitter="Other")
    with pytest.raises(UsageError, match="submitter is 'Other', the run's is 'Org'"):
        read_system(settings(path), RULES)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read"),
        ("[]", "expected an object, found a list"),
        ('{"status": "rdi", "status": "preview"}', "the key 'status' is there twice"),
    ],
)
def test_a_file_that_is_no_object_is_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=words):
        read_json_object(path)


def test_this_machine_describes_itself_with_every_field_and_nothing_wrong() -> None:
    system = describe_machine(RULES, division="closed", submitter="Org")
    assert tuple(system) == RULES.system_fields
    assert system_errors(system, RULES) == []
    assert system["host_memory_capacity"].endswith("iB")
    assert system["host_processor_core_count"] >= 1
    assert "mlcommons-loadgen 6" in system["other_software_stack"]
