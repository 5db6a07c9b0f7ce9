"""The official verification scripts are run from a clone; a failure for LoadGen's new words is told from another."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import DataError
from harness.rounds import load_round
from harness.runs.layout import ComplianceFolders
from harness.scenarios import Scenario
from harness.submission.compliance_files import TestVerdict
from harness.submission.official_verification import verify_officially

TESTS = load_round("v2.0").benchmark("ssd-resnet34").compliance
OURS = TestVerdict("figures", ())
NEW_WORDS = "Scenario : SingleStream\n90.0th percentile latency (ns) : 5270346\n"


def folders_of(run: Path, scenario: Scenario) -> ComplianceFolders:
    return ComplianceFolders(run, scenario, run / scenario / "accuracy")


def verify(tmp_path: Path, script: str, summary: str = NEW_WORDS, test: str = "TEST05") -> TestVerdict:
    """A clone whose script is this one, and the logs of a test in SingleStream."""
    folders = folders_of(tmp_path, "single_stream")
    for folder in (folders.performance, folders.logs(test)):
        folder.mkdir(parents=True)
        (folder / "mlperf_log_summary.txt").write_text(summary)
    for program, *_ in TESTS[test].official.values():
        path = tmp_path / "clone" / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(script)
    return verify_officially(tmp_path / "clone", OURS, TESTS[test], test, folders)


def test_a_pass_is_a_note(tmp_path: Path) -> None:
    found = verify(tmp_path, "print('reference score = 1', 'TEST PASS', sep='\\n')")
    assert found.passed
    assert found.notes == ("official performance: TEST PASS",)


def test_the_script_gets_the_logs_of_the_run_and_of_the_test(tmp_path: Path) -> None:
    found = verify(tmp_path, "import sys; print('TEST FAIL', *sys.argv[1:])")
    assert found.reasons == (
        f"official performance: TEST FAIL -r={tmp_path}/single_stream/performance/run_1/mlperf_log_summary.txt"
        f" -t={tmp_path}/single_stream/compliance/TEST05/performance/run_1/mlperf_log_summary.txt",
    )


def test_a_script_that_cannot_read_loadgens_words_is_no_failure_and_the_cause_is_said(tmp_path: Path) -> None:
    found = verify(tmp_path, "print('reference score = 0', 'test score = 0', 'TEST FAIL: invalid', sep='\\n')")
    assert found.passed
    [note] = found.notes
    assert "it looks for '90th percentile' (or '99th'), LoadGen since 5.0 writes '90.0th'" in note


def test_no_score_for_another_cause_is_a_failure(tmp_path: Path) -> None:
    script = "print('reference score = 0', 'TEST FAIL: invalid', sep='\\n')"
    found = verify(tmp_path, script, summary="90th percentile latency (ns) : 5270346\n")
    assert found.reasons == ("official performance: TEST FAIL: invalid",)


def test_a_script_that_breaks_is_a_failure_with_its_last_words(tmp_path: Path) -> None:
    found = verify(tmp_path, "raise SystemExit('TEST FAIL: Reference results are invalid')")
    assert found.reasons == ("official performance: TEST FAIL: Reference results are invalid",)


def test_a_folder_that_is_no_clone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no compliance/nvidia/TEST05/verify_performance\.py"):
        verify_officially(
            tmp_path,
            OURS,
            TESTS["TEST05"],
            "TEST05",
            folders_of(tmp_path, "offline"),
        )
