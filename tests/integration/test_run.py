"""``ssd-harness run`` from the command line to summary.json, with a tiny model where the model does not matter."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from harness import cli

ROOT = Path(__file__).resolve().parents[2]
TINY = ("--set", "model.name=tests.support.tiny_model:MODEL", "--backend", "simulated", "--set", "backend.warmup=1")
# As fast as up to four devices of 1 ms can be, so that no test is too short whatever else the machine does.
RATES = ("--set", "tests.single_stream.expected_latency_ms=1", "--set", "tests.offline.expected_qps=4000")
SHORT = ("--duration", "0.2", "--queries", "70", *RATES, "--set", "backend.options={latency_ms: 1}")

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSD_HARNESS_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def write(folder: Path, data: Any) -> None:
    (folder / "instances.json").write_text(json.dumps(data))


def read(folder: Path) -> Any:
    return json.loads((folder / "instances.json").read_text())


def arguments(coco: Path, *more: str) -> list[str]:
    of_coco = ("--images", str(coco / "images"), "--annotations", str(coco / "instances.json"))
    return ["run", *of_coco, *TINY, *SHORT, *more]


def test_a_run_leaves_figures_logs_and_a_table(coco: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "out"
    scenario = "--scenario", "single_stream,offline"
    assert cli.main(arguments(coco, *scenario, "--output", str(out))) == 0
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["schema"], summary["status"], summary["round"], summary["valid"]) == (1, "complete", "v2.0", True)
    assert summary["accuracy"]["mAP"] == pytest.approx(1.0)
    assert summary["accuracy"]["images"] == summary["accuracy"]["detections"] == 10
    assert summary["accuracy"]["evaluator"].startswith("pycocotools ")
    offline, single = summary["scenarios"]["offline"], summary["scenarios"]["single_stream"]
    assert offline["samples"] >= 70
    assert 0 < offline["samples_per_second"] <= 2000  # two devices of 1 ms
    assert 0 < offline["efficiency"] <= 1
    assert single["queries"] >= 70
    latency = single["latency_ms"]
    assert list(latency) == ["mean", "p50", "p90", "p95", "p99", "p99.9"]
    assert 1 <= latency["p50"] <= latency["p90"] <= latency["p99"]
    stages = summary["stages_ms"]
    assert list(stages) == ["queue", "inference", "wait", "postprocess", "complete"]
    # LoadGen notes the issue before we do, and the answer after it was decoded
    assert 1 <= sum(stage["mean"] for name, stage in stages.items() if name != "complete") <= latency["mean"]
    assert summary["submittable"] is False
    assert "the device is simulated" in summary["not_submittable_because"]

    for test in ("single_stream/performance/run_1", "offline/performance/run_1", "offline/accuracy"):
        assert (out / test / "mlperf_log_summary.txt").stat().st_size > 0
        assert (out / test / "mlperf_log_detail.txt").stat().st_size > 0
        assert (out / test / "user.conf").is_file()
    text = (out / "offline" / "accuracy" / "accuracy.txt").read_text()
    assert "mAP=100.000%" in text
    assert "hash=" in text
    # what we print is what LoadGen wrote, to its last digit
    lines = (out / "single_stream/performance/run_1/mlperf_log_summary.txt").read_text().splitlines()
    loadgen = {line.split(":")[0].strip(): line.split(":")[1].strip() for line in lines if line.count(":") == 1}
    for ours, theirs in (("p50", "50.00"), ("p90", "90.00"), ("p99", "99.00"), ("p99.9", "99.90")):
        assert round(latency[ours] * 1e6) == int(loadgen[f"{theirs} percentile latency (ns)"])
    rows = (out / "summary.csv").read_text().splitlines()
    assert rows[0] == "scenario,figure,value"
    assert f"single_stream,latency_ms.p90,{latency['p90']}" in rows

    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["status"] == "complete"
    assert manifest["settings"]["scenarios"] == ["single_stream", "offline"]
    assert manifest["versions"]["mlcommons-loadgen"] == "6.0.17"
    assert len(manifest["dataset"]["sha256"]) == 64
    shown = capsys.readouterr()
    assert "SIMULATED" in shown.out
    assert "VALID" in shown.out
    assert "mAP 100.000 %" in shown.out
    assert str(out) in shown.out
    assert "SingleStream performance: done in" in shown.err


def grown(coco: Path, images: int) -> None:
    """So many images, all of them the first one, with its box."""
    data = read(coco)
    image, box = data["images"][0], data["annotations"][0]
    for k in range(len(data["images"]) + 1, images + 1):
        name = f"{k:04d}.jpg"
        os.link(coco / "images" / image["file_name"], coco / "images" / name)
        data["images"].append(image | {"id": k, "file_name": name})
        data["annotations"].append(box | {"id": k, "image_id": k})
    write(coco, data)


@pytest.mark.slow
def test_a_run_of_5000_images_parses_its_annotations_once_and_evaluates_its_accuracy_log_once(
    coco: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.accuracy import log
    from harness.runs import evaluation

    grown(coco, 5000)
    opened: Counter[str] = Counter()
    real_open, annotations = Path.open, str(coco / "instances.json")

    def counting(path: Path, *args: Any, **options: Any) -> Any:
        opened[str(path)] += 1
        return real_open(path, *args, **options)

    parsed: list[Path] = []

    def reading(path: Path, **options: Any) -> log.AccuracyLog:
        parsed.append(path)
        return log.read_accuracy_log(path, **options)

    monkeypatch.setattr(Path, "open", counting)  # read_bytes and read_text use it too
    monkeypatch.setattr(evaluation, "read_accuracy_log", reading)
    out = tmp_path / "out"
    of_accuracy = ("--scenario", "offline", "--mode", "accuracy", "--output", str(out))
    assert cli.main(arguments(coco, *of_accuracy, "--set", "backend.options={latency_ms: 0}")) == 0
    assert json.loads((out / "summary.json").read_text())["accuracy"]["images"] == 5000
    assert opened[annotations] == 1
    assert parsed == [out / "offline" / "accuracy" / "mlperf_log_accuracy.json"]
    assert (out / "offline/accuracy/gallery/gallery.json").is_file()


@pytest.mark.parametrize("count", ["1", "2"])
def test_a_run_of_very_few_images_comes_to_its_end(coco: Path, tmp_path: Path, count: str) -> None:
    out = tmp_path / "out"
    assert cli.main(arguments(coco, "--scenario", "offline", "--count", count, "--output", str(out))) in (
        0,
        1,
    )  # fast enough or not
    assert json.loads((out / "manifest.json").read_text())["status"] == "complete"
    assert (out / "offline/accuracy/gallery/gallery.json").is_file()


def test_all_four_scenarios_are_valid_and_their_percentiles_are_loadgens_own(coco: Path, tmp_path: Path) -> None:
    out = tmp_path / "o"
    more = ["--set", "tests.multi_stream.min_queries=662", "--set", "tests.server.min_queries=800"]
    more += [
        "--set",
        "tests.server.target_qps=1000",
        "--set",
        "tests.server.latency_ms=10000",
    ]  # late is no matter here
    more += ["--set", "backend.options={latency_ms: 0.3}", "--set", "tests.offline.expected_qps=14000"]
    more += ["--set", "tests.single_stream.expected_latency_ms=0.3"]
    scenarios = "single_stream,multi_stream,server,offline"
    assert cli.main(arguments(coco, "--scenario", scenarios, "--devices", "dev*4", "--output", str(out), *more)) == 0
    summary = json.loads((out / "summary.json").read_text())
    assert {name: figures["valid"] for name, figures in summary["scenarios"].items()} == dict.fromkeys(
        scenarios.split(","), True
    )
    for scenario in ("single_stream", "multi_stream", "server"):
        theirs = loadgen_summary(out / scenario / "performance/run_1/mlperf_log_summary.txt")
        ours = summary["scenarios"][scenario]["latency_ms"]
        for name, title in (("p50", "50.00"), ("p90", "90.00"), ("p99", "99.00")):
            assert round(ours[name] * 1e6) == int(theirs[f"{title} percentile latency (ns)"]), (scenario, name)
    theirs = loadgen_summary(out / "offline/performance/run_1/mlperf_log_summary.txt")
    rate = float(theirs["Samples per second"])
    assert summary["scenarios"]["offline"]["samples_per_second"] == pytest.approx(rate, rel=1e-5)  # six digits
    sessions = summary["scenarios"]["offline"]["sessions"]
    assert list(sessions) == ["dev#0", "dev#1", "dev#2", "dev#3"]
    for session in sessions.values():
        assert 0.3 <= session["inference_p50_ms"] <= session["inference_p99_ms"]
        assert 0 < session["busy"] <= 1


def loadgen_summary(path: Path) -> dict[str, str]:
    lines = path.read_text().splitlines()
    return {line.split(":")[0].strip(): line.split(":")[1].strip() for line in lines if line.count(":") == 1}


def test_a_retired_device_is_in_the_results_which_cannot_be_submitted(
    coco: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "o"
    fault = "backend.options={latency_ms: 1, fault: {kind: death, at: 15, device: 1}}"
    more = ("--scenario", "offline", "--mode", "performance", "--on-device-failure", "continue", "--set", fault)
    assert cli.main(arguments(coco, "--devices", "dev*3", "--output", str(out), *more)) == 0
    summary = json.loads((out / "summary.json").read_text())
    [gone] = summary["retired"]
    assert (gone["scenario"], gone["mode"], gone["session"]) == ("offline", "performance", "dev#1")
    assert gone["reason"] == "RuntimeError: device lost"
    assert "offline performance: dev#1 was retired" in summary["not_submittable_because"]
    assert "Retired in Offline performance: dev#1 at sample" in capsys.readouterr().out


def test_what_is_easier_than_the_round_is_not_submittable(coco: Path, tmp_path: Path) -> None:
    out = tmp_path / "o"
    easier = ("tests.server.latency_ms=5000", "tests.server.latency_percentile=0.9", "model.decoder=none")
    more = [part for text in (*easier, "tests.server.target_qps=500") for part in ("--set", text)]
    assert cli.main(arguments(coco, "--scenario", "server", "--mode", "performance", "--output", str(out), *more)) == 0
    because = json.loads((out / "summary.json").read_text())["not_submittable_because"]
    assert "server: a bound of 5000 ms; the round asks for 100 ms" in because
    assert "server: percentile 90; the round asks for 99" in because
    assert "nothing is decoded (model.decoder is none)" in because
    assert cli.main(arguments(coco, "--mode", "both", "--output", str(out), "--set", "model.decoder=none")) == 2


@pytest.mark.slow
def test_find_peak_ends_with_the_highest_valid_rate_and_its_tries(coco: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "o"
    more = ["--mode", "find-peak", "--scenario", "single_stream,server,offline", "--devices", "dev"]
    # one device of 1 ms: far above 1000 queries a second its queue grows beyond the bound
    more += ["--queries", "400", "--set", "tests.server.target_qps=500", "--set", "tests.server.latency_ms=150"]
    more += ["--set", "tests.server.latency_percentile=0.9"]
    assert cli.main(arguments(coco, "--output", str(out), *more)) == 0
    summary = json.loads((out / "summary.json").read_text())
    server, offline = summary["peak"]["server"], summary["peak"]["offline"]
    assert summary["scenarios"] == {}
    assert server["qps"] == max(attempt["qps"] for attempt in server["tries"] if attempt["valid"])
    assert 0 < server["qps"] < 8000
    assert any(not attempt["valid"] for attempt in server["tries"])
    assert 0 < offline["qps"] <= 1000
    for attempt in server["tries"] + offline["tries"]:
        assert (out / attempt["folder"] / "mlperf_log_summary.txt").is_file()
    assert summary["submittable"] is False
    shown = capsys.readouterr().out
    assert "Server: peak " in shown
    assert "INVALID" in shown
    wrong = ("--output", str(out), "--mode", "find-peak", "--scenario", "single_stream")
    for more in ([], ["--overwrite"]):
        assert cli.main(arguments(coco, *wrong, *more)) == 2
        assert json.loads((out / "summary.json").read_text()) == summary
    assert (out / "find_peak").is_dir()


def test_recorded_outputs_give_a_simulated_device_the_models_map(coco: Path, tmp_path: Path, capsys: Capture) -> None:
    sets = ("model.name=tests.support.tiny_model:MODEL", "backend.name=simulated", "backend.options={latency_ms: 0}")
    data = (f"dataset.images={coco / 'images'}", f"dataset.annotations={coco / 'instances.json'}")
    options = [part for text in (*sets, *data) for part in ("--set", text)]
    recorded = tmp_path / "recorded"
    assert cli.main(["prepare", "outputs", "smoke", "--output", str(recorded), *options]) == 0
    assert "outputs of 10 images in" in capsys.readouterr().out
    assert len(list(recorded.glob("*.npz"))) == 10
    replay = ("--set", f"backend.options={{latency_ms: 0, replay_outputs: {recorded}}}")
    assert cli.main(arguments(coco, "--mode", "accuracy", "--output", str(tmp_path / "o"), *replay)) == 0
    assert "mAP 100.000 %" in capsys.readouterr().out


def test_the_annotations_objects_give_a_simulated_device_a_map_that_can_be_submitted(
    tmp_path: Path, capsys: Capture
) -> None:
    objects = str(tmp_path / "objects.npz")
    ground_truth = ["prepare", "outputs", "smoke", "--ground-truth", "--output", objects]
    assert cli.main([*ground_truth, "--found", "0.5"]) == 0
    assert f"objects of 8 images in {objects}" in capsys.readouterr().out
    knowing = ["run", "smoke", "--mode", "accuracy", "--set", f"backend.options.objects={objects}"]
    assert cli.main([*knowing, "--set", "min_map_percent=19.8", "--output", str(tmp_path / "half")]) == 0
    summary = json.loads((tmp_path / "half" / "summary.json").read_text())
    assert 0.3 < summary["accuracy"]["mAP"] < 0.8
    assert "the device is simulated" in summary["not_submittable_because"]
    assert cli.main([*ground_truth[:3], "--found", "0.5", "--output", objects]) == 2
    assert "--found goes with --ground-truth" in capsys.readouterr().err


def test_too_few_queries_for_early_stopping_are_invalid_with_the_reason(
    coco: Path, tmp_path: Path, capsys: Capture
) -> None:
    more = ("--scenario", "single_stream", "--mode", "performance", "--queries", "20", "--output", str(tmp_path / "o"))
    assert cli.main(arguments(coco, *more, "--set", "tests.single_stream.min_duration_s=0.01")) == 1
    assert "SingleStream is INVALID: " in capsys.readouterr().out
    summary = json.loads((tmp_path / "o" / "summary.json").read_text())
    assert summary["valid"] is False
    assert summary["scenarios"]["single_stream"]["invalid_because"]


def test_a_map_below_the_gate_is_status_1(coco: Path, tmp_path: Path, capsys: Capture) -> None:
    data = read(coco)
    for annotation in data["annotations"][:5]:
        annotation["bbox"] = [0, 0, 10, 10]
    write(coco, data)
    gate = ("--mode", "accuracy", "--set", "min_map_percent=90", "--output", str(tmp_path / "o"))
    assert cli.main(arguments(coco, *gate)) == 1
    assert "is below the gate of 90 %" in capsys.readouterr().out


def test_resuming_keeps_finished_tests_and_makes_the_rest(coco: Path, tmp_path: Path, capsys: Capture) -> None:
    out = ("--output", str(tmp_path / "o"))
    assert cli.main(arguments(coco, "--mode", "performance", *out)) == 0
    before = (tmp_path / "o/offline/performance/run_1/mlperf_log_detail.txt").read_bytes()
    capsys.readouterr()
    assert cli.main(arguments(coco, "--resume", *out)) == 0
    assert "Offline performance: already done, kept" in capsys.readouterr().err
    assert (tmp_path / "o/offline/performance/run_1/mlperf_log_detail.txt").read_bytes() == before
    assert "accuracy" in json.loads((tmp_path / "o" / "summary.json").read_text())


def damage(coco: Path, how: str) -> None:
    data = read(coco)
    if how == "missing":
        for k in (1, 2, 3, 4):
            (coco / "images" / f"00{k}.jpg").unlink()
    elif how == "truncated":
        path = coco / "images" / "004.jpg"
        path.write_bytes(path.read_bytes()[:-200])
    elif how == "corrupt":
        (coco / "images" / "004.jpg").write_bytes(b"not a JPEG")
    elif how == "empty":
        write(coco, data | {"images": [], "annotations": []})
    elif how == "not COCO":
        write(coco, {"hello": 1})
    elif how == "outside":
        data["images"][2]["file_name"] = "../../secret.jpg"
        write(coco, data)
    elif how == "not JSON":
        (coco / "instances.json").write_text("{")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("missing", "4 of 10 images are missing"),
        ("truncated", "004.jpg"),
        ("corrupt", "004.jpg"),
        ("empty", "instances.json"),
        ("not COCO", "instances.json"),
        ("not JSON", "instances.json"),
        ("outside", "../../secret.jpg"),
    ],
)
def test_a_bad_dataset_is_one_error_before_any_test(
    coco: Path, tmp_path: Path, capsys: Capture, how: str, message: str
) -> None:
    damage(coco, how)
    assert cli.main(arguments(coco, "--output", str(tmp_path / "o"))) == 3
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.err.count("error: ") == 1
    assert not list((tmp_path / "o").glob("*/*/mlperf_log*"))
    manifest = json.loads((tmp_path / "o" / "manifest.json").read_text())
    assert manifest["status"] == "failed"
    assert message in manifest["reason"]


@pytest.mark.parametrize(
    ("more", "status", "message"),
    [
        (("--model", "nowhere.onnx", "--backend", "onnxruntime"), 3, "nowhere.onnx: no such model"),
        (("--backend", "onnxruntme"), 2, "did you mean 'onnxruntime'?"),
        (("--set", "backend.options={latencyms: 1}"), 2, "did you mean 'latency_ms'?"),
        (("--set", "model.name=nosuch"), 2, "no such model: nosuch"),
        (("--devices", "cpu*x"), 2, "cannot read 'cpu*x'"),
        (("--count", "11"), 3, "11"),
        (("--set", "round=v9"), 2, "no such round: v9"),
    ],
)
def test_bad_settings_are_one_error_before_any_test(
    coco: Path, tmp_path: Path, capsys: Capture, more: tuple[str, ...], status: int, message: str
) -> None:
    assert cli.main(arguments(coco, "--output", str(tmp_path / "o"), *more)) == status
    assert message in capsys.readouterr().err


def test_a_missing_loadgen_is_said_before_any_test(
    coco: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlperf_loadgen", None)  # importing it then raises ImportError
    assert cli.main(arguments(coco, "--output", str(tmp_path / "o"))) == 3
    shown = capsys.readouterr().err
    assert "LoadGen cannot be imported" in shown
    assert "it has wheels for Python 3.10 to 3.13" in shown


def test_an_output_that_is_not_a_run_is_left_alone(coco: Path, capsys: Capture) -> None:
    assert cli.main(arguments(coco, "--output", str(coco))) == 2
    assert "exists and is not a run" in capsys.readouterr().err
    assert (coco / "instances.json").is_file()


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_everything_and_the_manifest_says_so(coco: Path, tmp_path: Path, kind: signal.Signals) -> None:
    out = tmp_path / "o"
    command = [sys.executable, "-m", "harness", *arguments(coco, "--output", str(out), "--duration", "60")]
    running = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True)
    log = out / "single_stream" / "performance" / "run_1" / "mlperf_log_detail.txt"
    deadline = time.monotonic() + 60
    while not log.exists():
        assert time.monotonic() < deadline
        assert running.poll() is None, running.communicate()
        time.sleep(0.05)
    os.killpg(running.pid, kind)  # as a terminal does: to the whole group
    _, err = running.communicate(timeout=30)  # half of the test's length; on a quiet machine it takes less than 3
    assert running.returncode == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["status"], manifest["reason"]) == ("failed", "interrupted")
    _wait_until_gone(running.pid)


def _wait_until_gone(group: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    pytest.fail("a process of the run outlived it")
