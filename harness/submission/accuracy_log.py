"""The accuracy log of a submission: cut to its beginning and its end, with the sha256 of the whole beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.accuracy.log import read_accuracy_log
from harness.accuracy_record import BYTES_PER_DETECTION, FIELDS
from harness.errors import LogError
from harness.files import replacing, sha256_file
from harness.rounds import AccuracyLogRules

_CUT = b"\n\n...\n\n"
_OBJECT = re.compile(rb"\{[^{}]*\}?")
_FIELD = re.compile(rb'"(seq_id|qsl_idx)"\s*:\s*(\d+)\s*[,}]|"(data)"\s*:\s*"([0-9A-Fa-f]*)')
_ROUNDED = 0.01
"""How far a score may be outside 0 to 1, by low precision."""
_HASH = re.compile(r"^hash=(\S*)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class LogInTree:
    """What an accuracy log in a tree shows.

    Attributes:
        size: in bytes.
        cut: only its beginning and its end are there.
        sha256: of the whole log; None where it is cut.
        records: how many there are; None where it is cut.
        images: likewise of different images.
        indices: (seq_id, qsl_idx) of the records that can be seen, in order.
        damage: what is wrong with its form; None when nothing is.
    """

    size: int
    cut: bool
    sha256: str | None
    records: int | None
    images: int | None
    indices: tuple[tuple[int, int], ...]
    damage: str | None


def read_log_in_tree(path: Path, rules: AccuracyLogRules) -> LogInTree:
    """Reads a log that may be cut.

    Raises:
        LogError: it cannot be read.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            beginning = file.read(rules.most_bytes).replace(b"\r\n", b"\n")  # as a checkout on Windows writes them
    except OSError as error:
        raise LogError(f"cannot be read: {error}", where=str(path)) from error
    indices = tuple(
        (record.seq_id, record.qsl_idx)
        for part in beginning.split(_CUT)
        for record in seen_records(part)
        if record.seq_id is not None and record.qsl_idx is not None
    )
    if size <= rules.most_bytes and _CUT in beginning:
        return LogInTree(size, True, None, None, None, indices, _damage_of_cut(beginning))
    if size > rules.most_bytes:
        return LogInTree(size, False, sha256_file(path), None, None, indices, None)
    try:
        log = read_accuracy_log(path)
    except LogError as error:
        return LogInTree(size, False, sha256_file(path), None, None, indices, error.what)
    return LogInTree(
        size, False, log.sha256, len(log.sequence), len(log.images), indices, _damage_of_records(beginning)
    )


def _damage_of_cut(content: bytes) -> str | None:
    head, _, tail = content.partition(_CUT)
    if not re.match(rb"\s*\[\s*\{", head):
        return f"it begins with {head[:20]!r}, not with [ and a record"
    if not re.search(rb"\}\s*\]\s*$", tail):
        return f"it ends with {tail[-20:]!r}, not with a record and ]"
    if not re.fullmatch(rb"[\s\[\]{}:,\"0-9A-Za-z_]*", head + tail):
        return "it holds what no accuracy log holds"
    first = next(seen_records(head), None)
    if first is None or (first.qsl_idx is None and not first.data):
        return "no record at its beginning"
    return _damage_of_records(head) or _damage_of_records(tail)


@dataclass(frozen=True)
class SeenRecord:
    """As much of a record as a cut log shows.

    Attributes:
        seq_id, qsl_idx: None where it is not there.
        data: the hexadecimal digits.
        whole: it is there to its end.
    """

    seq_id: int | None
    qsl_idx: int | None
    data: str
    whole: bool


def seen_records(content: bytes) -> Iterator[SeenRecord]:
    """The records of a part of a log, in any JSON layout, with their keys in any order."""
    for match in _OBJECT.finditer(content):
        numbers: dict[bytes, int] = {}
        data = b""
        for key, number, _, digits in _FIELD.findall(match[0]):
            if key:
                numbers[key] = int(number)
            else:
                data = digits
        yield SeenRecord(numbers.get(b"seq_id"), numbers.get(b"qsl_idx"), data.decode(), match[0].endswith(b"}"))


def _damage_of_records(content: bytes) -> str | None:
    problems = (_damage_of_data(record) for record in seen_records(content) if record.data)
    return next((problem for problem in problems if problem is not None), None)


def _damage_of_data(record: SeenRecord) -> str | None:
    """What of a record's data is no detection, as far as it can be seen; None when nothing is."""
    digits = len(record.data) // (2 * BYTES_PER_DETECTION) * 2 * BYTES_PER_DETECTION
    if record.whole and len(record.data) != digits:
        return f"record {record.seq_id} has {len(record.data) // 2} bytes, which are no detections of 28 bytes each"
    rows = np.frombuffer(bytes.fromhex(record.data[:digits]), "<f4").reshape(-1, FIELDS)
    rows = rows[rows.any(axis=1)]  # a row of zeros fills an answer up and says nothing
    if not np.isfinite(rows).all():
        return f"record {record.seq_id} has numbers that are not finite"
    if record.qsl_idx is not None and (rows[:, 0] != record.qsl_idx).any():
        return f"record {record.seq_id} of image {record.qsl_idx} has detections of image {rows[0, 0]:g}"
    if (rows[:, 5] < -_ROUNDED).any() or (rows[:, 5] > 1 + _ROUNDED).any():
        return f"record {record.seq_id} has a score outside 0 to 1"
    return None


def cut_log(path: Path, accuracy_txt: Path, rules: AccuracyLogRules, backup: Path) -> bool:
    """Cuts a log that is too long for a submission; True if it was cut, False if it is short enough already.

    Its sha256 goes into accuracy.txt and the whole log to ``backup`` before anything of it is lost.

    Raises:
        LogError: it or accuracy.txt cannot be read, accuracy.txt has the sha256 of another log, or the backup is there
            with other content.
        OSError: the backup cannot be written.
    """
    try:
        size = path.stat().st_size
        text = accuracy_txt.read_text(encoding="utf-8") if accuracy_txt.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise LogError(f"cannot be read: {error}", where=str(accuracy_txt)) from error
    if size <= rules.most_bytes:
        return False
    sha256 = sha256_file(path)
    stated = stated_hash(text)
    if stated not in (None, sha256):
        raise LogError(
            f"states hash={stated}, but the log's sha256 is {sha256}",
            where=str(accuracy_txt),
            hint="one of the two is of another run: evaluate the log again",
        )
    if backup.exists() and sha256_file(backup) != sha256:
        raise LogError("the backup of another log is there", where=str(backup), hint="give another --backup")
    with replacing(backup) as copy, path.open("rb") as source, copy.open("wb") as target:
        while block := source.read(1 << 20):
            target.write(block)
    if stated is None:
        with replacing(accuracy_txt) as temporary:
            lead = text if not text or text.endswith("\n") else f"{text}\n"
            temporary.write_text(f"{lead}hash={sha256}\n", encoding="utf-8")
    with path.open("rb") as file:
        head = file.read(rules.kept_bytes)
        file.seek(-rules.kept_bytes, 2)
        tail = file.read()
    with replacing(path) as temporary:
        temporary.write_bytes(head + _CUT + tail)
    return True


def is_cut_of(cut: Path, whole: Path, rules: AccuracyLogRules) -> bool:
    """Whether a cut log's beginning and end are those of the whole one."""
    head, _, tail = cut.read_bytes().partition(_CUT)
    with whole.open("rb") as file:
        if file.read(len(head)) != head or whole.stat().st_size <= rules.most_bytes:
            return False
        file.seek(-len(tail), 2)
        return file.read() == tail


def stated_hash(text: str) -> str | None:
    """The value of the ``hash=`` line of an accuracy.txt; None where there is none."""
    found = _HASH.findall(text)
    return found[-1] if found else None


def stated_hashes(text: str) -> list[str]:
    """Those of all its ``hash=`` lines."""
    return _HASH.findall(text)
