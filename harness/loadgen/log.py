"""LoadGen's detail log, read: every key, and every error entry."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import LogError

DETAIL_LOG = "mlperf_log_detail.txt"
SUMMARY_LOG = "mlperf_log_summary.txt"
ACCURACY_LOG = "mlperf_log_accuracy.json"
TRACE_LOG = "mlperf_log_trace.json"
USER_CONF = "user.conf"
"""The settings of a test, as LoadGen reads them and a submission shows them."""
AUDIT_FOUND = "Found Audit Config file"
"""In the warning that LoadGen logs whenever it reads an audit.config, as every compliance test has it do."""
PREFIX = ":::MLLOG "
COUNTS = {"result_query_count", "result_overlatency_query_count"}
"""Keys whose numbers some commits of LoadGen 2.0 wrote as text."""


@dataclass(frozen=True)
class DetailLog:
    """``mlperf_log_detail.txt``.

    Attributes:
        values: key → value of its last entry.
        errors: texts of the entries that LoadGen marks as errors.
        warnings: likewise of warnings.
        repeated: keys with more than one entry → all their values, in order.
        times_ms: key → when its last entry was written, from LoadGen's start.
        other: lines that are no entries, with their numbers.
    """

    values: dict[str, Any]
    errors: tuple[str, ...]
    warnings: tuple[str, ...]
    repeated: dict[str, list[Any]] = field(default_factory=dict)
    times_ms: dict[str, float] = field(default_factory=dict)
    other: tuple[tuple[int, str], ...] = ()

    @property
    def valid(self) -> bool:
        """LoadGen's own verdict on a performance run, and no error entry."""
        return self.values.get("result_validity") == "VALID" and not self.errors

    def milliseconds(self, key: str) -> float:
        """A value in nanoseconds as milliseconds."""
        return float(self.values[key]) / 1e6


def read_detail(path: Path) -> DetailLog:
    """Reads a detail log.

    Raises:
        LogError: it is missing, or a line of it is damaged.
    """
    values: dict[str, Any] = {}
    repeated: dict[str, list[Any]] = {}
    errors: list[str] = []
    warnings: list[str] = []
    times_ms: dict[str, float] = {}
    other: list[tuple[int, str]] = []
    try:
        with path.open(encoding="utf-8") as lines:
            for number, text in enumerate(lines, 1):
                line = text
                if not text.startswith(PREFIX):
                    if text.strip():
                        other.append((number, text.strip()))
                    # what LoadGen wrote counts where something was put before it
                    line = text.lstrip("\ufeff \t")
                    if not line.startswith(PREFIX):
                        continue
                try:
                    entry = json.loads(line[len(PREFIX) :], strict=False)  # LoadGen 1.x wrote a name's NUL
                    key, value, metadata = str(entry["key"]), entry["value"], dict(entry["metadata"])
                    time_ms = float(entry.get("time_ms", 0))
                except (ValueError, KeyError, TypeError, RecursionError) as error:
                    raise LogError(f"line {number} is not a LoadGen entry", where=str(path)) from error
                if metadata.get("is_error"):
                    errors.append(f"{key}: {value}")
                elif metadata.get("is_warning"):
                    warnings.append(f"{key}: {value}")
                if key in values:
                    repeated.setdefault(key, [values[key]]).append(value)
                times_ms[key] = time_ms
                values[key] = int(value) if key in COUNTS and str(value).isdecimal() else value
    except (OSError, UnicodeDecodeError) as error:
        raise LogError(f"cannot be read: {error}", where=str(path)) from error
    return DetailLog(values, tuple(errors), tuple(warnings), repeated, times_ms, tuple(other))


class WarningTail:
    """The errors and warnings of a detail log that is still being written.

    Args:
        path: of the log.
        expected: parts of the texts of those that the test's settings bring with them, which are not worth a word.
    """

    def __init__(self, path: Path, expected: Sequence[str] = ()) -> None:
        self._path = path
        self._expected = expected
        self._read = 0

    def new(self) -> list[str]:
        """The lines that came since the last call; none while there is no log, and an unfinished line waits."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._read)
                text = file.read()
        except OSError:
            return []
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        found = []
        for line in whole.decode(errors="replace").splitlines():
            if "is_error" not in line and "is_warning" not in line:
                continue
            try:
                entry = json.loads(line.removeprefix(PREFIX))
                marks = entry["metadata"]
                if any(part in str(entry["value"]) for part in self._expected):
                    continue
                if marks.get("is_error") or marks.get("is_warning"):
                    kind = "error" if marks.get("is_error") else "warning"
                    found.append(f"LoadGen {kind}: {entry['key']}: {entry['value']}")
            except (ValueError, KeyError, TypeError):
                continue  # read_detail, after the test, refuses a damaged log
        return found
