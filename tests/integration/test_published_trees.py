"""The published results of MLPerf v1.1 and v2.0: judged as a person judged them, and defects planted into one of them.

They are not part of the project. ``SSD_HARNESS_PUBLISHED_TREES`` is a folder with ``results_v1.1`` and
``results_v2.0``, checkouts of mlcommons/inference_results_v1.1 and _v2.0, and, for the figures of the official
checkers, ``inference_r1.1`` and ``inference_v2.0``, checkouts of mlcommons/inference.
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.rounds import load_round
from harness.submission.check import check_tree
from harness.submission.official import SCRIPT
from tests.support.hidden_defects import DEFECTS as HIDDEN
from tests.support.hidden_defects import HiddenDefect
from tests.support.planted_defects import DEFECTS, Defect
from tests.support.tree_edits import BENCHMARK, measurements

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
}
"""Round → submitter → how many ssd-resnet34 results the official checker counts."""
NOTHING_WRONG = {
    "v2.0": {"ASUSTeK", "Alibaba", "Fujitsu", "FuriosaAI", "GIGABYTE", "H3C", "Inspur", "Supermicro"},
    "v1.1": {"Fujitsu", "FuriosaAI", "HPE", "LTechKorea"},
}
CLONES = {"v1.1": TREES / "inference_r1.1", "v2.0": TREES / "inference_v2.0"}
"""Round → the official checker's checkout."""
UNITS = {"Latency (ms)": "ms", "Samples/s": "samples/s", "Queries/s": "samples/s"}
"""The official table's → ours; its other rows are of power."""
NOT_HERE = {
    "the hash of another log": "only the cut log is published, so that its hash cannot be seen",
    "performance of SingleStream under MultiStream, and nothing else of it": "its MultiStream is inferred",
    "SingleStream's compliance under MultiStream": "its MultiStream is inferred",
    "a user.conf with seeds": "its user.conf has no line end to append to",
    "answers of another device in a compliance test": "its scores are other numbers",
    "a log that agrees with itself and was edited all the same": "its README lists no checksums",
    "a user.conf without its target": "its mlperf.conf has a target, which is named instead",
}
"""Planted defect → why this tree cannot have it."""
PUBLISHED = [(name, submitter) for name, submitters in RESULTS.items() for submitter in submitters]


@pytest.mark.parametrize(("name", "submitter"), PUBLISHED)
def test_a_published_tree_is_judged_as_a_person_judged_it(name: str, submitter: str) -> None:
    checked = check_tree(TREES / f"results_{name}", load_round(name), submitter=submitter)
    assert len(checked.results) == RESULTS[name][submitter]
    assert all(result.value is not None and result.accuracy_percent is not None for result in checked.results)
    lines = [str(group) for group in checked.groups if group.finding.status == "FAIL"]
    if submitter in NOTHING_WRONG[name]:
        assert lines == []
    assert len(lines) <= 12


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


@pytest.mark.parametrize(("name", "submitter"), PUBLISHED)
def test_every_figure_of_a_published_tree_is_the_official_one(name: str, submitter: str, tmp_path: Path) -> None:
    if not (CLONES[name] / SCRIPT).is_file():
        pytest.skip(f"the official checker is not here: {CLONES[name].name} in SSD_HARNESS_PUBLISHED_TREES")
    checked = check_tree(TREES / f"results_{name}", load_round(name), submitter=submitter)
    assert official_results(name, submitter, tmp_path) == {
        str(result.place): (result.value, result.unit, result.accuracy_percent, result.inferred)
        for result in checked.results
    }


@pytest.fixture(scope="session")
def real_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FuriosaAI's closed v2.0 results of ssd-resnet34, with one file of code."""
    source = TREES / "results_v2.0" / "closed" / "FuriosaAI"
    owner = tmp_path_factory.mktemp("published") / "tree" / "closed" / "FuriosaAI"
    shutil.copytree(source, owner, ignore=shutil.ignore_patterns("code", "resnet50", "ssd-mobilenet"))
    code = owner / "code" / BENCHMARK / "one"
    code.mkdir(parents=True)
    (code / "run.py").write_text("print()\n")
    return owner.parents[1]


@pytest.fixture
def copy(real_tree: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(real_tree, tmp_path / "tree", copy_function=os.link))


def planted(tree: Path, defect: Defect | HiddenDefect) -> list[str]:
    owner = tree / "closed" / "FuriosaAI"
    for path in owner.rglob("*"):  # links to the shared copy, which is not to be written to
        if path.is_file():
            content = path.read_bytes()
            path.unlink()
            path.write_bytes(content)
    defect.plant(owner)
    findings = check_tree(tree, load_round("v2.0")).findings
    return [str(finding) for finding in findings if finding.status == defect.level]


def test_the_real_tree_has_nothing_wrong(real_tree: Path) -> None:
    assert [str(finding) for finding in check_tree(real_tree, load_round("v2.0")).failures] == []


@pytest.mark.parametrize("defect", HIDDEN, ids=lambda defect: str(defect.name))
def test_a_defect_that_hides_is_named_in_a_real_tree(defect: HiddenDefect, copy: Path) -> None:
    lines = planted(copy, defect)
    assert any(defect.words in line for line in lines), "\n".join(lines) or "it passes unseen"


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: str(defect.name))
def test_a_planted_defect_is_named_in_a_real_tree(defect: Defect, copy: Path) -> None:
    if defect.name in NOT_HERE:
        pytest.skip(NOT_HERE[defect.name])
    lines = planted(copy, defect)
    assert any(defect.words in line for line in lines), "\n".join(lines) or "it passes unseen"


def test_a_readme_of_300_megabytes_costs_no_minute(copy: Path) -> None:
    path = measurements(copy / "closed" / "FuriosaAI", "Offline") / "README.md"
    path.unlink()
    with path.open("wb") as file:
        file.truncate(300_000_000)
    began = time.monotonic()
    check_tree(copy, load_round("v2.0"))
    assert time.monotonic() - began < 30
