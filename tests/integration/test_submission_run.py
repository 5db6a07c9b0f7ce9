"""``run --mode submission`` and ``compliance``, from the command line to the files that a submission takes."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import cli
from harness.settings import configs_dir
from tests.integration.test_run import ROOT, Capture, arguments

INTERRUPTIONS = int(os.environ.get("SSD_HARNESS_TEST_INTERRUPTIONS", "2"))
SYSTEM = str(configs_dir() / "systems" / "simulated.json")
DONE = (0, 1)  # on a machine with other work a test of 0.2 s may be INVALID, which is no matter here
TESTS = ("TEST01", "TEST04-A", "TEST04-B", "TEST05")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSD_HARNESS_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def submission(coco: Path, *more: str) -> list[str]:
    whose = ("--mode", "submission", "--division", "closed", "--submitter", "ORG", "--system", SYSTEM)
    return arguments(coco, *whose, *more)


@pytest.fixture(scope="module")
def offline_run(kept_coco: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished submission run of Offline."""
    out = tmp_path_factory.mktemp("offline") / "o"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSD_HARNESS_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        assert cli.main(submission(kept_coco, "--scenario", "offline", "--output", str(out))) in DONE
    return out


@pytest.fixture
def out(offline_run: Path, tmp_path: Path) -> Path:
    """A copy of it to go on with."""
    return Path(shutil.copytree(offline_run, tmp_path / "o"))


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_every_scenario_that_the_round_requires_has_accuracy_and_performance_and_a_rehearsal_says_so(
    coco: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "o"
    few = ("--set", "tests.multi_stream.min_queries=662", "--output", str(out))
    assert cli.main(submission(coco, *few)) in DONE
    manifest, summary = read(out / "manifest.json"), read(out / "summary.json")
    assert [(test["scenario"], test["mode"]) for test in manifest["tests"]] == [
        (scenario, mode)
        for scenario in ("single_stream", "multi_stream", "offline")
        for mode in ("accuracy", "performance")
    ]
    for scenario in ("single_stream", "multi_stream", "offline"):
        text = (out / scenario / "accuracy" / "accuracy.txt").read_text()
        assert "mAP=" in text
        assert "hash=" in text
    said = manifest["submission"]
    assert (said["division"], said["submitter"], said["system_id"]) == ("closed", "ORG", "simulated")
    assert said["system"]["accelerator_model_name"] == "simulated device"
    assert said["rehearsal"] is True
    reasons = {
        "the device is simulated",
        "10 images; the round has 5000",
        "offline: at least 0.2 s; the round asks for 600 s",
        "offline: at least 70 samples; the round asks for 24576",
    }
    assert reasons <= set(said["rehearsal_because"])
    assert reasons <= set(summary["not_submittable_because"])
    assert (
        "offline: TEST01, TEST04-A, TEST04-B, TEST05 not run; see ssd-harness compliance"
        in (summary["not_submittable_because"])
    )
    assert set(summary["accuracies"]) == {"single_stream", "multi_stream", "offline"}
    shown = capsys.readouterr()
    assert "REHEARSAL, no submission: the device is simulated" in shown.err
    assert "the device is simulated" in shown.out


def test_one_scenario_can_be_asked_for_and_the_others_are_said_to_be_missing(offline_run: Path) -> None:
    reasons = read(offline_run / "manifest.json")["submission"]["rehearsal_because"]
    assert "single_stream was not run; closed asks for it on edge" in reasons
    assert read(offline_run / "summary.json")["submittable"] is False


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"system_type": "toaster"}, "toaster"),
        ({"status": "soon"}, "soon"),
        ({"cooling": None}, "cooling"),
    ],
)
def test_a_bad_description_of_the_system_is_one_error_before_any_test(
    coco: Path, tmp_path: Path, capsys: Capture, changed: dict[str, Any], message: str
) -> None:
    described = {key: value for key, value in {**read(Path(SYSTEM)), **changed}.items() if value is not None}
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(described))
    assert cli.main([*submission(coco, "--output", str(tmp_path / "o")), "--system", str(path)]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("arguments_", "message"),
    [
        (("--mode", "submission"), "--mode submission needs --division, --submitter and --system"),
        (("--division", "closed", "--submitter", "O", "--system", SYSTEM), "go with --mode submission"),
        (("--mode", "submission", "--division", "closed", "--submitter", "../O", "--system", SYSTEM), "submitter"),
        (("--mode", "submission", "--division", "closed", "--submitter", "O", "--system", "no.json"), "no.json"),
    ],
)
def test_half_a_submission_is_refused(
    coco: Path, tmp_path: Path, capsys: Capture, arguments_: tuple[str, ...], message: str
) -> None:
    assert cli.main(arguments(coco, *arguments_, "--output", str(tmp_path / "o"))) == 2
    assert message in capsys.readouterr().err


def test_two_processes_cannot_be_at_one_run(coco: Path, tmp_path: Path, capsys: Capture) -> None:
    from harness.runs.directory import alone_in

    out = tmp_path / "o"
    out.mkdir()
    with alone_in(out):
        assert cli.main(submission(coco, "--output", str(out))) == 2
    assert "another process is at this run" in capsys.readouterr().err


def running(mark: str) -> Iterator[int]:
    """Processes with this in their environment."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes() and (folder / "cmdline").read_bytes():
                yield int(folder.name)
        except OSError:
            continue


def finished_tests(out: Path) -> dict[str, int]:
    """Folder of each finished test → when its log was last written."""
    return {
        str(path.parent.relative_to(out)): (path.parent / "mlperf_log_detail.txt").stat().st_mtime_ns
        for path in out.rglob("test.json")
    }


@pytest.mark.slow
def test_interrupted_at_random_moments_it_ends_in_the_same_files_and_runs_no_finished_test_again(
    coco: Path, tmp_path: Path
) -> None:
    mark = f"SSD_HARNESS_TEST_MARK={tmp_path}"
    environment = os.environ | dict([mark.split("=", 1)])
    rng = random.Random(3)

    def start(out: Path, seconds: float | None = None, kind: int = 0) -> tuple[int, str]:
        """The command's status and what it said, at its end or after the signal that it gets after so many seconds."""
        scenarios = ("--scenario", "single_stream,offline", "--output", str(out), "--resume")
        command = [sys.executable, "-m", "harness", *submission(coco, *scenarios)]
        with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.send_signal(kind)
            except BaseException:
                process.kill()
                raise
            said = process.communicate()[1]
            return process.returncode, said

    began = time.monotonic()
    assert start(tmp_path / "whole")[0] in DONE
    length_s = time.monotonic() - began

    out, finished, statuses = tmp_path / "o", dict[str, int](), set[int]()
    for k in range(INTERRUPTIONS):
        status, said = start(out, rng.uniform(0, length_s), (signal.SIGINT, signal.SIGKILL)[k % 2])
        statuses.add(status)
        assert status in (*DONE, 130, -signal.SIGINT, -signal.SIGKILL), said
        if status == 130 and "next:" in said:
            assert f"--resume --output {out}" in said
        deadline = time.monotonic() + 60
        while left := list(running(mark)):
            assert time.monotonic() < deadline, f"still there: {left}"
            time.sleep(0.02)
        now = finished_tests(out) if out.exists() else {}
        assert now.items() >= finished.items(), "a finished test was run again, or was lost"
        finished = now
    assert start(out)[0] in DONE
    assert finished_tests(out).items() >= finished.items()
    assert files(out) == files(tmp_path / "whole")
    assert len(statuses) > 1, f"always {statuses}"
    assert read(out / "manifest.json")["status"] == "complete"


def test_compliance_leaves_what_a_submission_takes_and_is_resumed(out: Path, capsys: Capture) -> None:
    of_offline = out / "offline" / "compliance"
    assert cli.main(["compliance", str(out), "--test", "TEST04-B"]) in (0, 1)  # a device of 1 ms is not steady
    assert {path.name for path in of_offline.iterdir()} == {"TEST04-A", "TEST04-B"}
    before = finished_tests(out)
    capsys.readouterr()
    status = cli.main(["compliance", str(out)])
    shown = capsys.readouterr()
    assert "Offline TEST04-A: already done, kept" in shown.err
    assert finished_tests(out).items() > before.items()

    logs = {f"performance/run_1/mlperf_log_{kind}.txt" for kind in ("summary", "detail")}
    conf = {f"performance/run_1/{name}" for name in ("user.conf", "audit.config")}
    for test in TESTS:
        assert logs | conf <= files(of_offline / test)
        assert (of_offline / test / "verify_performance.txt").is_file() == (test != "TEST04-B")
    answers = {"verify_accuracy.txt", "accuracy/mlperf_log_accuracy.json", "accuracy/accuracy.txt"}
    assert answers <= files(of_offline / "TEST01")
    assert "TEST PASS" in (of_offline / "TEST01" / "verify_accuracy.txt").read_text().splitlines()

    verdicts = read(out / "compliance.json")["scenarios"]["offline"]
    assert list(verdicts) == list(TESTS)
    for test, verdict in verdicts.items():
        # only how steady a device of 1 ms is may differ: every setting was in effect
        assert not [reason for reason in verdict["reasons"] if "the test asks for" in reason or "error" in reason]
        assert f"[{'PASS' if verdict['passed'] else 'FAIL'}] Offline {test}: " in shown.out
    assert status == (0 if all(verdict["passed"] for verdict in verdicts.values()) else 1)
    reasons = read(out / "summary.json")["not_submittable_because"]
    assert not [reason for reason in reasons if "not run; see ssd-harness compliance" in reason]

    # one that was disturbed is run once more, and no other
    cli.main(["compliance", str(out), "--test", "TEST04-A", "--again"])
    progress = capsys.readouterr().err
    assert "Offline TEST04-A ..." in progress and "Offline TEST04-B: already done, kept" in progress

    # the same settings as the run's own test, to the last digit
    assert (of_offline / "TEST05/performance/run_1/user.conf").read_text() == (
        out / "offline/performance/run_1/user.conf"
    ).read_text()


def test_answers_unlike_the_accuracy_runs_fail_with_status_1_and_both_accuracies(out: Path, capsys: Capture) -> None:
    log = out / "offline" / "accuracy" / "mlperf_log_accuracy.json"
    # another score in every answer of the accuracy run: 0.5 becomes 0.625
    log.write_text(log.read_text().replace("0000003F", "0000203F"))
    assert cli.main(["compliance", str(out), "--test", "TEST01"]) == 1
    assert "answers are not those of the accuracy run" in capsys.readouterr().out
    accuracy = out / "offline" / "compliance" / "TEST01" / "accuracy"
    assert "mAP=" in (accuracy / "baseline_accuracy.txt").read_text()
    assert "mAP=" in (accuracy / "compliance_accuracy.txt").read_text()
    failing = (accuracy.parent / "verify_accuracy.txt").read_text().splitlines()[-1]
    assert failing.startswith("TEST FAIL: ")
    assert (
        "offline: TEST04-A, TEST04-B, TEST05 not run; see ssd-harness compliance"
        in (read(out / "summary.json")["not_submittable_because"])
    )


def test_compliance_needs_a_complete_run_with_its_own_inputs(coco: Path, tmp_path: Path, capsys: Capture) -> None:
    assert cli.main(["compliance", str(tmp_path)]) == 2
    assert "is not a run" in capsys.readouterr().err
    out = tmp_path / "o"
    assert cli.main(submission(coco, "--scenario", "offline", "--output", str(out))) in DONE
    assert cli.main(["compliance", str(out), "--test", "TEST99"]) == 2
    assert "no such compliance test: TEST99" in capsys.readouterr().err
    (coco / "images" / "003.jpg").write_bytes((coco / "images" / "004.jpg").read_bytes())
    assert cli.main(["compliance", str(out)]) == 2
    assert "images_sha256 of the dataset is " in capsys.readouterr().err
