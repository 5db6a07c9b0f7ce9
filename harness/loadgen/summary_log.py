"""LoadGen's summary log, read: the text that a person sees, in which every figure of the detail log is again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from harness.errors import LogError

_LINE = re.compile(r"^ *([^:*]+?) *:(?: +(.*?))? *$")
_COUNT = re.compile(
    r"^(?:(No)|(\d+)) (warning|error)s? encountered(?: during test\.|\. See detailed log\.)$", re.IGNORECASE
)
_TITLES = {"MLPerf Results Summary", "Additional Stats", "Test Parameters Used"}
_REMARKS = {"Early Stopping Result:", "Recommendations:"}
"""Titles of texts that go on to the next empty line or name."""


@dataclass(frozen=True)
class SummaryLog:
    """``mlperf_log_summary.txt``.

    Attributes:
        values: the name of each line → its text; of a name that comes twice the later one.
        repeated: names that come twice with different texts.
        warnings, errors: how many the log says that there were; None where it does not say.
    remarks: title of a text without its colon → the text, its spaces made one.
    other: lines that are none of LoadGen's.
    """

    values: dict[str, str]
    repeated: tuple[str, ...]
    warnings: int | None
    errors: int | None
    remarks: dict[str, str]
    other: tuple[str, ...]


def read_summary(path: Path) -> SummaryLog:
    """Reads a summary log.

    Raises:
        LogError: it cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LogError(f"cannot be read: {error}", where=str(path)) from error
    values: dict[str, str] = {}
    repeated: list[str] = []
    other: list[str] = []
    counts: dict[str, int] = {}
    remarks: dict[str, list[str]] = {}
    remark: list[str] | None = None
    for line in lines:
        counted = _COUNT.match(line)
        if counted:
            counts[counted[3].lower()] = int(counted[2] or 0)
        elif not line.strip(" =-"):
            remark = None
        elif line.strip() in _REMARKS:
            remark = remarks.setdefault(line.strip().rstrip(":"), [])
        elif remark is not None:
            remark += line.split()
        elif match := _LINE.match(line):
            name, text = match[1], match[2] or ""
            if values.get(name, text) != text:
                repeated.append(name)
            values[name] = text
        elif line.strip() not in _TITLES:
            other.append(line)
    return SummaryLog(
        values,
        tuple(repeated),
        counts.get("warning"),
        counts.get("error"),
        {title: " ".join(words) for title, words in remarks.items()},
        tuple(other),
    )
