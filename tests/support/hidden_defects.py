"""Defects that hide in a log, or show only beside another test's, as rows of data; planted into any sound tree.

A row is a name, the test whose files are changed, what is done to them, and what the check's line must hold. The tests
are ``SCENARIO/performance``, ``SCENARIO/accuracy`` or ``SCENARIO/TEST``.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from tests.support.tree_edits import accuracy, compliance, entry, logs_of, run_1, value_of

DETAIL = "mlperf_log_detail.txt"
POWER_TIME = "%m-%d-%Y %H:%M:%S.%f"
Edit = Callable[[Path, str], object]


@dataclass(frozen=True)
class HiddenDefect:
    """Attributes:
    test: whose folder is changed.
    edit: the name of one of `EDITS`.
    argument: of the edit.
    words: that the finding must hold.
    """

    name: str
    test: str
    edit: str
    argument: str
    words: str
    level: str = "FAIL"

    def plant(self, owner: Path) -> None:
        """Changes the tree below ``DIVISION/SUBMITTER``."""
        EDITS[self.edit](folder_of(owner, self.test), self.argument)


def folder_of(owner: Path, test: str) -> Path:
    """The folder of a test's logs."""
    scenario, kind = test.split("/", 1)
    if kind == "performance":
        return run_1(owner, scenario)
    if kind == "accuracy":
        return accuracy(owner, scenario)
    name, _, part = kind.partition("/")
    return logs_of(owner, scenario, name) if not part else compliance(owner, scenario, name) / part.rstrip(".")


def edited(folder: Path, name: str, change: Callable[[str], str]) -> None:
    """Changes a file, which must be another one afterwards."""
    text = (folder / name).read_text(encoding="utf-8")
    changed = change(text)
    assert changed != text
    (folder / name).write_text(changed, encoding="utf-8")


def insert_line(folder: Path, line: str) -> None:
    """Puts a line among the entries of a detail log."""
    edited(folder, DETAIL, lambda text: text.replace("\n", f"\n{line}\n", 1))


def hide_an_error(folder: Path, before: str) -> None:
    """An ERROR entry with something before it, which a reader of lines that begin rightly does not see."""
    metadata = {"is_error": True, "is_warning": False}
    line = json.dumps({"key": "error_runtime", "value": "planted", "time_ms": 1.0, "metadata": metadata})
    insert_line(folder, f"{before}:::MLLOG {line}")


def shift_clock(folder: Path, seconds: str) -> None:
    """Moves both clocks of a test."""
    for key in ("power_begin", "power_end"):
        moved = datetime.strptime(value_of(folder, key), POWER_TIME) + timedelta(seconds=float(seconds))
        entry(folder, key, moved.strftime(POWER_TIME)[:-3])


def lengthen(folder: Path, seconds: str) -> None:
    """Moves the end of a test."""
    moved = datetime.strptime(value_of(folder, "power_end"), POWER_TIME) + timedelta(seconds=float(seconds))
    entry(folder, "power_end", moved.strftime(POWER_TIME)[:-3])


def same_latencies(folder: Path, other: str) -> None:
    """Gives a test the minimum, mean and maximum of another test of the scenario."""
    owner = next(parent for parent in folder.parents if (parent / "systems").is_dir())
    for key in ("result_min_latency_ns", "result_mean_latency_ns", "result_max_latency_ns"):
        entry(folder, key, value_of(folder_of(owner, other), key))


def replace_value(folder: Path, argument: str) -> None:
    """``key=value``: another value of a key of a detail log."""
    key, _, value = argument.partition("=")
    entry(folder, key, value)


def half(folder: Path, key: str) -> None:
    """Sets a setting to a half, which is no whole number."""
    for prefix in ("requested", "effective"):
        entry(folder, f"{prefix}_{key}", 0.5)


def first_data(folder: Path, argument: str) -> None:
    """Gives the first record of a cut accuracy log other data; ``N:DATA`` replaces the hexadecimal digits from N on."""
    at, _, digits = argument.partition(":")

    def change(text: str) -> str:
        match = re.search(r'"data" : "([0-9A-F]*)', text)
        assert match is not None
        start = match.start(1) + int(at)
        end = start + len(digits) if digits else match.end(1)
        return text[:start] + digits + text[end:]

    edited(folder, "mlperf_log_accuracy.json", change)


def substitute(folder: Path, argument: str) -> None:
    """``FILE|PATTERN|TEXT``: replaces what a pattern matches in a file."""
    name, pattern, new = argument.split("|")
    edited(folder, name, lambda text: re.sub(pattern, new, text))


def take_from(folder: Path, argument: str) -> None:
    """``FILE|TEST``: takes a file of another test."""
    name, other = argument.split("|")
    owner = next(parent for parent in folder.parents if (parent / "systems").is_dir())
    shutil.copyfile(folder_of(owner, other) / name, folder / name)


def no_text(folder: Path, name: str) -> None:
    """Puts bytes that are not UTF-8 before a file's own."""
    (folder / name).write_bytes(b"\xff\xfe\n" + (folder / name).read_bytes())


EDITS: dict[str, Edit] = {
    "insert line": insert_line,
    "hide an error": hide_an_error,
    "shift clock": shift_clock,
    "lengthen": lengthen,
    "same latencies": same_latencies,
    "replace value": replace_value,
    "half": half,
    "first data": first_data,
    "substitute": substitute,
    "take from": take_from,
    "no text": no_text,
}

ENTRIES, ERRORS = "entries of LoadGen only: found line", "no error entries: found the error entry"
OWN_RUN, SYSTEM, DATES = "a run of its own: found the logs of", "the run's system: found", "dates: found"
LOG, ANSWERS, NO_COUNTS = (
    "accuracy log: found record",
    "a log of its own: found the hash of",
    "without counts of answers",
)

DEFECTS = [
    HiddenDefect("a remark in a log", "Offline/performance", "insert line", "# edited", ENTRIES),
    HiddenDefect("a remark in an accuracy run's log", "Offline/accuracy", "insert line", "# edited", ENTRIES),
    HiddenDefect("a remark in TEST01's log", "Offline/TEST01", "insert line", "# edited", ENTRIES),
    HiddenDefect("a remark in TEST05's log", "SingleStream/TEST05", "insert line", "# edited", ENTRIES),
    HiddenDefect("half an entry", "SingleStream/performance", "insert line", "::MLLOG {}", ENTRIES),
    HiddenDefect("an error behind a space", "Offline/performance", "hide an error", " ", ERRORS),
    HiddenDefect("an error behind a tab", "SingleStream/performance", "hide an error", "\t", ERRORS),
    HiddenDefect("an error behind a byte order mark", "Offline/TEST05", "hide an error", "\ufeff", ERRORS),
    HiddenDefect("an error behind a space, accuracy", "SingleStream/accuracy", "hide an error", " ", ERRORS),
    HiddenDefect("latencies of the run in TEST01", "Offline/TEST01", "same latencies", "Offline/performance", OWN_RUN),
    HiddenDefect("latencies of the run in TEST05", "Offline/TEST05", "same latencies", "Offline/performance", OWN_RUN),
    HiddenDefect(
        "latencies of the run in TEST01 of SingleStream",
        "SingleStream/TEST01",
        "same latencies",
        "SingleStream/performance",
        OWN_RUN,
    ),
    HiddenDefect(
        "latencies of TEST01 in TEST05", "SingleStream/TEST05", "same latencies", "SingleStream/TEST01", OWN_RUN
    ),
    HiddenDefect(
        "latencies of TEST04-A in TEST04-B", "Offline/TEST04-B", "same latencies", "Offline/TEST04-A", OWN_RUN
    ),
    HiddenDefect(
        "latencies of SingleStream's TEST05 in Offline's",
        "Offline/TEST05",
        "same latencies",
        "SingleStream/TEST05",
        "logs of no other place: found an edited copy",
    ),
    HiddenDefect(
        "SingleStream's answers in Offline's TEST01",
        "Offline/TEST01/accuracy",
        "take from",
        "mlperf_log_accuracy.json|SingleStream/TEST01/accuracy",
        "answers of its own: found the answers of",
    ),
    HiddenDefect(
        "half of an audit's setting",
        "Offline/performance",
        "half",
        "accuracy_log_probability",
        "special settings: found",
    ),
    HiddenDefect("a clock 17 minutes late", "Offline/performance", "shift clock", "1020", DATES),
    HiddenDefect("a clock 17 minutes early", "SingleStream/performance", "shift clock", "-1020", DATES),
    HiddenDefect("a clock of another day", "Offline/TEST01", "shift clock", "86400", DATES),
    HiddenDefect("a clock of another year", "SingleStream/TEST05", "shift clock", "31536000", DATES),
    HiddenDefect("a test that ends two minutes later", "Offline/performance", "lengthen", "120", DATES),
    HiddenDefect("a test that ends ten seconds later", "SingleStream/performance", "lengthen", "30", DATES),
    HiddenDefect(
        "a date of its own",
        "Offline/TEST05",
        "replace value",
        "test_datetime=2021-01-01T00:17:00Z",
        DATES,
    ),
    HiddenDefect("a date that is none", "Offline/performance", "replace value", "test_datetime=yesterday", DATES),
    HiddenDefect("a clock of another year in the accuracy run", "Offline/accuracy", "shift clock", "31536000", DATES),
    HiddenDefect("another SUT in the accuracy run", "Offline/accuracy", "replace value", "sut_name=other", SYSTEM),
    HiddenDefect("another SUT in TEST01", "Offline/TEST01", "replace value", "sut_name=other", SYSTEM),
    HiddenDefect("another SUT in TEST04-A", "Offline/TEST04-A", "replace value", "sut_name=other", SYSTEM),
    HiddenDefect("another SUT in TEST05", "SingleStream/TEST05", "replace value", "sut_name=other", SYSTEM),
    HiddenDefect("another SUT in the run", "SingleStream/performance", "replace value", "sut_name=other", SYSTEM),
    HiddenDefect("another LoadGen in TEST01", "Offline/TEST01", "replace value", "loadgen_version=1.1", SYSTEM, "WARN"),
    HiddenDefect(
        "another LoadGen in TEST05", "SingleStream/TEST05", "replace value", "loadgen_version=1.1", SYSTEM, "WARN"
    ),
    HiddenDefect(
        "the hash of another scenario", "Offline/accuracy", "take from", "accuracy.txt|SingleStream/accuracy", ANSWERS
    ),
    HiddenDefect(
        "the hash of Offline in SingleStream",
        "SingleStream/accuracy",
        "take from",
        "accuracy.txt|Offline/accuracy",
        ANSWERS,
    ),
    HiddenDefect("a detection without a class", "Offline/accuracy", "first data", "0:0000C07F", LOG),
    HiddenDefect("a detection of another image", "Offline/accuracy", "first data", "0:0000803F", LOG),
    HiddenDefect("a coordinate that is not a number", "SingleStream/accuracy", "first data", "8:0000C07F", LOG),
    HiddenDefect("an infinite coordinate", "Offline/accuracy", "first data", "16:0000807F", LOG),
    HiddenDefect("a score of five", "Offline/accuracy", "first data", "40:0000A040", LOG),
    HiddenDefect("a negative score", "SingleStream/accuracy", "first data", "40:000080BF", LOG),
    HiddenDefect("another image in TEST01's answers", "Offline/TEST01/accuracy", "first data", "0:0000803F", LOG),
    HiddenDefect(
        "a score of five in TEST01's answers", "SingleStream/TEST01/accuracy", "first data", "40:0000A040", LOG
    ),
    HiddenDefect(
        "AP above AP50",
        "Offline/accuracy",
        "substitute",
        r"accuracy.txt|(IoU=0\.50 .*all .*= )[\d.]+|\g<1>0.101",
        "accuracy: found AP ",
    ),
    HiddenDefect(
        "AP above AP50 in SingleStream",
        "SingleStream/accuracy",
        "substitute",
        r"accuracy.txt|(IoU=0\.50 .*all .*= )[\d.]+|\g<1>0.2",
        "accuracy: found AP ",
    ),
    HiddenDefect(
        "answers that nobody counted",
        "Offline/TEST01/.",
        "substitute",
        r"verify_accuracy.txt|num_.*\n|",
        NO_COUNTS,
    ),
    HiddenDefect(
        "answers that nobody counted in SingleStream",
        "SingleStream/TEST01/.",
        "substitute",
        r"verify_accuracy.txt|num_.*\n|",
        NO_COUNTS,
    ),
    HiddenDefect("accuracy.txt that is no text", "Offline/accuracy", "no text", "accuracy.txt", "not UTF-8"),
    HiddenDefect(
        "verify_accuracy.txt that is no text", "Offline/TEST01/.", "no text", "verify_accuracy.txt", "not UTF-8", "WARN"
    ),
    HiddenDefect("a detail log that is no text", "Offline/performance", "no text", DETAIL, "'utf-8' codec"),
    HiddenDefect(
        "a summary log that is no text",
        "SingleStream/performance",
        "no text",
        "mlperf_log_summary.txt",
        "'utf-8' codec",
    ),
    HiddenDefect("accuracy's detail log that is no text", "SingleStream/accuracy", "no text", DETAIL, "'utf-8' codec"),
]
