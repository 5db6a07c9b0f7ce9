"""LoadGen's detail log is read whole, with its errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import LogError
from harness.loadgen.log import read_detail

LINE = ':::MLLOG {{"key": "{key}", "value": {value}, "metadata": {{"is_error": {error}, "is_warning": {warning}}}}}\n'


def entry(key: str, value: str, error: str = "false", warning: str = "false") -> str:
    return LINE.format(key=key, value=value, error=error, warning=warning)


def write(folder: Path, *lines: str) -> Path:
    path = folder / "mlperf_log_detail.txt"
    path.write_text("".join(lines))
    return path


def test_values_errors_and_warnings_are_told_apart(tmp_path: Path) -> None:
    log = read_detail(
        write(
            tmp_path,
            "a line of something else\n",
            entry("result_validity", '"VALID"'),
            entry("result_mean_latency_ns", "2500000"),
            entry("error_runtime", '"ran out"', error="true"),
            entry("warning_x", '"slow"', warning="true"),
        )
    )
    assert log.milliseconds("result_mean_latency_ns") == 2.5
    assert log.errors == ("error_runtime: ran out",)
    assert log.warnings == ("warning_x: slow",)


def test_a_run_is_valid_only_without_an_error_entry(tmp_path: Path) -> None:
    assert read_detail(write(tmp_path, entry("result_validity", '"VALID"'))).valid
    assert not read_detail(write(tmp_path, entry("result_validity", '"INVALID"'))).valid
    assert not read_detail(write(tmp_path, entry("result_validity", '"VALID"'), entry("e", "1", error="true"))).valid
    assert not read_detail(write(tmp_path)).valid


@pytest.mark.parametrize("line", [":::MLLOG {\n", ":::MLLOG []\n", ':::MLLOG {"key": 1}\n'])
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(LogError, match="line 2 is not a LoadGen entry"):
        read_detail(write(tmp_path, entry("a", "1"), line))


def test_a_missing_log_is_named(tmp_path: Path) -> None:
    with pytest.raises(LogError, match=r"mlperf_log_detail\.txt: cannot be read"):
        read_detail(tmp_path / "mlperf_log_detail.txt")
