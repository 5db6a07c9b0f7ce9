"""A word that is not known comes with the nearest one that is."""

from __future__ import annotations

import pytest

from harness.suggestions import did_you_mean, nearest


@pytest.mark.parametrize(
    ("word", "known", "near"),
    [
        ("rum", ["run", "report"], "run"),
        ("--modle", ["--model", "--mode"], "--model"),
        ("PERFORMANCE_HNT", ["performance_hint"], "performance_hint"),
        ("zzz", ["run", "report"], None),
        ("run", [], None),
    ],
)
def test_the_nearest_word_is_found_whatever_its_case(word: str, known: list[str], near: str | None) -> None:
    assert nearest(word, known) == near


def test_without_a_near_word_all_are_named_or_what_the_caller_says() -> None:
    assert did_you_mean("rum", iter(["run"])) == "did you mean 'run'?"
    assert did_you_mean("zzz", iter(["run", "report"])) == "known: run, report"
    assert did_you_mean("zzz", ["run"], "see the docs") == "see the docs"
