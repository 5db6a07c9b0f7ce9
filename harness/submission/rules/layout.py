"""Which files must and may be in a submission tree. What a round's data do not name may not be there."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.loadgen.log import ACCURACY_LOG
from harness.loadgen.plan import LOADGEN_SCENARIOS
from harness.runs.layout import PERFORMANCE_RUN, VERIFY_ACCURACY, VERIFY_PERFORMANCE
from harness.settings import Division
from harness.submission.path_pattern import fill, fits, match_path
from harness.submission.rules.finding import Problem, Rule
from harness.submission.tree import KINDS, SCENARIO_FOLDERS, Place, SubmissionTree, folder_rules


def unknown_files(tree: SubmissionTree) -> Iterator[Problem]:
    """Every file has a place in the round's layout."""
    for path in tree.files:
        if not _is_known(tree, path):
            yield Problem(path, "a file", "nothing of this name here", _remedy(tree, path))
    for path in tree.empty:
        if path.split("/")[2:3] == ["code"]:
            continue  # what lies there is the submitter's own affair
        yield Problem(path, "an empty folder", "no such folder, or its files", "add what is missing, or remove it")


def links(tree: SubmissionTree) -> Iterator[Problem]:
    """Nothing in the tree is a symbolic link."""
    for path in tree.links:
        yield Problem(path, "a symbolic link or a special file", "a file of its own", "put a copy of the file there")


def names(tree: SubmissionTree) -> Iterator[Problem]:
    """Names are of letters that every system can store."""
    for path in (*tree.files, *tree.links, *tree.empty):
        if not re.fullmatch(r"[\x21-\x7e ]+", path) or re.search(r'[\\:*?"<>|]|(^|/) | (/|$)', path):
            yield Problem(ascii(path)[1:-1], "a name with odd characters", "plain ASCII", "rename it")


def required_files(tree: SubmissionTree) -> Iterator[Problem]:
    """Every file that the round requires for a scenario is there, and not empty."""
    there = set(tree.files)
    for place in tree.places:
        for folder, names in _required(tree, place).items():
            if not tree.below(folder):
                yield Problem(folder, "nothing", f"the folder with {', '.join(names) or 'its files'}", _ADD)
                continue
            for name in names:
                path = f"{folder}/{name}"
                if "{" in name or "*" in name:
                    if not any(fits(path, file) for file in there):
                        yield Problem(fill(path, implementation="IMPLEMENTATION"), "nothing", "the file", _ADD)
                elif path not in there:
                    yield Problem(path, "nothing", "the file", _ADD)
                elif not (tree.root / path).stat().st_size:
                    yield Problem(path, "an empty file", "a file with something in it", _ADD)


def required_scenarios(tree: SubmissionTree) -> Iterator[Problem]:
    """Each system has every scenario that its type requires, and no other."""
    for owner, system, benchmark in dict.fromkeys((p.owner, p.system, p.benchmark) for p in tree.places):
        division: Division = "closed" if owner.startswith("closed/") else "open"
        rules = tree.round.benchmarks[benchmark]
        kind = system_type(tree, owner, system)
        if kind is None:
            continue  # the systems JSON has its own finding
        required, optional = rules.required_of(division, kind), rules.optional_of(division, kind)
        there = {SCENARIO_FOLDERS[p.scenario] for p in tree.places if (p.owner, p.system) == (owner, system)}
        where = f"{owner}/results/{system}/{benchmark}"
        for scenario in sorted(set(required) - there):
            name = LOADGEN_SCENARIOS[scenario]
            yield Problem(f"{where}/{name}", "nothing", f"{name} of a system of type {kind}", f"run {name} too")
        for scenario in sorted(there - {*required, *optional}):
            name = LOADGEN_SCENARIOS[scenario]
            yield Problem(f"{where}/{name}", "results", f"none for a system of type {kind}", "remove the scenario")


def system_type(tree: SubmissionTree, owner: str, system: str) -> str | None:
    """What a system's JSON says that it is; None where it cannot be read or says nothing that the round knows."""
    from harness.errors import UsageError
    from harness.submission.system_description import read_json_object

    try:
        kind = read_json_object(tree.root / owner / "systems" / f"{system}.json").get("system_type")
    except UsageError:
        return None
    return kind if kind in tree.round.submission.system_types else None


def optional_logs(tree: SubmissionTree) -> Iterator[Problem]:
    """An accuracy log beside a performance test's logs has no records."""
    for path in tree.files:
        if (
            path.endswith(f"/{PERFORMANCE_RUN}/{ACCURACY_LOG}")
            and (tree.root / path).stat().st_size > _EMPTY_LIST_BYTES
        ):
            yield Problem(path, "records", "none in a performance test", "put the logs of one test there")


RULES: dict[str, Rule[SubmissionTree]] = {
    "only files that belong there": unknown_files,
    "no links": links,
    "plain names": names,
    "required files": required_files,
    "performance logs without records": optional_logs,
    "required scenarios": required_scenarios,
}

_EMPTY_LIST_BYTES = 8  # [ and ] with line ends
_ADD = "add it; `ssd-harness submission build` writes a complete tree"


def _required(tree: SubmissionTree, place: Place) -> dict[str, list[str]]:
    """Folder → files of all that a scenario needs, code aside. Compliance is closed's."""
    names_of = {"system": place.system, "benchmark": place.benchmark, "scenario": place.scenario}
    found: dict[str, list[str]] = {}
    for kind in ("systems", "measurements", "accuracy", "performance"):
        names = folder_rules(tree.round, kind).files or ()
        found[tree.folder(kind, place)] = [fill(name, **names_of) for name in names]
    if place.division != "closed":
        return found
    for test, rules in tree.rules(place).compliance_of(SCENARIO_FOLDERS[place.scenario]).items():
        folder = tree.folder("compliance", place, test=test)
        found[folder] = [VERIFY_PERFORMANCE] * has_verify_performance(tree, place, test)
        found[folder] += [VERIFY_ACCURACY] * rules.accuracy
        if not tree.below(folder):
            continue  # one finding for the whole test
        logs = folder_rules(tree.round, "compliance_performance").files or ()
        found[tree.folder("compliance_performance", place, test=test)] = list(logs)
        if rules.accuracy:
            answers = folder_rules(tree.round, "compliance_accuracy").files or ()
            found[tree.folder("compliance_accuracy", place, test=test)] = list(answers)
    return found


def has_verify_performance(tree: SubmissionTree, place: Place, test: str) -> bool:
    """Whether a compliance test has a comparison of its own in its folder."""
    tests = tree.rules(place).compliance
    verifies_another = any(other.verified_by == test for other in tests.values())
    return (tests[test].compared_with is not None and not verifies_another) or tests[test].verified_by is not None


def _is_known(tree: SubmissionTree, path: str) -> bool:
    if any(fits(pattern, path) for pattern in tree.round.submission.tree.other):
        return path.split("/", maxsplit=1)[0] in tree.round.submission.divisions or "{division}" not in path
    division, _, rest = path.partition("/")
    submitter, _, rest = rest.partition("/")
    if division not in tree.round.submission.divisions or not submitter or not rest:
        return False
    owner = f"{division}/{submitter}"
    for kind in KINDS:
        rules = folder_rules(tree.round, kind)
        if rules.files is None:
            if fits(f"{rules.path}/**", rest):
                return True
            continue
        names_of = (*rules.files, *rules.optional, *rules.files_when_accuracy_differs)
        if kind == "compliance":
            names_of += (VERIFY_ACCURACY,)
        for name in names_of:
            fields = match_path(f"{rules.path}/{name}", rest)
            if fields is not None and _fits(tree, owner, division, fields):
                return True
    return False


def _fits(tree: SubmissionTree, owner: str, division: str, fields: dict[str, str]) -> bool:
    """The fields of a path are of a system with results, a benchmark, a scenario and a test that there are."""
    benchmark, scenario, test = fields.get("benchmark"), fields.get("scenario"), fields.get("test")
    if (owner, fields.get("system")) not in tree.systems:
        return False
    if benchmark in tree.round.other_benchmarks:
        return True
    if benchmark is not None and benchmark not in tree.round.benchmarks and division == "closed":
        return False
    if scenario is not None and scenario not in SCENARIO_FOLDERS:
        return False
    return test is None or (benchmark in tree.round.benchmarks and test in tree.round.benchmarks[benchmark].compliance)


def _remedy(tree: SubmissionTree, path: str) -> str:
    parts = path.split("/")
    if parts[0] not in tree.round.submission.divisions:
        return f"remove it; the tree's folders are {', '.join(tree.round.submission.divisions)}"
    known = {name.lower(): name for name in (*SCENARIO_FOLDERS, *tree.round.benchmarks)}
    wrong = next((part for part in parts if part.lower() in known and part not in known.values()), None)
    return f"rename {wrong} to {known[wrong.lower()]}" if wrong else "remove it, or put it where it belongs"
