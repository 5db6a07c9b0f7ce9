"""Which round a submission tree is of, by what is written in it."""

from __future__ import annotations

import re
from pathlib import Path

from harness.files import text_if_readable
from harness.model.registry import load_model
from harness.rounds import load_round, round_names
from harness.settings import default_model_name
from harness.submission.implementation import ROUND_SENTENCE

_READMES = ("*/*/measurements/*/*/*/README.md", "*/*/results/*/*/*/README.md")
_VERSION = re.compile(r"(?<![A-Za-z0-9])v\d+\.\d+(?![A-Za-z0-9.])")


def stated_round(root: Path) -> str | None:
    """The round that a tree says it is of: in the README.md files that `submission build` writes, or in its own name.

    MLCommons' repositories are called ``inference_results_v1.1``.

    Returns:
        A name that `load_round` knows; None where nothing is said, or of several rounds.
    """
    names = {name for pattern in _READMES for path in sorted(root.glob(pattern)) if (name := _stated_in(path))}
    if not names:
        names = set(_VERSION.findall(root.resolve().name))
    known = names & set(round_names())
    return known.pop() if len(names) == len(known) == 1 else None


def likely_round(root: Path) -> str:
    """The round to assume of a tree that does not say: the default model's, or the newest that has its benchmarks."""
    usual = load_model(default_model_name()).round
    there = {path.name for path in root.glob("*/*/results/*/*")}
    with_rules = [name for name in round_names() if there & set(load_round(name).benchmarks)]
    return usual if usual in with_rules or not with_rules else with_rules[-1]


def _stated_in(readme: Path) -> str | None:
    found = re.search(ROUND_SENTENCE, text_if_readable(readme), re.MULTILINE)
    return None if found is None else found[1]
