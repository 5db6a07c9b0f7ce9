"""A submission tree from run directories: written beside its place, cut, checked, and only then put there."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import DataError, UsageError
from harness.files import write_json, write_text
from harness.loadgen.log import USER_CONF, read_detail
from harness.loadgen.plan import LOADGEN_SCENARIOS
from harness.rounds import Round
from harness.runs.layout import ACCURACY_PART, PERFORMANCE_RUN, VERIFY_ACCURACY, VERIFY_PERFORMANCE
from harness.scenarios import Scenario
from harness.submission.accuracy_backup import backup_of, cut_accuracy_logs
from harness.submission.check import Checked, check_tree
from harness.submission.cluster_system import with_nodes
from harness.submission.code_snapshot import write_code
from harness.submission.implementation import implementation_of, readme
from harness.submission.loadgen_conf import mlperf_conf
from harness.submission.path_pattern import fill
from harness.submission.rules.loadgen_test import DETAIL
from harness.submission.run_source import RunSource, by_scenario
from harness.submission.system_description import read_json_object
from harness.submission.tree import FolderKind, folder_rules, read_tree


@dataclass(frozen=True)
class TreePart:
    """One scenario of the tree and where it comes from.

    Attributes:
        run_scenario: that was run; another one where the result is inferred from it.
    """

    source: RunSource
    scenario: Scenario
    run_scenario: Scenario


@dataclass(frozen=True)
class Built:
    """A tree that is in its place.

    Attributes:
        backup: the whole accuracy logs; None where none had to be cut.
        inferred: (scenario, from which one) that was not run.
    """

    tree: Path
    backup: Path | None
    inferred: tuple[tuple[Scenario, Scenario], ...]
    checked: Checked


def build_tree(
    sources: Sequence[RunSource],
    round_: Round,
    output: Path,
    *,
    backup: Path | None = None,
    implementation: Mapping[str, str] | None = None,
    rehearsal: bool = False,
) -> Built:
    """Writes, cuts and checks a tree; it appears whole or not at all, also when the check fails.

    Args:
        sources: runs of one submitter in one division.
        output: the tree's folder, which must not exist.
        backup: where the whole accuracy logs go; none: beside the tree.
        implementation: fields of the measurements' JSON, laid over what the runs say.
        rehearsal: the check takes it for one: what is short by design is no failure.

    Raises:
        UsageError: the runs do not fit together, or the output or the backup exists.
        DataError: a file of a run is missing, or the disk cannot be written.
    """
    parts = _parts(by_scenario(sources, round_), round_)
    backup = backup_of(output) if backup is None else backup
    for path in (output, backup):
        if path.exists():
            raise UsageError("exists", where=str(path), hint="give another place, or remove it")
    output.parent.mkdir(parents=True, exist_ok=True)
    backup.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as scratch,
        tempfile.TemporaryDirectory(dir=backup.parent, prefix=f".{backup.name}.") as backup_scratch,
    ):
        tree, whole = Path(scratch) / "tree", Path(backup_scratch) / "logs"
        for part in parts:
            _write_part(tree, round_, part, implementation or {})
        cut = cut_accuracy_logs(read_tree(tree, round_), whole)
        for part in parts:
            _write_readme(tree, round_, part)
        checked = check_tree(tree, round_, backup=whole if cut else None, rehearsal=rehearsal)
        _write_checker_log(tree, round_, parts, checked)
        if cut:
            whole.rename(backup)
        tree.rename(output)
    inferred = tuple((part.scenario, part.run_scenario) for part in parts if part.scenario != part.run_scenario)
    return Built(output, backup if cut else None, inferred, checked)


def _parts(found: Mapping[tuple[str, str, Scenario], RunSource], round_: Round) -> list[TreePart]:
    """What was run, and what is required and can be inferred from it."""
    parts = [TreePart(source, scenario, scenario) for (_, _, scenario), source in found.items()]
    for system, benchmark in dict.fromkeys((system, benchmark) for system, benchmark, _ in found):
        rules = round_.benchmark(benchmark)
        source = next(run for key, run in found.items() if key[:2] == (system, benchmark))
        for scenario in rules.required_of(source.division, source.system["system_type"]):
            if (system, benchmark, scenario) in found:
                continue
            for origin, result in rules.scenario(scenario).inferred_from.items():
                run = found.get((system, benchmark, origin))
                if run is not None and read_detail(run.performance(origin) / DETAIL).values.get(result.key):
                    parts.append(TreePart(run, scenario, origin))
                    break
    return parts


def _write_part(tree: Path, round_: Round, part: TreePart, implementation: Mapping[str, str]) -> None:
    source, run_scenario = part.source, part.run_scenario
    rules = round_.benchmark(source.benchmark)
    name = LOADGEN_SCENARIOS[part.scenario]

    def folder(kind: FolderKind, test: str = "") -> Path:
        return _folder(tree, round_, part, kind, test)

    write_json(folder("systems") / f"{source.system_id}.json", with_nodes(source.system, source.nodes(run_scenario)))
    measurements = folder("measurements")
    if "mlperf.conf" in (folder_rules(round_, "measurements").files or ()):
        write_text(measurements / "mlperf.conf", mlperf_conf(round_))
    _copy(source.performance(run_scenario) / USER_CONF, measurements / USER_CONF)
    fields = {"system": source.system_id, "implementation": source.implementation, "scenario": name}
    described = fill(folder_rules(round_, "measurements").described or "{scenario}.json", **fields)
    write_json(measurements / described, {**implementation_of(source), **implementation})
    mapping = round_.submission.tree.model_mapping
    if mapping is not None and rules.maps_to is not None:
        path = tree / source.division / source.submitter / mapping
        said = read_json_object(path) if path.exists() else {}
        write_json(path, {**said, source.benchmark: rules.maps_to})
    code = folder("code")
    if not code.exists():
        write_code(code)
    for file in folder_rules(round_, "performance").files or ():
        _copy(source.performance(run_scenario) / file, folder("performance") / file)
    for file in folder_rules(round_, "accuracy").files or ():
        _copy(source.accuracy(run_scenario) / file, folder("accuracy") / file)
    if source.division != "closed":
        return
    for test in rules.compliance_of(run_scenario):
        given = source.compliance(run_scenario, test)
        if not given.is_dir():
            continue  # the check says what is missing
        _copy_if_there(given, folder("compliance", test), (VERIFY_PERFORMANCE, VERIFY_ACCURACY))
        for kind, below in (("compliance_performance", PERFORMANCE_RUN), ("compliance_accuracy", ACCURACY_PART)):
            layout = folder_rules(round_, kind)  # type: ignore[arg-type]
            names = (*(layout.files or ()), *layout.files_when_accuracy_differs)
            _copy_if_there(given / below, folder(kind, test), names)  # type: ignore[arg-type]


def _write_readme(tree: Path, round_: Round, part: TreePart) -> None:
    source = part.source
    root = tree / source.division / source.submitter
    place = Path(source.system_id) / source.benchmark / LOADGEN_SCENARIOS[part.scenario]
    folders = [folder for name in ("results", "compliance") if (folder := root / name / place).is_dir()]
    text = readme(source, round_, part.scenario, part.run_scenario, root, folders)
    write_text(_folder(tree, round_, part, "measurements") / "README.md", text)


def _write_checker_log(tree: Path, round_: Round, parts: Sequence[TreePart], checked: Checked) -> None:
    """What the check said, where the rules ask for it; of several submitters each has it."""
    name = "results/compliance_checker_log.txt"
    if not any(name in pattern for pattern in round_.submission.tree.other):
        return
    text = "".join(f"{group}\n" for group in checked.groups)
    for owner in {tree / part.source.division / part.source.submitter for part in parts}:
        write_text(owner / name, text)


def _folder(tree: Path, round_: Round, part: TreePart, kind: FolderKind, test: str = "") -> Path:
    source = part.source
    fields = {
        "system": source.system_id,
        "benchmark": source.benchmark,
        "scenario": LOADGEN_SCENARIOS[part.scenario],
        "implementation": source.implementation,
        "test": test,
    }
    return tree / source.division / source.submitter / fill(folder_rules(round_, kind).path, **fields)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(source, target)
    except FileNotFoundError as error:
        hint = "finish the run: a submission needs performance and accuracy of every scenario"
        raise DataError("is missing", where=str(source), hint=hint) from error


def _copy_if_there(source: Path, target: Path, names: Sequence[str]) -> None:
    for name in names:
        if (source / name).is_file():
            _copy(source / name, target / name)
