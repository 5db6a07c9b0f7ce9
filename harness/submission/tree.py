"""A submission tree, looked at once.

Which files there are, and which submitter, system, benchmark and scenario they belong to. No file is read here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from harness.accuracy.ground_truth import GroundTruth
from harness.errors import DataError
from harness.loadgen.plan import LOADGEN_SCENARIOS
from harness.rounds import BenchmarkRules, Round, TreeFolder
from harness.scenarios import Scenario
from harness.settings import Division
from harness.submission.path_pattern import fill, match_path

Kind = Literal[
    "systems",
    "measurements",
    "code",
    "accuracy",
    "performance",
    "compliance",
    "compliance_performance",
    "compliance_accuracy",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
SCENARIO_FOLDERS: dict[str, Scenario] = {folder: name for name, folder in LOADGEN_SCENARIOS.items()}
"""LoadGen's name of a scenario, which is its folder's, → ours."""


@dataclass(frozen=True, order=True)
class Place:
    """One scenario of one benchmark on one system of one submitter.

    Attributes:
        scenario: the folder's name, LoadGen's.
    """

    division: Division
    submitter: str
    system: str
    benchmark: str
    scenario: str

    @property
    def owner(self) -> str:
        """``DIVISION/SUBMITTER``."""
        return f"{self.division}/{self.submitter}"

    def __str__(self) -> str:
        return f"{self.owner}/results/{self.system}/{self.benchmark}/{self.scenario}"


@dataclass(frozen=True)
class SubmissionTree:
    """The files of a tree, and to what each belongs.

    Attributes:
    root: the folder that holds ``closed/`` and ``open/``.
    round: whose layout it should have.
    files: every file, as paths from the root with slashes.
    links: symbolic links and what is neither file nor folder.
    empty: folders without anything in them.
    places: that have any file under results, measurements or compliance and whose benchmark the round has rules for.
    others: likewise of the benchmarks without rules.
    backup: folder outside the tree with the whole accuracy logs, laid out as the tree; None: not at hand.
    truth: the dataset's annotations; None: not at hand.
    """

    root: Path
    round: Round
    files: tuple[str, ...]
    links: tuple[str, ...]
    empty: tuple[str, ...]
    places: tuple[Place, ...]
    others: tuple[Place, ...]
    backup: Path | None = None
    truth: GroundTruth | None = None

    @property
    def owners(self) -> list[str]:
        """``DIVISION/SUBMITTER`` of all that there are."""
        return list(dict.fromkeys("/".join(path.split("/")[:2]) for path in self.files if path.count("/") > 1))

    @property
    def systems(self) -> list[tuple[str, str]]:
        """(owner, system) of all places."""
        return list(dict.fromkeys((place.owner, place.system) for place in (*self.places, *self.others)))

    def rules(self, place: Place) -> BenchmarkRules:
        """The round's, for a place's benchmark."""
        return self.round.benchmarks[place.benchmark]

    def folder(self, kind: Kind, place: Place, **fields: str) -> str:
        """The path of a folder, from the root; ``implementation`` and ``test`` are further fields."""
        names = {"system": place.system, "benchmark": place.benchmark, "scenario": place.scenario, **fields}
        return f"{place.owner}/{fill(folder_rules(self.round, kind).path, **names)}"

    def below(self, folder: str) -> list[str]:
        """The files in a folder and its folders."""
        return [path for path in self.files if path.startswith(f"{folder}/")]


def folder_rules(round_: Round, kind: Kind) -> TreeFolder:
    """The round's rules for a kind of folder."""
    rules: TreeFolder = getattr(round_.submission.tree, kind)
    return rules


def read_tree(
    root: Path,
    round_: Round,
    submitter: str | None = None,
    *,
    backup: Path | None = None,
    truth: GroundTruth | None = None,
) -> SubmissionTree:
    """Looks at a tree.

    Args:
        root: the folder that holds ``closed/`` and ``open/``.
        submitter: look at this one's part only.
        backup, truth: what is at hand besides it.

    Raises:
        DataError: it is no folder, has no division in it, or nothing of that submitter.
    """
    divisions = round_.submission.divisions
    if not root.is_dir():
        raise DataError("is not a folder", where=str(root), hint="give the folder that holds closed/ or open/")
    if not any((root / division).is_dir() for division in divisions):
        holds = " or ".join(f"{division}/" for division in divisions)
        raise DataError(f"holds no {holds}", where=str(root), hint="give the folder above them")
    files: list[str] = []
    links: list[str] = []
    empty: list[str] = []
    for path, kind in _walk(root, ""):
        if submitter is None or path.split("/")[1:2] == [submitter]:
            {"file": files, "link": links, "empty": empty}[kind].append(path)
    if submitter is not None and not files:
        raise DataError(f"nothing of the submitter {submitter}", where=str(root), hint="give --submitter as the folder")
    places = sorted({place for path in files if (place := _place_of(path, round_)) is not None})
    return SubmissionTree(
        root,
        round_,
        tuple(files),
        tuple(links),
        tuple(empty),
        tuple(place for place in places if place.benchmark in round_.benchmarks),
        tuple(place for place in places if place.benchmark in round_.other_benchmarks),
        backup,
        truth,
    )


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, Literal["file", "link", "empty"]]]:
    entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    if not entries and prefix:
        yield prefix.rstrip("/"), "empty"
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path), f"{prefix}{entry.name}/")
        else:
            yield f"{prefix}{entry.name}", "file" if entry.is_file(follow_symlinks=False) else "link"


def _place_of(path: str, round_: Round) -> Place | None:
    fields = match_path("{division}/{submitter}/{part}/{system}/{benchmark}/{scenario}/**", path)
    if fields is None or fields.pop("part") not in ("results", "measurements", "compliance"):
        return None
    if fields["division"] not in round_.submission.divisions or fields["scenario"] not in SCENARIO_FOLDERS:
        return None
    return Place(**fields)  # type: ignore[arg-type]
