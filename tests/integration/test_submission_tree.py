"""From finished runs to a checked tree, by the command line; and every defect that is planted into it is found."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import cli
from harness.files import sha256_file
from harness.rounds import load_round
from harness.scenarios import TITLES
from harness.submission.check import check_tree
from harness.submission.code_snapshot import write_code
from harness.submission.loadgen_conf import mlperf_conf
from tests.support.hidden_defects import DEFECTS as HIDDEN
from tests.support.hidden_defects import HiddenDefect
from tests.support.planted_defects import DEFECTS, Defect
from tests.support.published_oddities import ODDITIES, Line, Oddity, last_query_filled
from tests.support.submission_tree import ORG, Rehearsal, rehearse
from tests.support.tree_edits import (
    BENCHMARK,
    accuracy,
    compliance,
    edit_json,
    entry,
    measurements,
    replace,
    results,
    run_1,
    summary,
    system_json,
    txt,
    value_of,
)

Capture = pytest.CaptureFixture[str]
pytestmark = pytest.mark.timeout(900)  # the rehearsal is 18 LoadGen tests, on whatever else the machine does
ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = ("MultiStream", "Offline", "SingleStream")


@pytest.fixture(scope="session")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Rehearsal:
    """Built once for all of pytest-xdist's processes."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSD_HARNESS_CACHE", str(shared / "rehearsal-cache"))
        return rehearse(shared / "rehearsal")


@pytest.fixture(scope="session")
def light_tree(rehearsal: Rehearsal, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree with one file of code instead of all."""
    tree = tmp_path_factory.mktemp("light") / "tree"
    shutil.copytree(rehearsal.tree, tree)
    code = tree / "closed" / ORG / "code" / BENCHMARK / "simulated"
    shutil.rmtree(code)
    code.mkdir()
    (code / "run.py").write_text("print()\n")
    return tree


@pytest.fixture
def tree(light_tree: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(light_tree, tmp_path / "tree"))


def check(tree: Path, rehearsal: Rehearsal, *more: str) -> int:
    return cli.main(["submission", "check", str(tree), "--round", str(rehearsal.round), *more])


def test_a_sound_tree_passes_and_shows_its_results(rehearsal: Rehearsal, capsys: Capture, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    assert check(rehearsal.tree, rehearsal, "--json", str(report)) == 0
    shown = capsys.readouterr().out
    assert "[FAIL]" not in shown
    assert "[SKIP]" not in shown
    assert "[PASS] closed/Org/results/simulated/ssd-resnet34/Offline/performance/run_1: seeds" in shown
    data = json.loads(report.read_text())
    assert data["passed"] is True
    assert len(data["findings"]) > 200
    found = {result["scenario"]: result for result in data["results"]}
    assert sorted(found) == list(SCENARIOS)
    logged = json.loads((rehearsal.run / "summary.json").read_text())["scenarios"]
    assert found["Offline"]["value"] == logged["offline"]["samples_per_second"]
    assert found["SingleStream"]["value"] == pytest.approx(logged["single_stream"]["early_stopping_latency_ms"])
    assert {result["accuracy_percent"] for result in data["results"]} == {100.0}


def test_the_tree_is_complete_and_says_what_is_not_real(rehearsal: Rehearsal) -> None:
    owner = rehearsal.tree / "closed" / ORG
    system = json.loads(system_json(owner).read_text())
    assert (system["submitter"], system["division"]) == (ORG, "closed")
    assert "simulated" in system["system_name"].lower()
    assert "SIMULATED" in system["hw_notes"]
    for scenario in SCENARIOS:
        names = sorted(path.name for path in measurements(owner, scenario).iterdir())
        assert names == ["README.md", "mlperf.conf", f"simulated_simulated_{scenario}.json", "user.conf"]
        readme = (measurements(owner, scenario) / "README.md").read_text()
        assert "the devices are SIMULATED: this is no result" in readme
        assert sorted(path.name for path in run_1(owner, scenario).iterdir()) == [
            "mlperf_log_detail.txt",
            "mlperf_log_summary.txt",
        ]
        for test in ("TEST01", "TEST04-A", "TEST04-B", "TEST05"):
            assert (compliance(owner, scenario, test) / "performance" / "run_1" / "mlperf_log_detail.txt").is_file()
    code = owner / "code" / BENCHMARK / "simulated"
    for path in (
        "harness/cli.py",
        "harness/native/decoder/nms.cpp",
        "harness/report/templates/report.html.j2",
        "harness/model/ssd_resnet34/trained/weights.npz",
        "configs/rounds/v2.0.yaml",
        "setup.cfg",
        "scripts/install",
    ):
        assert (code / path).is_file(), path
    data = [path for path in code.rglob("*") if path.suffix in (".so", ".pyc", ".jpg", ".onnx", ".npy")]
    assert data == []


def test_the_code_that_is_shipped_renders_a_report(tree: Path, rehearsal: Rehearsal, tmp_path: Path) -> None:
    shipped = tmp_path / "shipped"
    write_code(shipped)
    program = "import sys, harness; from harness import cli; print(harness.__file__); sys.exit(cli.main(sys.argv[1:]))"
    # what is compiled is built where the code is installed; here it is that of the checkout
    for library in (ROOT / "harness" / "native").glob("*.so"):
        (shipped / "harness" / "native" / library.name).symlink_to(library)
    page = tmp_path / "report.html"
    command = ["report", str(rehearsal.run), "--format", "html", "--output", str(page)]
    done = subprocess.run([sys.executable, "-c", program, *command], cwd=shipped, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == str(shipped / "harness" / "__init__.py")
    assert "<style>" in page.read_text()


def is_named(defect: Defect | HiddenDefect, tree: Path, rehearsal: Rehearsal) -> None:
    """Plants the defect, and asserts that the check has a line of its level with its words."""
    defect.plant(tree / "closed" / ORG)
    findings = check_tree(tree, load_round(str(rehearsal.round))).findings
    said = [str(finding) for finding in findings if finding.status == defect.level]
    assert any(defect.words in line for line in said), "\n".join(said) or "it passes unseen"


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: str(defect.name))
def test_a_planted_defect_fails_with_a_line_that_names_it(defect: Defect, tree: Path, rehearsal: Rehearsal) -> None:
    is_named(defect, tree, rehearsal)


@pytest.mark.parametrize("defect", HIDDEN, ids=lambda defect: str(defect.name))
def test_a_defect_that_hides_is_named(defect: HiddenDefect, tree_of_others: Path, rehearsal: Rehearsal) -> None:
    is_named(defect, tree_of_others, rehearsal)


def lines(tree: Path, rehearsal: Rehearsal) -> list[Line]:
    """What the check says besides what passes, and besides the hashes of logs that are not at hand whole."""
    groups = check_tree(tree, load_round(str(rehearsal.round))).groups
    said = [(g.finding.status, g.finding.rule, g.finding.found, len(g.paths)) for g in groups]
    return sorted(line for line in said if line[0] != "PASS" and line[2] != "a cut log only")


@pytest.fixture
def tree_of_others(tree: Path) -> Path:
    """A tree whose READMEs list no checksums, as those of other programs."""
    for folder in measurements(tree / "closed" / ORG, "").iterdir():
        (folder / "README.md").write_text("how to run it\n")
    return tree


def test_a_tree_of_others_has_nothing_to_be_said_of(tree_of_others: Path, rehearsal: Rehearsal) -> None:
    assert lines(tree_of_others, rehearsal) == []


@pytest.mark.parametrize("oddity", ODDITIES, ids=lambda oddity: str(oddity.name))
def test_what_published_trees_have_is_no_failure(oddity: Oddity, tree_of_others: Path, rehearsal: Rehearsal) -> None:
    oddity.plant(tree_of_others / "closed" / ORG)
    assert lines(tree_of_others, rehearsal) == sorted(oddity.lines)


def test_a_query_more_than_fills_the_last_one_is_another_test(tree_of_others: Path, rehearsal: Rehearsal) -> None:
    last_query_filled(10)(tree_of_others / "closed" / ORG)
    assert any(line[0] == "FAIL" for line in lines(tree_of_others, rehearsal))


def test_a_failure_is_a_line_with_file_value_requirement_and_remedy(
    tree: Path, rehearsal: Rehearsal, capsys: Capture
) -> None:
    detail = run_1(tree / "closed" / ORG, "Offline") / "mlperf_log_detail.txt"
    replace(detail, '"effective_scenario", "value": "Off', "X")
    assert check(tree, rehearsal, "--failures") == 1
    shown = capsys.readouterr().out
    assert "[PASS]" not in shown
    assert f"[FAIL] {detail.relative_to(tree)}: logs can be read: found line" in shown
    assert "; next: " in shown
    assert "2 failed" in shown  # the log, and that it was changed


def test_json_goes_to_stdout_alone(tree: Path, rehearsal: Rehearsal, capsys: Capture) -> None:
    (tree / "notes.txt").write_text("x")
    assert check(tree, rehearsal, "--json", "-") == 1
    [failure] = [finding for finding in json.loads(capsys.readouterr().out)["findings"] if finding["status"] == "FAIL"]
    assert (failure["path"], failure["rule"]) == ("notes.txt", "only files that belong there")


def test_what_is_no_tree_is_refused(tmp_path: Path, rehearsal: Rehearsal, capsys: Capture) -> None:
    assert check(tmp_path / "none", rehearsal) == 3
    assert check(rehearsal.tree / "closed", rehearsal) == 3
    assert "holds no closed/ or open/" in capsys.readouterr().err
    assert check(rehearsal.tree, rehearsal, "--submitter", "Nobody") == 3


def test_a_long_log_is_cut_with_its_hash_and_kept_outside(tree: Path, rehearsal: Rehearsal, capsys: Capture) -> None:
    owner = tree / "closed" / ORG
    folder = accuracy(owner, "Offline")
    log = folder / "mlperf_log_accuracy.json"
    # a blank line is still the same log for whoever reads it, but longer than a submission may have
    log.write_text(log.read_text().replace("\n]", " " * 20000 + "\n]"))
    sha256 = sha256_file(log)
    replace(txt(owner, "Offline"), r"hash=\w+\n", "")
    truncate = ["submission", "truncate", str(tree), "--round", str(rehearsal.round)]
    assert cli.main(truncate) == 0
    path = log.relative_to(tree)
    assert f"cut: {path}" in capsys.readouterr().out
    assert log.stat().st_size == 2 * 4096 + 7
    kept = tree.with_name("tree-accuracy-logs") / path
    assert sha256_file(kept) == sha256
    assert f"hash={sha256}" in txt(owner, "Offline").read_text()
    assert cli.main(truncate) == 0
    assert "no log is too long" in capsys.readouterr().out
    assert cli.main([*truncate, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"tree": str(tree), "cut": [], "backup": None}
    log.write_bytes(kept.read_bytes())
    kept.unlink()
    assert cli.main([*truncate, "--json"]) == 0
    backup = str(tree.with_name("tree-accuracy-logs"))
    assert json.loads(capsys.readouterr().out) == {"tree": str(tree), "cut": [str(path)], "backup": backup}


def test_the_hash_is_held_against_the_whole_log(tree: Path, rehearsal: Rehearsal) -> None:
    owner = tree / "closed" / ORG
    log = accuracy(owner, "Offline") / "mlperf_log_accuracy.json"
    log.write_text(log.read_text().replace("\n]", " " * 20000 + "\n]"))
    for folder in measurements(owner, "").iterdir():
        replace(folder / "README.md", r"(?m)^- whole.*\n", "")  # which would say it too
    replace(txt(owner, "Offline"), r"hash=\w+\n", "")
    backup = tree.with_name("kept")
    arguments = ["submission", "truncate", str(tree), "--round", str(rehearsal.round), "--backup", str(backup)]
    assert cli.main(arguments) == 0

    def found(**more: Any) -> list[tuple[str, str]]:
        findings = check_tree(tree, load_round(str(rehearsal.round)), **more).findings
        of_hash = [
            finding
            for finding in findings
            if finding.rule == "hash of the accuracy log" and "/Offline/accuracy" in finding.path
        ]
        return [(finding.status, finding.found) for finding in of_hash if finding.status != "PASS"]

    assert found() == [("SKIP", "a cut log only")]
    assert found(backup=backup) == []
    kept = backup / log.relative_to(tree)
    kept.write_text(kept.read_text() + " ")
    stated = txt(owner, "Offline").read_text().split("hash=")[1].strip()
    assert found(backup=backup) == [("FAIL", f"hash={stated}"), ("FAIL", "another log than its backup")]


def test_the_whole_logs_are_evaluated_again(tree: Path, rehearsal: Rehearsal, capsys: Capture) -> None:
    annotations = str(rehearsal.round.parent / "coco" / "instances.json")
    assert check(tree, rehearsal, "--annotations", annotations) == 0
    assert "Offline/accuracy: accuracy of the whole log" in capsys.readouterr().out
    text = txt(tree / "closed" / ORG, "Offline")
    replace(text, r"mAP=[\d.]+%", "mAP=99.950%")  # which COCO's line of three digits does not tell from 100
    check(tree, rehearsal, "--annotations", annotations)
    assert "accuracy of the whole log: found mAP=99.95%, required 100.000 percent" in capsys.readouterr().out


def test_the_answers_of_a_compliance_test_are_compared_again(
    tree: Path, rehearsal: Rehearsal, tmp_path: Path, capsys: Capture
) -> None:
    backup = Path(shutil.copytree(f"{rehearsal.tree}-accuracy-logs", tmp_path / "tree-accuracy-logs"))
    assert check(tree, rehearsal) == 0
    assert "Offline/TEST01: answers of the accuracy run" in capsys.readouterr().out
    log = compliance(backup / "closed" / ORG, "Offline", "TEST01") / "accuracy" / "mlperf_log_accuracy.json"
    replace(log, r'0000803F"', '00000040"')  # label 2 in place of 1
    assert check(tree, rehearsal) == 1
    shown = capsys.readouterr().out
    assert "answers of the accuracy run: found" in shown
    assert "answers are not those of the accuracy run" in shown


def test_a_backup_in_the_tree_is_refused(tree: Path, rehearsal: Rehearsal) -> None:
    arguments = ["submission", "truncate", str(tree), "--round", str(rehearsal.round), "--backup", str(tree / "kept")]
    assert cli.main(arguments) == 2
    assert not (tree / "kept").exists()


def build(rehearsal: Rehearsal, run: Path, output: Path, *more: str) -> int:
    return cli.main(["submission", "build", str(run), "--output", str(output), *more])


def test_multistream_is_inferred_from_singlestream_when_it_was_not_run(
    rehearsal: Rehearsal, tmp_path: Path, capsys: Capture
) -> None:
    run = Path(shutil.copytree(rehearsal.run, tmp_path / "run"))
    shutil.rmtree(run / "multi_stream")
    # 64 queries give no estimate of a 99th percentile; 662 would
    folder = run / "single_stream" / "performance" / "run_1"
    p90_ns, p99_ns = value_of(folder, "early_stopping_latency_ss"), 40_000_000
    words = [f" * Early stopping {p}.0th percentile estimate: {ns}" for p, ns in ((90, p90_ns), (99, p99_ns))]
    entry(folder, "early_stopping_latency_ms", p99_ns)
    entry(folder, "early_stopping_result", "\n".join(words))
    replace(
        summary(folder), r"(?s)Early Stopping Result:\n.*?\n\n", "\n".join(["Early Stopping Result:", *words, "", ""])
    )
    output = tmp_path / "tree"
    assert build(rehearsal, run, output) == 0
    shown = capsys.readouterr().out
    assert "multi_stream is inferred from single_stream" in shown
    owner = output / "closed" / ORG
    for name in ("mlperf_log_detail.txt", "mlperf_log_summary.txt"):
        assert sha256_file(run_1(owner, "MultiStream") / name) == sha256_file(run_1(owner, "SingleStream") / name)
    assert "inferred from SingleStream" in (measurements(owner, "MultiStream") / "README.md").read_text()
    checked = check_tree(output, load_round(str(rehearsal.round)))
    [result] = [result for result in checked.results if result.place.folder == "MultiStream"]
    assert result.inferred
    assert result.value == pytest.approx(8 * p99_ns / 1e6)  # 8 samples a query
    # half a copy is none
    (accuracy(owner, "MultiStream") / "accuracy.txt").write_text(txt(owner, "MultiStream").read_text() + "more\n")
    failures = check_tree(output, load_round(str(rehearsal.round))).failures
    assert {finding.rule for finding in failures} == {
        "copy of the scenario it is inferred from",
        "files as they were built",
    }


def test_offline_is_inferred_from_singlestream_when_it_was_not_run(
    rehearsal: Rehearsal, tmp_path: Path, capsys: Capture
) -> None:
    run = Path(shutil.copytree(rehearsal.run, tmp_path / "run"))
    shutil.rmtree(run / "offline")
    output = tmp_path / "tree"
    assert build(rehearsal, run, output) == 0
    assert "offline is inferred from single_stream" in capsys.readouterr().out
    owner = output / "closed" / ORG
    mean_ns = value_of(run_1(owner, "SingleStream"), "result_mean_latency_ns")
    checked = check_tree(output, load_round(str(rehearsal.round)))
    [result] = [result for result in checked.results if result.place.folder == "Offline"]
    assert (result.inferred, result.unit) == (True, "samples/s")
    assert result.value == pytest.approx(1e9 / mean_ns)
    # compliance tests of the scenario that was run are enough
    shutil.rmtree(compliance(owner, "Offline", "TEST01").parent)
    assert check_tree(output, load_round(str(rehearsal.round))).failures == []
    # an inferred result is the edge's
    edit_json(system_json(owner), system_type="datacenter")
    lines = [str(finding) for finding in check_tree(output, load_round(str(rehearsal.round))).failures]
    assert any("inferred on edge: found an inferred result of a datacenter system" in line for line in lines)


def test_without_an_estimate_nothing_is_inferred(rehearsal: Rehearsal, tmp_path: Path, capsys: Capture) -> None:
    run = Path(shutil.copytree(rehearsal.run, tmp_path / "run"))
    shutil.rmtree(run / "multi_stream")
    assert build(rehearsal, run, tmp_path / "tree") == 1
    shown = capsys.readouterr().out
    assert "required scenarios: found nothing, required MultiStream" in shown
    assert "run SingleStream with at least 64 queries and build again" in shown


def test_the_open_division_needs_no_compliance(rehearsal: Rehearsal, tmp_path: Path, capsys: Capture) -> None:
    run = Path(shutil.copytree(rehearsal.run, tmp_path / "run"))
    shutil.rmtree(run / "multi_stream")
    for folder in run.glob("*/compliance"):
        shutil.rmtree(folder)
    output = tmp_path / "tree"
    assert build(rehearsal, run, output, "--division", "open") == 0
    assert not (output / "closed").exists()
    assert not (output / "open" / ORG / "compliance").exists()
    assert "0 failed" in capsys.readouterr().out


def test_a_tree_appears_whole_or_not_at_all(rehearsal: Rehearsal, tmp_path: Path, capsys: Capture) -> None:
    run = Path(shutil.copytree(rehearsal.run, tmp_path / "run"))
    (run / "offline" / "accuracy" / "accuracy.txt").unlink()
    here = tmp_path / "here"
    assert build(rehearsal, run, here / "tree") == 3
    assert "accuracy.txt: is missing" in capsys.readouterr().err
    assert list(here.iterdir()) == []
    (here / "tree").mkdir()
    assert build(rehearsal, rehearsal.run, here / "tree") == 2
    assert list((here / "tree").iterdir()) == []


def test_runs_that_do_not_fit_together_are_refused(rehearsal: Rehearsal, tmp_path: Path, capsys: Capture) -> None:
    again = Path(shutil.copytree(rehearsal.run, tmp_path / "again"))
    arguments = ["submission", "build", str(rehearsal.run), str(again), "--output", str(tmp_path / "tree")]
    assert cli.main(arguments) == 2
    assert "of simulated is in two runs" in capsys.readouterr().err
    manifest = json.loads((again / "manifest.json").read_text())
    manifest["submission"]["system"]["cooling"] = "water"
    (again / "manifest.json").write_text(json.dumps(manifest))
    assert cli.main(arguments) == 2
    assert "the descriptions of simulated differ in cooling" in capsys.readouterr().err
    manifest["status"] = "failed"
    (again / "manifest.json").write_text(json.dumps(manifest))
    assert cli.main(arguments) == 2
    assert "the run is failed, not complete" in capsys.readouterr().err
    assert not (tmp_path / "tree").exists()


def test_two_runs_of_one_system_make_one_tree(rehearsal: Rehearsal, tmp_path: Path) -> None:
    latency = Path(shutil.copytree(rehearsal.run, tmp_path / "latency"))
    shutil.rmtree(latency / "offline")
    offline = Path(shutil.copytree(rehearsal.run, tmp_path / "offline"))
    shutil.rmtree(offline / "single_stream")
    shutil.rmtree(offline / "multi_stream")
    output = tmp_path / "tree"
    assert cli.main(["submission", "build", str(latency), str(offline), "--output", str(output)]) == 0
    assert sorted(path.name for path in results(output / "closed" / ORG, "").iterdir()) == list(SCENARIOS)


def test_a_field_of_the_measurements_may_be_set(rehearsal: Rehearsal, tmp_path: Path, capsys: Capture) -> None:
    output = tmp_path / "tree"
    assert build(rehearsal, rehearsal.run, output, "--set", "weight_data_types=int4") == 0
    described = measurements(output / "closed" / ORG, "Offline") / "simulated_simulated_Offline.json"
    assert json.loads(described.read_text())["weight_data_types"] == "int4"
    capsys.readouterr()
    assert build(rehearsal, rehearsal.run, tmp_path / "as_json", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["inferred"], document["backup"]) == ({}, str(tmp_path / "as_json-accuracy-logs"))
    assert {result["scenario"] for result in document["results"]} >= {"Offline", "SingleStream"}
    assert build(rehearsal, rehearsal.run, tmp_path / "other", "--set", "colour=red") == 2
    assert "unknown field 'colour'" in capsys.readouterr().err


@pytest.fixture(scope="session")
def longer_round(rehearsal: Rehearsal, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A round that asks for more of everything than the rehearsal has."""
    data = yaml.safe_load(rehearsal.round.read_text())
    benchmark = data["benchmarks"][BENCHMARK]
    benchmark["dataset_images"] = benchmark["performance_sample_count"] = 5000
    for rules in benchmark["scenarios"].values():
        rules |= {"min_duration_s": 600, "min_queries": 24576}
    path = tmp_path_factory.mktemp("round") / "longer.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return path


@pytest.fixture
def short_tree(tree: Path, longer_round: Path) -> Path:
    """The tree as it would have been built for the longer round."""
    for path in tree.rglob("mlperf.conf"):
        path.write_text(mlperf_conf(load_round(str(longer_round))))
    return tree


def test_a_rehearsal_is_judged_by_what_is_not_short_by_design(
    short_tree: Path, longer_round: Path, capsys: Capture
) -> None:
    command = ["submission", "check", str(short_tree), "--round", str(longer_round)]
    assert cli.main(command) == 1
    assert "in a rehearsal that is by design: --rehearsal" in capsys.readouterr().out
    assert cli.main([*command, "--rehearsal"]) == 0
    shown = capsys.readouterr().out
    assert "[FAIL]" not in shown
    for short in ("min_duration", "min_query_count", "images loaded", "loaded_qsl_set", "num_acc_log_entries"):
        assert any(line.startswith("[REHEARSAL]") and short in line for line in shown.splitlines()), short
    shutil.rmtree(short_tree / "closed" / ORG / "compliance" / "simulated" / BENCHMARK / "Offline" / "TEST05")
    assert cli.main([*command, "--rehearsal", "--failures"]) == 1
    failures = [line for line in capsys.readouterr().out.splitlines() if line.startswith("[FAIL]")]
    assert len(failures) == 1
    assert "Offline/TEST05" in failures[0] and "ssd-harness compliance RUN" in failures[0]


def test_multistream_that_singlestream_was_too_short_for_is_short_by_design(
    short_tree: Path, longer_round: Path, capsys: Capture
) -> None:
    for part in ("results", "measurements", "compliance"):
        shutil.rmtree(short_tree / "closed" / ORG / part / "simulated" / BENCHMARK / "MultiStream")
    cli.main(["submission", "check", str(short_tree), "--round", str(longer_round), "--rehearsal"])
    line = next(line for line in capsys.readouterr().out.splitlines() if "required scenarios" in line)
    assert line.startswith("[REHEARSAL]")
    assert "run SingleStream with at least 24576 queries and build again" in line


def test_no_line_accuses_of_editing(short_tree: Path, longer_round: Path) -> None:
    findings = check_tree(short_tree, load_round(str(longer_round))).findings
    assert not any("edited" in finding.remedy for finding in findings)


def test_the_verdicts_of_compliance_are_one_document(rehearsal: Rehearsal, tmp_path: Path, capsys: Capture) -> None:
    run = Path(shutil.copytree(rehearsal.run, tmp_path / "run"))
    capsys.readouterr()
    assert cli.main(["compliance", str(run), "--test", "TEST05", "--json"]) == 0
    shown = capsys.readouterr()
    document = json.loads(shown.out)
    assert document["passed"] is True
    assert [(test["scenario"], test["test"]) for test in document["tests"]] == [
        (scenario, "TEST05") for scenario in ("single_stream", "multi_stream", "offline")
    ]
    assert "Found Audit Config" not in shown.err


def test_one_run_has_one_figure_wherever_it_is_shown(rehearsal: Rehearsal, capsys: Capture) -> None:
    summary = json.loads((rehearsal.run / "summary.json").read_text())["scenarios"]
    scores = {TITLES[name]: figures["score"] for name, figures in summary.items()}
    assert set(scores) == set(SCENARIOS)
    assert check(rehearsal.tree, rehearsal, "--json") == 0
    checked = json.loads(capsys.readouterr().out)["results"]
    assert {result["scenario"]: result["value"] for result in checked} == pytest.approx(scores, rel=1e-9)
    assert cli.main(["results", str(rehearsal.run.parent), "--format", "csv"]) == 0
    rows = {row["run"]: row for row in csv.DictReader(io.StringIO(capsys.readouterr().out))}
    row = rows[rehearsal.run.name]
    listed = {scenario: next(text for title, text in row.items() if title.startswith(scenario)) for scenario in scores}
    assert {scenario: float(text) for scenario, text in listed.items()} == pytest.approx(scores, rel=1e-9)
    # `run` ends with the same table
    assert cli.main(["report", str(rehearsal.run)]) == 0
    table = capsys.readouterr().out
    page = (rehearsal.run / "report.html").read_text(encoding="utf-8")
    for score in scores.values():
        shown = f"{score:.3f}".rstrip("0").rstrip(".")  # the page leaves zeros at the end out
        assert shown in table
        assert shown in page
