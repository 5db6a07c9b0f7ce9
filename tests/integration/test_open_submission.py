"""A model of one's own in the open division of v6.1: run, built in that round's tree, and checked."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import yaml

from harness import cli
from harness.accuracy.log import read_accuracy_log
from harness.rounds import load_round
from harness.settings import configs_dir
from harness.submission.accuracy_log import read_log_in_tree
from harness.submission.check import check_tree
from tests.support.made_logs import log_text, rows
from tests.support.submission_tree import IMAGES, ORG, write_coco

pytestmark = pytest.mark.timeout(600)
FOLDER = "ssd-resnet34"  # what the tiny model serves; in v6.1 itself the folder is ssd-large


def small_round(path: Path) -> Path:
    """Round v6.1 with the tiny model's folder, 70 images and tests of a fifth of a second."""
    data = yaml.safe_load((configs_dir() / "rounds" / "v6.1.yaml").read_text())
    rules = data["benchmarks"].pop("ssd-large") | {"dataset_images": IMAGES}
    for scenario, queries in (("single_stream", 64), ("multi_stream", 64), ("offline", IMAGES)):
        rules["scenarios"][scenario] |= {"min_duration_s": 0.2, "min_queries": queries}
    data["benchmarks"] = {FOLDER: rules, "twin": rules, **data["benchmarks"]}
    path.write_text(yaml.safe_dump(data))
    return path


def described(path: Path) -> Path:
    data = json.loads((configs_dir() / "systems" / "simulated-v6.json").read_text())
    path.write_text(json.dumps({**data, "division": ""}))
    return path


def test_a_model_of_ones_own_becomes_a_tree_of_the_open_division(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSD_HARNESS_CACHE", str(tmp_path / "cache"))
    write_coco(tmp_path / "coco")
    round_, run, tree = small_round(tmp_path / "round.yaml"), tmp_path / "run", tmp_path / "tree"
    arguments = ["run", "--images", str(tmp_path / "coco" / "images")]
    arguments += ["--annotations", str(tmp_path / "coco" / "instances.json")]
    arguments += ["--set", "model.name=tests.support.tiny_model:MODEL", "--backend", "simulated"]
    arguments += ["--set", "backend.warmup=1", "--set", "backend.options={latency_ms: 4}"]
    arguments += ["--mode", "submission", "--round", str(round_), "--division", "open", "--submitter", ORG]
    arguments += ["--system", str(described(tmp_path / "simulated.json")), "--scenario", "single_stream"]
    assert cli.main([*arguments, "--output", str(run)]) in (0, 1)
    # the labels of the log are COCO's category ids: the only category is 7
    log = read_accuracy_log(run / "single_stream" / "accuracy" / "mlperf_log_accuracy.json")
    assert set(log.labels.tolist()) == {7}
    assert json.loads((run / "summary.json").read_text())["accuracy"]["mAP"] == pytest.approx(1.0)
    # what LoadGen was told has its own name of the benchmark
    conf = (run / "single_stream" / "performance" / "run_1" / "user.conf").read_text()
    assert {line.split(".")[0] for line in conf.splitlines()} == {"yolo"}

    cli.main(["submission", "build", str(run), "--output", str(tree)])
    owner = tree / "open" / ORG
    assert json.loads((owner / "model_mapping.json").read_text()) == {FOLDER: "yolo-99"}
    place = owner / "results" / "simulated" / FOLDER / "SingleStream"
    names = {path.name for path in place.iterdir()}
    assert names == {"accuracy", "performance", "measurements.json", "user.conf", "README.md"}
    assert (owner / "src" / "harness" / "cli.py").is_file()
    assert not (owner / "measurements").exists()
    assert not (owner / "compliance").exists()

    # the same logs are two benchmarks' where the round asks for the same tests
    both = tmp_path / "both"
    cli.main(["submission", "build", str(run), "--output", str(both), "--benchmark", FOLDER, "--benchmark", "twin"])
    results = both / "open" / ORG / "results" / "simulated"
    assert {path.name for path in results.iterdir()} == {FOLDER, "twin"}
    other = ["submission", "build", str(run), "--output", str(tmp_path / "no"), "--benchmark", "resnet"]
    assert cli.main(other) == 2

    rules = load_round(str(round_))
    timing = {"LoadGen's verdict", "latencies fill the time"}  # a busy machine may spoil a test of 0.2 s
    assert [str(finding) for finding in check_tree(tree, rules).failures if finding.rule not in timing] == []
    (owner / "model_mapping.json").write_text('{"other": "yolo-99"}')
    lines = [str(finding) for finding in check_tree(tree, rules).failures]
    assert any("model mapping: found nothing of it, required ssd-resnet34 as yolo-99" in line for line in lines)


def test_the_long_logs_of_a_tree_of_v6_are_cut_where_that_round_has_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree, results = tmp_path / "tree", f"{ORG}/results/simulated"
    long = [f"open/{results}/ssd-large/Offline/accuracy", f"closed/{results}/yolo-99/Offline/TEST01/accuracy"]
    short = f"closed/{results}/yolo-99/Offline/accuracy"
    box = (0.1, 0.1, 0.9, 0.9, 0.5, 1.0)
    whole = {folder: log_text([(k, rows(k, box)) for k in range(400)]) for folder in long}
    for folder, text in {**whole, short: log_text([(0, rows(0, box))])}.items():
        (tree / folder).mkdir(parents=True)
        (tree / folder / "mlperf_log_accuracy.json").write_text(text)
        (tree / folder / "accuracy.txt").write_text("mAP=40.000%\n")
    command = ["submission", "truncate", str(tree), "--round", "v6.1"]
    assert cli.main(command) == 0
    kept = tmp_path / "tree-accuracy-logs"
    for folder, text in whole.items():
        log = tree / folder / "mlperf_log_accuracy.json"
        assert log.read_text() == f"{text[:4096]}\n\n...\n\n{text[-4096:]}"
        assert (kept / folder / log.name).read_text() == text
        stated = (tree / folder / "accuracy.txt").read_text()
        assert f"hash={hashlib.sha256(text.encode()).hexdigest()}" in stated
        assert read_log_in_tree(log, load_round("v6.1").submission.accuracy_log).cut
    assert (tree / short / "accuracy.txt").read_text() == "mAP=40.000%\n"
    assert not (kept / short).exists()
    shown = capsys.readouterr().out
    assert all(f"cut: {folder}/mlperf_log_accuracy.json" in shown for folder in long)
    assert "2 accuracy logs cut" in shown
    assert cli.main(command) == 0
    assert "no log is too long" in capsys.readouterr().out
