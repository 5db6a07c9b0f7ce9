"""A scenario whose result is worked out from another one's logs: its folders are copies of the other's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from harness.files import sha256_file
from harness.loadgen.plan import LOADGEN_SCENARIOS
from harness.submission.rules.finding import Problem, Rule
from harness.submission.rules.layout import system_type
from harness.submission.rules.loadgen_test import LoadGenTest
from harness.submission.tree import FolderKind, Place

_CONFIGURATION = ("mlperf.conf", "user.conf")
"""Of the measurements, what is the same; the README and the description name their own scenario."""


def is_a_copy(test: LoadGenTest) -> Iterator[Problem]:
    """Results and configuration of an inferred scenario are those of the scenario that was run.

    Compliance tests may be copied too, be left out, or be the inferred scenario's own.
    """
    tree, place = test.tree, test.place
    origin, own = LOADGEN_SCENARIOS[test.scenario], LOADGEN_SCENARIOS[place.scenario]
    remedy = f"copy all of {origin} to {own}, or run {own}"
    source = _source(test)
    if source is None:
        yield Problem(str(place), f"{origin}'s logs", f"{origin} of the same system", f"add {origin}'s own results")
        return
    kinds: tuple[FolderKind, ...] = ("accuracy", "performance")
    for kind in kinds:
        folder, original = tree.folder(kind, place), tree.folder(kind, source)
        mine = {path.removeprefix(folder) for path in tree.below(folder)}
        theirs = {path.removeprefix(original) for path in tree.below(original)}
        for name in sorted(mine | theirs):
            yield from _differs(test, f"{folder}{name}", f"{original}{name}", remedy)
    folder, original = tree.folder("measurements", place), tree.folder("measurements", source)
    for name in _CONFIGURATION:
        if {f"{folder}/{name}", f"{original}/{name}"} & tree.there:
            for problem in _differs(test, f"{folder}/{name}", f"{original}/{name}", remedy):
                yield replace(problem, status="WARN")  # the scenario's own may say the same in its own name


def on_edge(test: LoadGenTest) -> Iterator[Problem]:
    """Only results of edge systems are inferred."""
    kind = system_type(test.tree, test.place.owner, test.place.system)
    if kind is not None and "edge" not in kind:
        own = LOADGEN_SCENARIOS[test.place.scenario]
        yield Problem(str(test.place), f"an inferred result of a {kind} system", "an edge system", f"run {own}")


RULES: dict[str, Rule[LoadGenTest]] = {
    "copy of the scenario it is inferred from": is_a_copy,
    "inferred on edge": on_edge,
}


def _source(test: LoadGenTest) -> Place | None:
    place = test.place
    wanted = replace(place, folder="", scenario=test.scenario)
    return next((other for other in test.tree.places if replace(other, folder="") == wanted), None)


def _differs(test: LoadGenTest, path: str, original: str, remedy: str) -> Iterator[Problem]:
    one, other = test.tree.root / path, test.tree.root / original
    if not one.is_file() or not other.is_file() or sha256_file(one) != sha256_file(other):
        found = f"another {PurePosixPath(path).name}" if one.is_file() else "nothing"
        yield Problem(path, found, f"a copy of {original}", remedy)
