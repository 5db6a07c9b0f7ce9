"""A submission tree, looked at once.

Which files there are, and which submitter, system, benchmark and scenario they belong to. Of the files' contents only a
model_mapping.json is read.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from harness.accuracy.ground_truth import GroundTruth
from harness.errors import DataError, UsageError
from harness.loadgen.plan import LOADGEN_SCENARIOS
from harness.rounds import BenchmarkRules, Round, TreeFolder
from harness.scenarios import Scenario
from harness.settings import Division
from harness.submission.path_pattern import fill
from harness.submission.system_description import read_json_object

FolderKind = Literal[
    "systems",
    "measurements",
    "code",
    "accuracy",
    "performance",
    "compliance",
    "compliance_performance",
    "compliance_accuracy",
]
KINDS: tuple[FolderKind, ...] = get_args(FolderKind)
SCENARIO_FOLDERS: dict[str, Scenario] = {folder: name for name, folder in LOADGEN_SCENARIOS.items()}
"""LoadGen's name of a scenario, which is its folder's, → ours."""
_LOWERED: dict[str, Scenario] = {folder.lower(): name for folder, name in SCENARIO_FOLDERS.items()}


def scenario_of(folder: str) -> Scenario | None:
    """The scenario of a folder, spelled in any case, as the official checkers map it; None where it is none."""
    return _LOWERED.get(folder.lower())


@dataclass(frozen=True, order=True)
class Place:
    """One scenario of one benchmark on one system of one submitter.

    Attributes:
        benchmark: the folder's name.
        folder: the name of the scenario's folder as the results spell it.
        scenario: which one that is.
    """

    division: Division
    submitter: str
    system: str
    benchmark: str
    folder: str
    scenario: Scenario

    @property
    def owner(self) -> str:
        """``DIVISION/SUBMITTER``."""
        return f"{self.division}/{self.submitter}"

    def __str__(self) -> str:
        return f"{self.owner}/results/{self.system}/{self.benchmark}/{self.folder}"


@dataclass(frozen=True)
class SubmissionTree:
    """The files of a tree, and to what each belongs.

    Attributes:
    root: the folder that holds ``closed/`` and ``open/``.
    round: whose layout it should have.
    files: every file, as paths from the root with slashes, sorted.
    links: symbolic links and what is neither file nor folder.
    empty: folders without anything in them.
    places: that have any file under results and whose benchmark the round has rules for.
    others: likewise of the benchmarks without rules.
    mapping: (owner, folder) of a model of the open division → the benchmark that model_mapping.json says it is.
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
    mapping: Mapping[tuple[str, str], str] = field(default_factory=dict)
    backup: Path | None = None
    truth: GroundTruth | None = None

    @functools.cached_property
    def there(self) -> frozenset[str]:
        """The files, to look one up."""
        return frozenset(self.files)

    @functools.cached_property
    def folders(self) -> Mapping[str, str]:
        """Every folder of the tree in lower case → as it is spelled."""
        found: dict[str, str] = {}
        for path in self.files:
            folder = path.rpartition("/")[0]
            while folder and folder.lower() not in found:
                found[folder.lower()] = folder
                folder = folder.rpartition("/")[0]
        return found

    @property
    def owners(self) -> list[str]:
        """``DIVISION/SUBMITTER`` of all that there are."""
        return list(dict.fromkeys("/".join(path.split("/")[:2]) for path in self.files if path.count("/") > 1))

    @functools.cached_property
    def systems(self) -> list[tuple[str, str]]:
        """(owner, system) of all places."""
        return list(dict.fromkeys((place.owner, place.system) for place in (*self.places, *self.others)))

    @functools.cached_property
    def systems_with_results(self) -> frozenset[tuple[str, str | None]]:
        """(owner, system) of everything under results, whatever the benchmark."""
        parts = (path.split("/", 4) for path in self.files)
        return frozenset((f"{part[0]}/{part[1]}", part[3]) for part in parts if len(part) > 4 and part[2] == "results")

    @functools.cached_property
    def scenarios_with_results(self) -> frozenset[tuple[str, str | None, str, Scenario | None]]:
        """(owner, system, benchmark, scenario) of all places, to look one up."""
        return frozenset((place.owner, place.system, place.benchmark, place.scenario) for place in self.places)

    def rules(self, place: Place) -> BenchmarkRules:
        """The round's rules for the benchmark of a place."""
        return self.round.benchmarks[self.benchmark_name(place.owner, place.benchmark) or place.benchmark]

    def benchmark_name(self, owner: str, folder: str) -> str | None:
        """The round's name of a benchmark's folder; None where the round has no rules for it."""
        return benchmark_name(self.round, self.mapping, owner, folder)

    def folder(self, kind: FolderKind, place: Place, **fields: str) -> str:
        """The path of a folder, from the root, as it is spelled; ``implementation`` and ``test`` are more fields."""
        names = {"system": place.system, "benchmark": place.benchmark, "scenario": place.folder, **fields}
        path = f"{place.owner}/{fill(folder_rules(self.round, kind).path, **names)}"
        return self.folders.get(path.lower(), path)

    def below(self, folder: str) -> list[str]:
        """The files in a folder and its folders."""
        first = bisect.bisect_left(self.files, f"{folder}/")
        return list(itertools.takewhile(lambda path: path.startswith(f"{folder}/"), self.files[first:]))


def benchmark_name(round_: Round, mapping: Mapping[tuple[str, str], str], owner: str, folder: str) -> str | None:
    """The round's name of a benchmark's folder; None where the round has no rules for it."""
    if folder in round_.benchmarks:
        rules = round_.benchmarks[folder]
        return folder if not rules.divisions or owner.split("/", maxsplit=1)[0] in rules.divisions else None
    name = mapping.get((owner, folder))
    return name if name in round_.benchmarks else None


def folder_rules(round_: Round, kind: FolderKind) -> TreeFolder:
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
    places = sorted({place for path in files if (place := place_of(path, round_)) is not None})
    mapping = _model_mappings(root, files, round_)
    known = [place for place in places if benchmark_name(round_, mapping, place.owner, place.benchmark)]
    return SubmissionTree(
        root,
        round_,
        tuple(sorted(files)),
        tuple(links),
        tuple(empty),
        tuple(known),
        tuple(place for place in places if place.benchmark in round_.other_benchmarks),
        mapping,
        backup,
        truth,
    )


def _model_mappings(root: Path, files: Sequence[str], round_: Round) -> dict[tuple[str, str], str]:
    """(owner, folder) → benchmark, of every readable model_mapping.json of the open division."""
    name = round_.submission.tree.model_mapping
    found: dict[tuple[str, str], str] = {}
    for path in files:
        owner, _, file = path.rpartition("/")
        if name is None or file != name or not owner.startswith("open/") or owner.count("/") != 1:
            continue
        try:
            data = read_json_object(root / path)
        except UsageError:
            continue  # the rule of the mapping says so
        found |= {(owner, folder): text for folder, text in data.items() if isinstance(text, str)}
    return found


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, Literal["file", "link", "empty"]]]:
    entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    if not entries and prefix:
        yield prefix.rstrip("/"), "empty"
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path), f"{prefix}{entry.name}/")
        else:
            yield f"{prefix}{entry.name}", "file" if entry.is_file(follow_symlinks=False) else "link"


def place_of(path: str, round_: Round, part: str = "results") -> Place | None:
    """The place that a file under ``DIVISION/SUBMITTER/results/``, or another part, belongs to."""
    parts = path.split("/", 6)
    if len(parts) < 7 or parts[2] != part or parts[0] not in round_.submission.divisions:
        return None
    division, submitter, _, system, benchmark, folder, _ = parts
    scenario = scenario_of(folder)
    return None if scenario is None else Place(division, submitter, system, benchmark, folder, scenario)  # type: ignore[arg-type]
