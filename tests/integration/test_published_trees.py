"""The published results of MLPerf v1.1, v2.0 and v6.0: judged as a person judged them, and defects planted into some.

They are not part of the project. ``SSD_HARNESS_PUBLISHED_TREES`` is a folder with ``results_v1.1``, ``results_v2.0``
and ``results_v6.0``, checkouts of mlcommons/inference_results_v1.1, _v2.0 and _v6.0, and, for the figures of the
official checkers, ``inference_r1.1`` and ``inference_v2.0``, checkouts of mlcommons/inference.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.rounds import load_round
from harness.submission.accuracy_log import stated_hash
from harness.submission.check import check_tree
from harness.submission.official import SCRIPT
from harness.submission.rules.checksums import checksum_lines
from tests.support.hidden_defects import DEFECTS as HIDDEN
from tests.support.hidden_defects import HiddenDefect
from tests.support.planted_defects import DEFECTS, Defect
from tests.support.tree_edits import BENCHMARK, measurements, write

TREES = Path(os.environ.get("SSD_HARNESS_PUBLISHED_TREES", "nowhere"))
pytestmark = pytest.mark.skipif(
    not (TREES / "results_v2.0" / "closed").is_dir(),
    reason="the published results are not here: set SSD_HARNESS_PUBLISHED_TREES",
)

RESULTS = {
    "v2.0": {
        "ASUSTeK": 4,
        "Alibaba": 3,
        "Azure": 20,
        "Dell": 16,
        "Fujitsu": 4,
        "FuriosaAI": 3,
        "GIGABYTE": 9,
        "H3C": 14,
        "Inspur": 22,
        "Krai": 15,
        "Lenovo": 16,
        "NVIDIA": 105,
        "Nettrix": 17,
        "Qualcomm": 26,
        "Supermicro": 10,
    },
    "v1.1": {
        "Dell": 40,
        "Fujitsu": 2,
        "FuriosaAI": 2,
        "GIGABYTE": 2,
        "HPE": 4,
        "Inspur": 12,
        "Intel": 4,
        "LTechKorea": 2,
        "Lenovo": 12,
        "NVIDIA": 82,
        "Nettrix": 4,
        "Qualcomm": 12,
        "Supermicro": 10,
    },
    "v6.0": {"Dell": 18, "GATEOverflow": 12},
}
"""Round → submitter → how many results the official checker counts: of ssd-resnet34, and in v6.0 of yolo."""
NOTHING_WRONG = {
    "v2.0": {"ASUSTeK", "Alibaba", "Fujitsu", "FuriosaAI", "GIGABYTE", "H3C", "Inspur", "Supermicro"},
    "v1.1": {"Fujitsu", "FuriosaAI", "HPE", "LTechKorea"},
}
CLONES = {"v1.1": TREES / "inference_r1.1", "v2.0": TREES / "inference_v2.0"}
"""Round → the official checker's checkout."""
UNITS = {"Latency (ms)": "ms", "Samples/s": "samples/s", "Queries/s": "samples/s"}
"""The official table's → ours; its other rows are of power."""
REAL_DEFECTS = {
    "Dell": {("user.conf", "target_qps 1.0", 2)},
    "GATEOverflow": {
        ("user.conf", "target_latency 132.2394936", 2),
        ("user.conf", "target_latency 273.1338136", 2),
        ("user.conf", "target_latency 32.7727664", 2),
        ("accuracy log", "82624 bytes", 2),
        ("hash of the accuracy log", "hash=f9a7a1d468fe18f1c640293f1a4641b19633668ea2dbcbeea8fdb3932b4d4e20", 2),
    },
}
"""Submitter of v6.0 → rule, what is found and in how many places, of all that fails. One run counts for two
benchmarks, so that each defect is there twice."""
OTHER_SYSTEM, WITH_CHECKSUMS = "Azure", "Azure, with a list of checksums"
ELSEWHERE = {
    "performance of SingleStream under MultiStream, and nothing else of it": OTHER_SYSTEM,
    "SingleStream's compliance under MultiStream": OTHER_SYSTEM,
    "a user.conf with seeds": OTHER_SYSTEM,
    "a user.conf without its target": OTHER_SYSTEM,
    "the hash of another log": WITH_CHECKSUMS,
    "answers of another device in a compliance test": WITH_CHECKSUMS,
    "a log that agrees with itself and was edited all the same": WITH_CHECKSUMS,
}
"""Planted defect → the tree that has what it needs, where FuriosaAI's has not.

That is a MultiStream of its own, a user.conf that ends with a line end and has another target than mlperf.conf, or a
README.md that lists checksums as ``submission build`` writes them.
"""
PUBLISHED = [(name, submitter) for name, submitters in RESULTS.items() for submitter in submitters]


@pytest.mark.parametrize(("name", "submitter"), PUBLISHED)
def test_a_published_tree_is_judged_as_a_person_judged_it(name: str, submitter: str) -> None:
    skip_without(name)
    checked = check_tree(TREES / f"results_{name}", load_round(name), submitter=submitter)
    assert len(checked.results) == RESULTS[name][submitter]
    assert all(result.value is not None and result.accuracy_percent is not None for result in checked.results)
    failed = [group for group in checked.groups if group.finding.status == "FAIL"]
    if submitter in NOTHING_WRONG.get(name, ()):
        assert [str(group) for group in failed] == []
    if name == "v6.0":
        assert {(g.finding.rule, g.finding.found, len(g.paths)) for g in failed} == REAL_DEFECTS[submitter]
    assert len(failed) <= 12


def skip_without(name: str) -> None:
    if not (TREES / f"results_{name}" / "closed").is_dir():
        pytest.skip(f"results_{name} is not in SSD_HARNESS_PUBLISHED_TREES")


def test_every_figure_of_v6_is_the_published_one() -> None:
    skip_without("v6.0")
    tree, found = TREES / "results_v6.0", {}
    for submitter in RESULTS["v6.0"]:
        for result in check_tree(tree, load_round("v6.0"), submitter=submitter).results:
            place = result.place
            key = (submitter, place.system, place.benchmark, place.scenario.replace("_", ""))
            found[key] = (result.value, result.accuracy_percent)
    published = {
        (row["Submitter"], row["Platform"], row["Model"], row["Scenario"].lower()): (
            row["Performance_Result"],
            float(row["Accuracy"].removeprefix("mAP: ")),
        )
        for row in json.loads((tree / "summary_results.json").read_text(encoding="utf-8"))
        if row["Model"].startswith("yolo")
    }
    assert len(published) == 30
    assert found == published


def official_results(name: str, submitter: str, scratch: Path) -> dict[str, tuple[float, str, float, bool]]:
    """Folder of a scenario → value, unit, mAP in percent, and whether it was inferred, as the official checker says."""
    table = scratch / "official.csv"
    command = [sys.executable, str(CLONES[name] / SCRIPT), "--input", str(TREES / f"results_{name}")]
    command += ["--version", name, "--submitter", submitter, "--csv", str(table)]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(command, check=False, capture_output=True, cwd=scratch, env=environment)
    with table.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["Model"] == BENCHMARK and row["Units"] in UNITS]
    return {
        row["Location"]: (
            float(row["Result"]),
            UNITS[row["Units"]],
            float(row["Accuracy"]),
            row.get("inferred", row.get("infered")) == "1",  # spelled so in v1.1
        )
        for row in rows
    }


@pytest.mark.timeout(1800)  # Krai's other benchmarks take the official checker minutes
@pytest.mark.parametrize(("name", "submitter"), [pair for pair in PUBLISHED if pair[0] in CLONES])
def test_every_figure_of_a_published_tree_is_the_official_one(name: str, submitter: str, tmp_path: Path) -> None:
    if not (CLONES[name] / SCRIPT).is_file():
        pytest.skip(f"the official checker is not here: {CLONES[name].name} in SSD_HARNESS_PUBLISHED_TREES")
    checked = check_tree(TREES / f"results_{name}", load_round(name), submitter=submitter)
    assert official_results(name, submitter, tmp_path) == {
        str(result.place): (result.value, result.unit, result.accuracy_percent, result.inferred)
        for result in checked.results
    }


def part_of(submitter: str, system: str, tree: Path) -> Path:
    """One system's closed v2.0 results of ssd-resnet34, with one file of code; the submitter's folder."""
    source, owner = TREES / "results_v2.0" / "closed" / submitter, tree / "closed" / submitter
    for part in ("results", "measurements", "compliance"):
        path = Path(part) / system / BENCHMARK
        shutil.copytree(source / path, owner / path)
    write(owner / "systems" / f"{system}.json", (source / "systems" / f"{system}.json").read_text())
    write(owner / "code" / BENCHMARK / "one" / "run.py", "print()\n")
    return owner


def list_checksums(owner: Path, system: str) -> None:
    """Adds to each README.md what ``submission build`` writes of a result's files and of its whole accuracy logs."""
    folders = [owner / part / system / BENCHMARK for part in ("results", "measurements", "compliance")]
    for scenario in folders[0].iterdir():
        of_scenario = [folder / scenario.name for folder in folders]
        whole = {}
        for text in [path for folder in of_scenario for path in folder.rglob("accuracy.txt")]:
            stated = stated_hash(text.read_text())
            if stated is not None:
                whole[text.with_name("mlperf_log_accuracy.json").relative_to(owner).as_posix()] = stated
        readme = of_scenario[1] / "README.md"
        files = [folder for folder in of_scenario if folder != of_scenario[1]]
        readme.write_text("\n".join([readme.read_text(), *checksum_lines(owner, files, whole), ""]))


@pytest.fixture(scope="session")
def trees(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Name → sound trees of one published system each."""
    base, azure = tmp_path_factory.mktemp("published"), "NC24ads_A100_v4_TRT"
    made = {name: base / str(k) for k, name in enumerate(("FuriosaAI", OTHER_SYSTEM, WITH_CHECKSUMS))}
    part_of("FuriosaAI", "warboy", made["FuriosaAI"])
    part_of("Azure", azure, made[OTHER_SYSTEM])
    list_checksums(part_of("Azure", azure, made[WITH_CHECKSUMS]), azure)
    return made


def planted(tree: Path, defect: Defect | HiddenDefect, tmp_path: Path) -> list[str]:
    """What is said of a copy of a tree with a defect, at the defect's level."""
    copy = Path(shutil.copytree(tree, tmp_path / "tree"))
    [owner] = (copy / "closed").iterdir()
    defect.plant(owner)
    findings = check_tree(copy, load_round("v2.0")).findings
    return [str(finding) for finding in findings if finding.status == defect.level]


def test_the_real_trees_have_nothing_wrong(trees: dict[str, Path]) -> None:
    for tree in trees.values():
        assert [str(finding) for finding in check_tree(tree, load_round("v2.0")).failures] == []


@pytest.mark.parametrize("defect", HIDDEN, ids=lambda defect: str(defect.name))
def test_a_defect_that_hides_is_named_in_a_real_tree(
    defect: HiddenDefect, trees: dict[str, Path], tmp_path: Path
) -> None:
    lines = planted(trees["FuriosaAI"], defect, tmp_path)
    assert any(defect.words in line for line in lines), "\n".join(lines) or "it passes unseen"


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: str(defect.name))
def test_a_planted_defect_is_named_in_a_real_tree(defect: Defect, trees: dict[str, Path], tmp_path: Path) -> None:
    lines = planted(trees[ELSEWHERE.get(defect.name, "FuriosaAI")], defect, tmp_path)
    assert any(defect.words in line for line in lines), "\n".join(lines) or "it passes unseen"


def test_a_readme_of_300_megabytes_costs_no_minute(trees: dict[str, Path], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(trees["FuriosaAI"], tmp_path / "tree"))
    with (measurements(copy / "closed" / "FuriosaAI", "Offline") / "README.md").open("wb") as file:
        file.truncate(300_000_000)
    began = time.monotonic()
    check_tree(copy, load_round("v2.0"))
    assert time.monotonic() - began < 30
