"""Which files must and may be in a submission tree. What a round's data do not name may not be there."""

from __future__ import annotations

import codecs
import filecmp
import re
from collections.abc import Iterator

from harness.errors import UsageError
from harness.loadgen.log import ACCURACY_LOG, DETAIL_LOG
from harness.loadgen.plan import LOADGEN_SCENARIOS
from harness.runs.layout import PERFORMANCE_RUN, VERIFY_ACCURACY, VERIFY_PERFORMANCE
from harness.scenarios import Scenario
from harness.settings import Division
from harness.submission.path_pattern import fill, fits, match_path
from harness.submission.rules.finding import Problem, Rule
from harness.submission.system_description import read_json_object
from harness.submission.tree import KINDS, SCENARIO_FOLDERS, Place, SubmissionTree, folder_rules, place_of, scenario_of


def unknown_files(tree: SubmissionTree) -> Iterator[Problem]:
    """Every file has a place in the round's layout.

    A file that is strange fails among the logs, where the official checkers compare the lists of files, and outside of
    any submitter's folder. Elsewhere it is the submitter's own affair, and unusual.
    """
    with_results = {(place.owner, place.system, place.benchmark, place.scenario) for place in tree.places}
    without_results = set()
    for path in tree.files:
        if _is_known(tree, path) or any(fits(pattern, path) for pattern in tree.round.submission.tree.power):
            continue
        for part in ("measurements", "compliance"):
            place = place_of(path, tree.round, part)
            name = place and tree.benchmark_name(place.owner, place.benchmark)
            if place and name and (place.owner, place.system, place.benchmark, place.scenario) not in with_results:
                without_results.add("/".join(path.split("/")[:6]))
                break
        else:
            yield _unknown(tree, path)
    for folder in sorted(without_results):
        yield Problem(folder, "files of a scenario without results", "results of it", "remove them", "WARN")
    for path in tree.empty:
        if path.split("/")[2:3] in (["code"], ["src"]):
            continue  # what lies there is the submitter's own affair
        yield Problem(
            path, "an empty folder", "no such folder, or its files", "add what is missing, or remove it", "WARN"
        )


def power(tree: SubmissionTree) -> Iterator[Problem]:
    """Power was measured: its files are not looked at."""
    for owner in tree.owners:
        patterns = tree.round.submission.tree.power
        paths = [path for path in tree.below(owner) if any(fits(pattern, path) for pattern in patterns)]
        if paths:
            yield Problem(owner, f"{len(paths)} files of measured power, not looked at", "", _POWER, "SKIP")


def links(tree: SubmissionTree) -> Iterator[Problem]:
    """Nothing in the tree is a symbolic link."""
    for path in tree.links:
        own = path.split("/")[2:3] in (["code"], ["src"]) or path.count("/") == 1
        remedy = "put a copy of the file there"
        yield Problem(path, "a symbolic link or a special file", "a file of its own", remedy, "WARN" if own else "FAIL")


def names(tree: SubmissionTree) -> Iterator[Problem]:
    """Names are of letters that every system can store."""
    for path in (*tree.files, *tree.links, *tree.empty):
        if not re.fullmatch(r"[\x21-\x7e ]+", path) or re.search(r'[\\:*?"<>|]|(^|/) | (/|$)', path):
            own = len(path.split("/")) > 3 and path.split("/")[2] not in _JUDGED
            shown = ascii(path)[1:-1]
            yield Problem(shown, "a name with odd characters", "plain ASCII", "rename it", "WARN" if own else "FAIL")


def scenario_names(tree: SubmissionTree) -> Iterator[Problem]:
    """The folders of scenarios are called as LoadGen calls the scenarios."""
    if tree.round.submission.tree.scenario_case == "any":
        return
    for place in tree.places:
        name = LOADGEN_SCENARIOS[place.scenario]
        if place.folder != name:
            remedy = "rename it; the official checker takes both"
            yield Problem(str(place), f"a folder {place.folder}", name, remedy, "WARN")


def required_files(tree: SubmissionTree) -> Iterator[Problem]:
    """Every file that the round requires for a scenario is there, and not empty."""
    for place in tree.places:
        tests = tree.rules(place).compliance_of(place.scenario)
        compliance = {tree.folder("compliance", place, test=test) for test in tests}
        for folder, file_names in _required(tree, place).items():
            there = tree.below(folder)
            if not there:
                remedy = _RUN_COMPLIANCE if folder in compliance else _ADD
                yield Problem(folder, "nothing", f"the folder with {', '.join(file_names) or 'its files'}", remedy)
                continue
            for name in file_names:
                path = f"{folder}/{name}"
                if "{" in name or "*" in name:
                    if not any(fits(path, file) for file in there):
                        yield Problem(fill(path, implementation="IMPLEMENTATION"), "nothing", "the file", _ADD)
                elif path not in tree.there:
                    yield Problem(path, "nothing", "the file", _ADD)
                elif not (tree.root / path).stat().st_size:
                    yield Problem(path, "an empty file", "a file with something in it", _ADD)


def required_scenarios(tree: SubmissionTree) -> Iterator[Problem]:
    """Each system has every scenario that its type requires, and no other."""
    run: dict[tuple[Division, str, str, str], set[Scenario]] = {}
    for place in tree.places:
        run.setdefault((place.division, place.owner, place.system, place.benchmark), set()).add(place.scenario)
    for (division, owner, system, benchmark), there in run.items():
        name = tree.benchmark_name(owner, benchmark)
        kind = system_type(tree, owner, system)
        if kind is None or name is None:
            continue  # the systems JSON has its own finding
        rules = tree.round.benchmarks[name]
        required, optional = rules.required_of(division, kind), rules.optional_of(division, kind)
        where = f"{owner}/results/{system}/{benchmark}"
        for scenario in sorted(set(required) - there):
            title, wanted = LOADGEN_SCENARIOS[scenario], f"{LOADGEN_SCENARIOS[scenario]} of a system of type {kind}"
            least = rules.scenario(scenario).too_short_in(there)
            remedy = f"run {title} too"
            if least is not None:
                more = f"run {LOADGEN_SCENARIOS[least[0]]} with at least {least[1]} queries and build again"
                remedy = f"{more}: {title} is inferred from it; or {remedy}"
            yield Problem(f"{where}/{title}", "nothing", wanted, remedy, short=least is not None)
        for scenario in sorted(there - {*required, *optional}):
            title = LOADGEN_SCENARIOS[scenario]
            yield Problem(f"{where}/{title}", "results", f"none for a system of type {kind}", "remove the scenario")


def system_type(tree: SubmissionTree, owner: str, system: str) -> str | None:
    """What a system's JSON says that it is; None where it cannot be read or says nothing that the round knows."""
    try:
        kind = read_json_object(tree.root / owner / "systems" / f"{system}.json").get("system_type")
    except UsageError:
        return None
    return kind if kind in tree.round.submission.system_types else None


def text_files(tree: SubmissionTree) -> Iterator[Problem]:
    """What people write and read of a result is text: UTF-8."""
    paths: set[str] = set()
    for place in tree.places:
        tests = tree.rules(place).compliance_of(place.scenario)
        folders = [tree.folder("measurements", place), *(tree.folder("compliance", place, test=name) for name in tests)]
        paths.update(path for folder in folders for path in tree.below(folder) if path.endswith(_TEXTS))
    for path in sorted(paths):
        with (tree.root / path).open("rb") as file:
            beginning = file.read(_MOST_TEXT_BYTES)
        try:
            codecs.getincrementaldecoder("utf-8")().decode(beginning)
        except UnicodeDecodeError as error:
            remedy = "write it as UTF-8"
            yield Problem(path, f"bytes that are not UTF-8, the first at {error.start}", "a text file", remedy, "WARN")


def optional_logs(tree: SubmissionTree) -> Iterator[Problem]:
    """An accuracy log beside a performance test's logs has no records."""
    for path in tree.files:
        if (
            path.endswith(f"/{PERFORMANCE_RUN}/{ACCURACY_LOG}")
            and (tree.root / path).stat().st_size > _EMPTY_LIST_BYTES
        ):
            place = place_of(path, tree.round) or place_of(path, tree.round, "compliance")
            if place is None or tree.benchmark_name(place.owner, place.benchmark) is None:
                continue
            compliance = "/performance/" in path and path.split("/")[6] != "performance"
            remedy = "put the logs of one test there"
            yield Problem(path, "records", "none in a performance test", remedy, "WARN" if compliance else "FAIL")


def model_mapping(tree: SubmissionTree) -> Iterator[Problem]:
    """A model of one's own in the open division says which benchmark it is."""
    name = tree.round.submission.tree.model_mapping
    for place in tree.places:
        benchmark = tree.benchmark_name(place.owner, place.benchmark)
        wanted = None if benchmark is None else tree.round.benchmarks[benchmark].maps_to
        if name is None or wanted is None or tree.mapping.get((place.owner, place.benchmark)) == wanted:
            continue
        found = tree.mapping.get((place.owner, place.benchmark))
        remedy = "`ssd-harness submission build` writes it"
        said = "nothing of it" if found is None else f"{place.benchmark} as {found}"
        yield Problem(f"{place.owner}/{name}", said, f"{place.benchmark} as {wanted}", remedy)


RULES: dict[str, Rule[SubmissionTree]] = {
    "only files that belong there": unknown_files,
    "no links": links,
    "plain names": names,
    "names of scenarios": scenario_names,
    "required files": required_files,
    "text": text_files,
    "performance logs without records": optional_logs,
    "required scenarios": required_scenarios,
    "model mapping": model_mapping,
    "power": power,
}

_EMPTY_LIST_BYTES = 8  # [ and ] with line ends
_RUN_COMPLIANCE = "`ssd-harness compliance RUN` runs it; then build the tree again"
_TEXTS = (".conf", ".md", f"/{VERIFY_ACCURACY}", f"/{VERIFY_PERFORMANCE}")
_MOST_TEXT_BYTES = 1 << 22
"""Of a text file that is looked at."""
_ADD = "add it; `ssd-harness submission build` writes a complete tree"
_POWER = "the official checker looks at them"
_JUDGED = ("results", "measurements", "compliance", "systems")
"""The parts of a submitter's folder that the round's layout is about."""


def _unknown(tree: SubmissionTree, path: str) -> Problem:
    parts = path.split("/")
    inside = len(parts) > 2 and parts[0] in tree.round.submission.divisions
    scenarios = SCENARIO_FOLDERS if tree.round.submission.tree.scenario_case == "exact" else ()
    known = {name.lower(): name for name in (*scenarios, *tree.round.benchmarks)}
    wrong = next((part for part in parts if part.lower() in known and part not in known.values()), None)
    if parts[0] not in tree.round.submission.divisions:
        remedy = f"remove it; the tree's folders are {', '.join(tree.round.submission.divisions)}"
    elif wrong:
        remedy = f"rename {wrong} to {known[wrong.lower()]}"
    else:
        remedy = "remove it, or put it where it belongs"
    # the official checkers compare the lists of files of a scenario's logs, not what lies beside a compliance test's
    among_logs = inside and parts[2] in ("results", "compliance") and len(parts) > 7
    if not inside or (among_logs and not _is_beside_a_test(tree, path)):
        return Problem(path, "a file", "nothing of this name here", remedy)
    where = f"in {parts[2]}/" if len(parts) > 3 else "of the submitter's own"
    return Problem(path, f"a file {where}", "nothing of this name here", remedy, "WARN")


def _is_beside_a_test(tree: SubmissionTree, path: str) -> bool:
    """Whether a file lies in the folder of a compliance test that the round knows, and in none of its logs' folders."""
    division, submitter, rest = path.split("/", 2)
    fields = match_path(f"{folder_rules(tree.round, 'compliance').path}/{{file}}", rest)
    return fields is not None and _fits(tree, f"{division}/{submitter}", fields)


def _required(tree: SubmissionTree, place: Place) -> dict[str, list[str]]:
    """Folder → files of all that a scenario needs, code aside. Compliance is closed's."""
    names_of = {"system": place.system, "benchmark": place.benchmark, "scenario": place.folder}
    found: dict[str, list[str]] = {}
    for kind in ("systems", "measurements", "accuracy", "performance"):
        file_names = folder_rules(tree.round, kind).files or ()
        found.setdefault(tree.folder(kind, place), []).extend(fill(name, **names_of) for name in file_names)
    if place.division != "closed":
        return found
    inferred = is_inferred(tree, place)
    for test, rules in tree.rules(place).compliance_of(place.scenario).items():
        folder = tree.folder("compliance", place, test=test)
        if inferred and not tree.below(folder):
            continue  # the tests of the scenario that was run are enough
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


def is_inferred(tree: SubmissionTree, place: Place) -> bool:
    """Whether the place's performance log is a copy of another scenario's from which the round infers it."""
    origins = tree.rules(place).scenario(place.scenario).inferred_from
    key = (place.owner, place.system, place.benchmark)
    sources = [p for p in tree.places if (p.owner, p.system, p.benchmark) == key and p.scenario in origins]
    paths = [f"{tree.folder('performance', p)}/{DETAIL_LOG}" for p in (place, *sources)]
    mine, *others = (tree.root / path if path in tree.there else None for path in paths)
    return mine is not None and any(other is not None and filecmp.cmp(mine, other, shallow=False) for other in others)


def has_verify_performance(tree: SubmissionTree, place: Place, test: str) -> bool:
    """Whether a compliance test has a comparison of its own in its folder."""
    tests = tree.rules(place).compliance
    verifies_another = any(other.verified_by == test for other in tests.values())
    return (tests[test].compared_with is not None and not verifies_another) or tests[test].verified_by is not None


def _is_known(tree: SubmissionTree, path: str) -> bool:
    if any(fits(pattern, path) for pattern in tree.round.submission.tree.other):
        return path.split("/", maxsplit=1)[0] in tree.round.submission.divisions or "/" not in path or path[0] == "."
    division, _, rest = path.partition("/")
    submitter, _, rest = rest.partition("/")
    if division not in tree.round.submission.divisions or not submitter or not rest:
        return False
    owner = f"{division}/{submitter}"
    parts = rest.split("/")
    if parts[0] in ("results", "measurements", "compliance") and len(parts) > 3:
        if parts[2] in tree.round.other_benchmarks:
            return True
        if division == "open" and tree.benchmark_name(owner, parts[2]) is None:
            return True  # a model of one's own, of a benchmark that is not looked at
    for kind in KINDS:
        rules = folder_rules(tree.round, kind)
        if rules.files is None:
            if rest.startswith(f"{rules.path.split('/', maxsplit=1)[0]}/"):
                return True
            continue
        names_of = (*rules.files, *rules.optional, *rules.files_when_accuracy_differs)
        if kind == "compliance":
            names_of += (VERIFY_ACCURACY,)
        for name in names_of:
            fields = match_path(f"{rules.path}/{name}", rest)
            if fields is not None and _fits(tree, owner, fields):
                return True
    return False


def _fits(tree: SubmissionTree, owner: str, fields: dict[str, str]) -> bool:
    """The fields of a path are of a system with results, a benchmark, a scenario and a test that there are."""
    folder, scenario, test = fields.get("benchmark"), fields.get("scenario"), fields.get("test")
    system = fields.get("system")
    if (owner, system) not in tree.systems_with_results:
        return False
    if folder is None:
        return True
    benchmark = tree.benchmark_name(owner, folder)
    if benchmark is None or scenario is None:
        return False
    if (owner, system, folder, scenario_of(scenario)) not in tree.scenarios_with_results:
        return False
    return test is None or test in tree.round.benchmarks[benchmark].compliance
