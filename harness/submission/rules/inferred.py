"""A scenario whose result is worked out from another one's logs: its folders are copies of the other's, whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from harness.files import sha256_file
from harness.loadgen.plan import LOADGEN_SCENARIOS
from harness.submission.rules.finding import Problem, Rule
from harness.submission.rules.loadgen_test import LoadGenTest
from harness.submission.tree import Place


def is_a_copy(test: LoadGenTest) -> Iterator[Problem]:
    """Results, compliance and configuration of an inferred scenario are those of the scenario that was run."""
    tree, place = test.tree, test.place
    source = replace(place, scenario=LOADGEN_SCENARIOS[test.scenario])
    remedy = f"copy all of {source.scenario} to {place.scenario}, or run {place.scenario}"
    for folder, original in _folders(place, source):
        mine = {path.removeprefix(folder) for path in tree.below(folder)}
        theirs = {path.removeprefix(original) for path in tree.below(original)}
        if folder.split("/")[2] == "measurements":
            # the README and the description name their own scenario
            mine, theirs = mine & {"/mlperf.conf", "/user.conf"}, theirs & {"/mlperf.conf", "/user.conf"}
        for name in sorted(mine | theirs):
            one, other = tree.root / f"{folder}{name}", tree.root / f"{original}{name}"
            if not one.is_file() or not other.is_file() or sha256_file(one) != sha256_file(other):
                found = "another file" if one.is_file() else "nothing"
                yield Problem(f"{folder}{name}", found, f"a copy of {original}{name}", remedy)


RULES: dict[str, Rule[LoadGenTest]] = {"copy of the scenario it is inferred from": is_a_copy}


def _folders(place: Place, source: Place) -> list[tuple[str, str]]:
    parts = ("results", "compliance", "measurements")
    return [
        (
            f"{place.owner}/{part}/{place.system}/{place.benchmark}/{place.scenario}",
            f"{source.owner}/{part}/{source.system}/{source.benchmark}/{source.scenario}",
        )
        for part in parts
    ]
