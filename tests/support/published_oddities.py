"""What published trees have and no rule forbids, each put into a copy of a sound tree.

``plant`` changes the tree below ``closed/ORG``; ``lines`` are all that the check may say of it: level, rule, what is
found, and in how many places.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support.tree_edits import (
    BENCHMARK,
    accuracy,
    append,
    compliance,
    entry,
    implementation_json,
    logs_of,
    measurements,
    replace,
    results,
    run_1,
    summary,
    system_of,
)

SCENARIOS = ("MultiStream", "Offline", "SingleStream")
Line = tuple[str, str, str, int]


@dataclass(frozen=True)
class Oddity:
    name: str
    plant: Callable[[Path], object]
    lines: tuple[Line, ...] = ()


def add(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x\n")


def measured_power(owner: Path) -> None:
    performance, described = run_1(owner, "Offline").parent, measurements(owner, "Offline")
    add(performance / "power" / "client.json", performance / "ranging" / "mlperf_log_detail.txt")
    add(run_1(owner, "Offline") / "spl.txt", described / "power_settings.md", described / "analyzer_table.md")


def traces(owner: Path) -> None:
    for folder in (accuracy(owner, "Offline"), run_1(owner, "Offline"), logs_of(owner, "Offline", "TEST01")):
        add(folder / "mlperf_log_trace.json")


def checker_logs(owner: Path) -> None:
    names = ("compliance_checker_log.txt", "submission-checker.log", "submission_checker_log.txt")
    add(*(owner / "results" / name for name in names))


def own_files(owner: Path) -> None:
    add(*(owner / name for name in ("Makefile", "attributions.txt", "submission_checklist.md")))


def another_scenarios(kind: Callable[[Path, str], Path]) -> Callable[[Path], object]:
    """The files of Offline once more, as those of Server, of which there are no results."""
    return lambda owner: shutil.copytree(kind(owner, "Offline"), kind(owner, "Server"))


def compliance_tests(owner: Path, scenario: str) -> Path:
    return compliance(owner, scenario, "TEST01").parent


def last_query_filled(queries: int) -> Callable[[Path], None]:
    """TEST04 of MultiStream over 68 samples in memory: its queries are of 8, so that nine of them have 72."""

    def plant(owner: Path) -> None:
        folder = logs_of(owner, "MultiStream", "TEST04-A")
        entry(folder, "effective_performance_sample_count", 68)
        replace(summary(folder), r"(?m)^performance_sample_count : .*$", "performance_sample_count : 68")
        entry(folder, "generated_query_count", queries)

    return plant


def unknown_key(owner: Path) -> None:
    append(measurements(owner, "Offline") / "user.conf", f"{BENCHMARK}.Offline.gpu_batch_size = 8\n")


def no_target(owner: Path) -> None:
    replace(measurements(owner, "Offline") / "user.conf", r"(?m)^.*target_qps = .*\n", "")


def part_of_the_dataset(owner: Path) -> None:
    entry(run_1(owner, "Offline"), "qsl_reported_total_count", 66)


def inferred_offline(owner: Path) -> None:
    """Offline is a copy of SingleStream, but for the compliance tests, which are SingleStream's only."""
    shutil.rmtree(compliance_tests(owner, "Offline"))
    shutil.rmtree(results(owner, "Offline"))
    shutil.copytree(results(owner, "SingleStream"), results(owner, "Offline"))
    for name in ("mlperf.conf", "user.conf"):
        shutil.copyfile(measurements(owner, "SingleStream") / name, measurements(owner, "Offline") / name)


def code_of_the_benchmark(owner: Path) -> None:
    """One code for all implementations of a benchmark."""
    folder = owner / "code" / BENCHMARK
    for path in folder.iterdir():
        shutil.rmtree(path)
    add(folder / "run.py")


def implementations_without_a_name(owner: Path) -> None:
    code_of_the_benchmark(owner)
    for scenario in SCENARIOS:
        path = implementation_json(owner, scenario)
        path.rename(path.with_name(f"{system_of(owner)}_{scenario}.json"))


def lower_case(owner: Path) -> None:
    for kind in (results, measurements, compliance_tests):
        kind(owner, "Offline").rename(kind(owner, "offline"))


WITHOUT_RESULTS = ("WARN", "only files that belong there", "files of a scenario without results", 1)
ODDITIES = [
    Oddity(
        "files of measured power", measured_power, (("SKIP", "power", "5 files of measured power, not looked at", 1),)
    ),
    Oddity("mlperf_log_trace.json", traces),
    Oddity("logs of the checkers", checker_logs),
    Oddity(
        "a log beside a compliance test's folders",
        lambda owner: add(compliance(owner, "Offline", "TEST01") / "mlperf_log_detail.txt"),
        (("WARN", "only files that belong there", "a file in compliance/", 1),),
    ),
    Oddity("a submitter's own files", own_files),
    Oddity("measurements without results", another_scenarios(measurements), (WITHOUT_RESULTS,)),
    Oddity("compliance without results", another_scenarios(compliance_tests), (WITHOUT_RESULTS,)),
    Oddity("a last query filled up in MultiStream's TEST04", last_query_filled(9)),
    Oddity("an unknown key of user.conf", unknown_key, (("WARN", "user.conf", "the key gpu_batch_size", 1),)),
    Oddity(
        "a user.conf without its target",
        no_target,
        (("WARN", "user.conf", "target_qps nothing, and nothing in mlperf.conf", 1),),
    ),
    Oddity("a QSL of part of the dataset, larger than the loaded set", part_of_the_dataset),
    Oddity("an inferred Offline without compliance tests of its own", inferred_offline),
    Oddity("SYSTEM_SCENARIO.json, and code of the benchmark", implementations_without_a_name),
    Oddity(
        "code of the benchmark, and a name of the implementation",
        code_of_the_benchmark,
        (("WARN", "code", "code, but none called simulated", 1),) * 3,
    ),
    Oddity("calibration_process.adoc", lambda owner: add(measurements(owner, "Offline") / "calibration_process.adoc")),
    Oddity("a scenario's folder in lower case", lower_case, (("WARN", "names of scenarios", "a folder offline", 1),)),
]
