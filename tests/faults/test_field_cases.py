"""Small inputs on which the product once failed, by kind: each ends today as its kind says.

They are beside the real data of the tests (`SSD_HARNESS_TEST_DATA`), and skipped where that is absent.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from harness.loadgen.log import read_detail
from harness.model.file_hash import sha256_of_model
from harness.rounds import load_round
from harness.submission.accuracy_log import read_log_in_tree
from harness.submission.rules.figures import is_as_printed
from tests.faults.command import Done, Harness, is_clear_error
from tests.faults.test_two_at_once import at_once

Case = Callable[[Harness, Path], None]
CASES: dict[str, Case] = {}
"""File of ``field_cases/`` → what it must come to."""


def case(*names: str) -> Callable[[Case], Case]:
    """Registers a case under the files that it is about."""

    def register(function: Case) -> Case:
        CASES.update(dict.fromkeys(names, function))
        return function

    return register


@pytest.fixture(scope="module")
def field_cases(data: Path) -> Path:
    folder = data / "field_cases"
    if not folder.is_dir():
        pytest.skip(f"no field cases at {folder}")
    return folder


def unpacked(archive: Path, folder: Path) -> Path:
    """The one folder that an archive of ours holds."""
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    return next(path for path in folder.iterdir() if path.is_dir() and path.name not in ("r", "cache"))


def run_on(harness: Harness, coco: Path, *more: str, output: str = "r", mode: str = "accuracy") -> Done:
    given = ("--images", str(coco / "images"), "--annotations", str(coco / "instances.json"))
    return harness.run("run", "c.yaml", "--scenario", "offline", "--mode", mode, *given, "--output", output, *more)


def figures_of(done: Done) -> dict[str, Any]:
    assert done.status == 0, done.err
    figures: dict[str, Any] = json.loads(done.out)
    return figures


@case("coco_c10.tgz")
def too_few_categories_are_found_before_the_tests(harness: Harness, file: Path) -> None:
    coco = unpacked(file, harness.folder)
    done = run_on(harness, coco)
    assert is_clear_error(done, 3)
    assert "has 10 categories; SSD-ResNet34 tells 80 classes apart" in done.err
    assert not (harness.folder / "r/offline").exists()
    assert run_on(harness, coco, output="p", mode="performance").status == 0


@case("coco_lat.tgz")
def a_name_that_is_no_text_is_found_before_the_tests(harness: Harness, file: Path) -> None:
    done = run_on(harness, unpacked(file, harness.folder))
    assert is_clear_error(done, 3)
    assert r'the file_name "caf\udce9.jpg" is not UTF-8 text' in done.err
    assert not (harness.folder / "r/offline").exists()


@case("coco_names_without_extension.tgz")
def names_that_look_like_numbers_stay_names(harness: Harness, file: Path) -> None:
    done = run_on(harness, unpacked(file, harness.folder))
    assert done.status == 0, done.err
    images = pd.read_csv(harness.folder / "r/offline/accuracy/images.csv.gz", dtype={"file_name": str})
    assert images["file_name"].tolist() == ["0012", "0013", "0014", "0015"]
    assert "0012.0" not in (harness.folder / "r/report.html").read_text()


@case("coco_neg.tgz")
def without_objects_no_accuracy_is_defined(harness: Harness, file: Path) -> None:
    done = run_on(harness, unpacked(file, harness.folder), "--count", "2", "--set", "min_map_percent=50")
    assert done.status == 0, done.err
    assert "mAP is not defined" in done.out
    assert "-100.0" not in done.out + (harness.folder / "r/report.html").read_text()


@case("no_detections.json", "one_detection.json")
def few_detections_are_an_accuracy_of_0_or_none(harness: Harness, file: Path) -> None:
    coco = unpacked(file.parent / "coco_neg.tgz", harness.folder)
    measure = ("accuracy", file, "--annotations", coco / "instances.json", "--json")
    assert figures_of(harness.run(*measure))["accuracy"]["mAP"] == 0
    nothing_to_find = harness.run(*measure[:-1], "--count", "2")
    assert nothing_to_find.status == 0, nothing_to_find.err
    assert "not defined" in nothing_to_find.out
    assert "-100" not in nothing_to_find.out


@case("ids_2e60_annotations.json", "ids_2e60_results.json")
def huge_ids_stay_what_they_are(harness: Harness, file: Path) -> None:
    results, annotations = (file.parent / f"ids_2e60_{what}.json" for what in ("results", "annotations"))
    assert figures_of(harness.run("accuracy", results, "--annotations", annotations, "--json"))["accuracy"]["mAP"] == 1


@case("make_coco.py")
def huge_ids_in_a_run_are_no_other_figures(harness: Harness, file: Path) -> None:
    found = {}
    for first in (1, 2**60 + 1):
        make = f"import sys; sys.path.insert(0, {str(file.parent)!r}); import make_coco"
        make += f"; make_coco.coco('ids-{first}', ids=[{first}, {first + 1}, {first + 2}])"
        subprocess.run([harness.argv()[0], "-c", make], cwd=harness.folder, check=True)
        coco = harness.folder / f"ids-{first}"
        planted = harness.folder / f"{coco.name}.npz"
        given = ("--set", f"dataset.images={coco}/images", "--set", f"dataset.annotations={coco}/instances.json")
        made = harness.run("prepare", "outputs", "c.yaml", "--ground-truth", "--output", planted, *given)
        assert made.status == 0, made.err
        done = run_on(harness, coco, "--set", f"backend.options.objects={planted}", output=f"r-{first}")
        assert done.status == 0, done.err
        found[first] = json.loads((harness.folder / f"r-{first}/summary.json").read_text())["accuracy"]["mAP"]
    assert found[1] == found[2**60 + 1] > 0.9


@case("make_external_model.py")
def weights_beside_a_model_are_part_of_it(harness: Harness, file: Path) -> None:
    def make(*label: str) -> str:
        subprocess.run([harness.argv()[0], file, harness.folder / "model", *label], check=True)
        return sha256_of_model(harness.folder / "model/m.onnx")

    without = make()
    given = ("--backend", "onnxruntime", "--model", "model/m.onnx", "--devices", "cpu", "--set", "backend.warmup=1")
    measure = ("run", "c.yaml", "--scenario", "offline", "--mode", "performance", "--output", "r", *given)
    first = harness.run(*measure)
    assert first.status in (0, 1), first.err
    assert "already done, kept" in harness.run(*measure, "--resume").err
    assert make("7") != without
    again = harness.run(*measure, "--resume")
    assert again.status in (0, 1), again.err
    assert "already done, kept" not in again.err


@case("key_twice.yaml", "yaml/dup.yaml", "yaml/bomb_val.yaml", "yaml/round_bomb.yaml")
def a_hostile_configuration_is_one_line(harness: Harness, file: Path) -> None:
    reason = "is there twice" if file.name in ("key_twice.yaml", "dup.yaml") else "its aliases stand for more than"
    for arguments in (("run", file), ("run", "c.yaml", "--round", file), ("submission", "check", ".", "--round", file)):
        done = harness.run(*arguments)
        assert is_clear_error(done, 2)
        assert reason in done.err
        assert len(done.err) < 500


@case("runs/galpath.tgz")
def a_foreign_run_shows_no_file_of_this_machine(harness: Harness, file: Path) -> None:
    run = unpacked(file, harness.folder)
    assert is_clear_error(harness.run("report", run), 3)
    page = run / "report.html"
    passwords = base64.b64encode(Path("/etc/passwd").read_bytes()[:60]).decode()
    assert not page.exists() or passwords not in page.read_text()
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps(manifest | {"round": str(file.parents[1] / "yaml/round_bomb.yaml")}))
    done = harness.run("report", run)
    assert is_clear_error(done, 3)
    assert "has no round.yaml" in done.err


@case("runs/detmeta.tgz")
def a_damaged_log_costs_its_own_run_only(harness: Harness, file: Path) -> None:
    run = unpacked(file, harness.folder)
    assert is_clear_error(harness.run("report", run), 3)
    listed = harness.run("results", ".", "--format", "json")
    assert listed.status == 0, listed.err
    assert [row["run"] for row in json.loads(listed.out)] == [run.name]


@case("flock_fails.c")
def without_locks_one_of_two_runs_is_refused(harness: Harness, file: Path) -> None:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    library = harness.folder / "flock.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, file], check=True)
    run = ("run", "c.yaml", "--mode", "performance", "--output", "same")
    ended = at_once(harness, 2, *run, LD_PRELOAD=str(library))
    assert sorted(done.status for done in ended) == [0, 2], [done.err for done in ended]


@case("submission/nul_sut_name_detail.txt")
def a_name_with_a_nul_is_read(harness: Harness, file: Path) -> None:
    assert str(read_detail(file).values["sut_name"]).startswith("SUT")


@case("submission/string_query_count_detail.txt")
def a_number_that_was_written_as_text_is_a_number(harness: Harness, file: Path) -> None:
    assert read_detail(file).values["result_query_count"] == 270336


@case("submission/test04_63x8_of_500_detail.txt")
def a_last_query_that_was_filled_up_is_within_the_memory(harness: Harness, file: Path) -> None:
    values = read_detail(file).values
    queries, each = values["generated_query_count"], values["generated_samples_per_query"]
    assert queries * each == 504 < values["effective_performance_sample_count"] + each


@case("submission/sorted_keys_cut_log.json")
def a_cut_log_may_have_its_keys_in_any_order(harness: Harness, file: Path) -> None:
    log = read_log_in_tree(file, load_round("v2.0").submission.accuracy_log)
    assert log.cut
    assert log.indices == ((0, 0), (3, 3))


@case("submission/power_fields.json")
def fields_of_power_are_known(harness: Harness, file: Path) -> None:
    rules = load_round("v2.0").submission
    assert set(json.loads(file.read_text())) <= {*rules.system_fields, *rules.system_fields_of_power}


@case("submission/two_decimals_verify_performance.txt")
def figures_of_two_decimals_are_read(harness: Harness, file: Path) -> None:
    assert file.read_text().count("score = 109.99\n") == 2
    assert is_as_printed("109.99", 109.9934)
    assert not is_as_printed("109.99", 110.01)


@pytest.mark.quick_fault
def test_every_file_is_a_case_of_this_module(field_cases: Path) -> None:
    files = {str(path.relative_to(field_cases)) for path in field_cases.rglob("*") if path.is_file()}
    files = {name for name in files if "__pycache__" not in name}
    assert files == set(CASES), "a case that nobody covers, or one that is gone"


@pytest.mark.parametrize("name", CASES)
def test_a_case_of_the_field(harness: Harness, field_cases: Path, name: str) -> None:
    CASES[name](harness, field_cases / name)
