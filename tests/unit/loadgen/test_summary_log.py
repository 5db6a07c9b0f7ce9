"""LoadGen's summary log is read, of today's version and of the rounds' own."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import LogError
from harness.loadgen.summary_log import read_summary

TODAY = """\
================================================
MLPerf Results Summary
================================================
SUT name : PyFastSUT
90.0th percentile latency (ns) : 532304
Result is : VALID
  Min duration satisfied : Yes
Early Stopping Result:
 * Processed at least 64 queries (952).
 * and
 more.

================================================
Test Parameters Used
================================================
min_duration (ms): 500
performance_issue_same : 0

No warnings encountered during test.

No errors encountered during test.
"""
V1_1 = """\
90th percentile latency (ns) : 13804373
Result is : INVALID
Recommendations:
 * The test exited early, before enough queries were issued.
   See the detailed log for why this may have occurred.

1 warning encountered. See detailed log.

2 ERRORS encountered. See detailed log.
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "mlperf_log_summary.txt"
    path.write_text(text)
    return path


def test_each_line_is_a_name_and_a_text(tmp_path: Path) -> None:
    log = read_summary(write(tmp_path, TODAY))
    assert log.values == {
        "SUT name": "PyFastSUT",
        "90.0th percentile latency (ns)": "532304",
        "Result is": "VALID",
        "Min duration satisfied": "Yes",
        "min_duration (ms)": "500",
        "performance_issue_same": "0",
    }
    assert (log.warnings, log.errors, log.other, log.repeated) == (0, 0, (), ())
    assert log.remarks == {"Early Stopping Result": "* Processed at least 64 queries (952). * and more."}


def test_messages_are_counted_as_both_versions_write_them(tmp_path: Path) -> None:
    log = read_summary(write(tmp_path, V1_1))
    assert (log.warnings, log.errors, log.other) == (1, 2, ())
    assert log.values["90th percentile latency (ns)"] == "13804373"


def test_what_is_not_loadgens_is_kept_apart(tmp_path: Path) -> None:
    log = read_summary(write(tmp_path, "an opinion\nResult is : VALID\nResult is : INVALID\n"))
    assert (log.other, log.repeated, log.errors) == (("an opinion",), ("Result is",), None)


def test_a_missing_log_is_named(tmp_path: Path) -> None:
    with pytest.raises(LogError, match=r"mlperf_log_summary\.txt: cannot be read"):
        read_summary(tmp_path / "mlperf_log_summary.txt")
