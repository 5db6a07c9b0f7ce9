"""An MLPerf accuracy log of a COCO detector, as arrays.

``[ {"seq_id": 0, "qsl_idx": 3050, "data": "<hex>"}, … ]``, in any JSON layout, plain or gzipped. The file is read once,
in pieces; what stays in memory is the decoded table. A log that is damaged in any way is a LogError with the record's
number, counted from 1: a mAP of a part of a log would look like the mAP of all of it.
"""

from __future__ import annotations

import binascii
import gzip
import hashlib
import io
import json
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.accuracy_record import BYTES_PER_DETECTION, FIELDS, MAX_SAMPLE_INDEX
from harness.errors import LogError

_CHUNK_BYTES = 1 << 22
_MAX_RECORD_BYTES = 1 << 26  # a million detections of one image; beyond it this is no accuracy log
_BLANK = re.compile(rb"[ \t\r\n]*")
_HEX = re.compile(r"[0-9A-Fa-f]*")
_FORMAT_HINT = "an accuracy log is mlperf_log_accuracy.json of a LoadGen run; COCO results are a list of {image_id, …}"
_TRUNCATION_HINT = (
    "a submission's log is shortened to a few kilobytes: use the untruncated log, whose sha256 is in accuracy.txt"
)


@dataclass(frozen=True, eq=False)
class AccuracyLog:
    """The detections of a whole accuracy log, grouped by image in the order in which the images were first recorded.

    Attributes:
        path: where it was read from.
        sha256: of the log as LoadGen wrote it (of the unpacked bytes if it is gzipped), lower-case hex.
        images: (I,) int64, the qsl_idx of every recorded image once, those without detections too.
        sequence: (R,) int64, the seq_id of every record, in the file's order.
        repeated: how many records repeat an image already recorded, with the same bytes.
        qsl_idx: (N,) int64, the image of each detection.
        boxes: (N, 4) float32, ymin, xmin, ymax, xmax, normalised to the image.
        scores: (N,) float32.
        labels: (N,) int32 as the log has them: contiguous or COCO category ids.
    """

    path: Path
    sha256: str
    images: npt.NDArray[np.int64]
    sequence: npt.NDArray[np.int64]
    repeated: int
    qsl_idx: npt.NDArray[np.int64]
    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.scores)


def read_accuracy_log(path: Path, *, image_count: int | None = None) -> AccuracyLog:
    """Reads and checks a whole accuracy log.

    Args:
        path: the log, plain or gzipped.
        image_count: how many images the dataset has; a qsl_idx from there on is an error.

    Raises:
        LogError: the log cannot be read, is damaged, cut or truncated, holds values that are not finite, names an image
            that the dataset does not have, or repeats an image with other detections.
    """
    digest = hashlib.sha256()
    collected = Records(path, MAX_SAMPLE_INDEX if image_count is None else image_count)
    for number, record in enumerate(read_records(path, digest.update), 1):
        collected.add(number, record)
    return collected.as_log(digest.hexdigest())


class Record(NamedTuple):
    """One answer: LoadGen's count of it, its image, and the bytes of its detections."""

    seq_id: int
    qsl_idx: int
    data: bytes


def read_records(path: Path, tell: Callable[[bytes], object] = lambda chunk: None) -> Iterator[Record]:
    """The records of an accuracy log, plain or gzipped, one after the other.

    Args:
        path: the log.
        tell: given the log's bytes as they are read.

    Raises:
        LogError: the log cannot be read, is damaged, cut or truncated.
    """
    with open_log(path) as file:

        def read() -> bytes:
            # of a cut gzip file, read1 still gives what comes before the cut
            chunk = file.read1(_CHUNK_BYTES)
            tell(chunk)
            return chunk

        for number, text in _record_texts(read, path):
            yield parse_record(path, number, text)


def open_log(path: Path) -> io.BufferedIOBase:
    """The log's bytes, unpacked if the file is gzipped, whatever it is called.

    Raises:
        LogError: the file cannot be opened.
    """
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        return gzip.open(path) if packed else path.open("rb")
    except OSError as error:
        raise LogError(f"the log cannot be read: {error.strerror}", where=str(path)) from error


def _record_texts(read: Callable[[], bytes], path: Path) -> Iterator[tuple[int, bytes]]:
    """The number and the text of each ``{…}`` of a JSON array of flat objects, without holding the array."""
    number = 0

    def more() -> bytes:
        try:
            return read()
        except (OSError, EOFError, zlib.error) as error:
            raise _damaged(path, number + 1, f"cannot be read: {error}") from error

    buffer, at, expected = b"", 0, b"["
    while True:
        at = _end_of(_BLANK, buffer, at)
        if at == len(buffer):
            buffer, at = more(), 0
            if buffer:
                continue
            if expected:
                what = "before its closing bracket" if number else "where its first record should begin"
                raise _damaged(path, number + 1, f"is missing: the log ends {what}", hint=_TRUNCATION_HINT)
            return
        mark = buffer[at : at + 1]
        if mark not in expected:
            instead = _shown(buffer[at : at + 60].decode("ascii", "backslashreplace"))
            what = f"should begin where the log has {instead}" if expected else f"comes after the log's end: {instead}"
            raise _damaged(path, number + 1, what, hint=_TRUNCATION_HINT if number else _FORMAT_HINT)
        if mark == b"{":
            end = buffer.find(b"}", at)
            while end < 0:
                chunk = more()
                if not chunk:
                    raise _damaged(path, number + 1, "is cut: the log ends inside it", hint=_TRUNCATION_HINT)
                searched = len(buffer) - at
                buffer, at = buffer[at:] + chunk, 0
                if len(buffer) > _MAX_RECORD_BYTES:
                    raise _damaged(path, number + 1, f"is longer than {_MAX_RECORD_BYTES} bytes")
                end = buffer.find(b"}", searched)
            number += 1
            yield number, buffer[at : end + 1]
            at, expected = end + 1, b",]"
        else:
            at, expected = at + 1, {b"[": b"{]", b",": b"{", b"]": b""}[mark]


def _end_of(pattern: re.Pattern[bytes], buffer: bytes, at: int) -> int:
    match = pattern.match(buffer, at)
    return at if match is None else match.end()


class Records:
    """The records read so far: the detections' bytes in one growing buffer, and what they belong to."""

    def __init__(self, path: Path, image_count: int) -> None:
        self.path = path
        self.image_count = image_count
        self.payload = bytearray()
        self.spans: dict[int, tuple[int, int, int]] = {}  # qsl_idx: begin and end in the payload, record number
        self.sequence: list[int] = []
        self.repeated = 0

    def add(self, number: int, record: Record) -> None:
        """Adds a record, which is the number-th of the file, or refuses it."""
        if record.qsl_idx >= self.image_count:
            raise _damaged(
                self.path,
                number,
                f"names image {record.qsl_idx}, but the dataset's images are 0..{self.image_count - 1}",
                hint="give the annotations (and the --count) that the log was made with",
            )
        self.sequence.append(record.seq_id)
        self._add_detections(number, record.qsl_idx, record.data)

    def _add_detections(self, number: int, qsl_idx: int, payload: bytes) -> None:
        known = self.spans.get(qsl_idx)
        if known is None:
            begin = len(self.payload)
            self.payload += payload
            self.spans[qsl_idx] = (begin, len(self.payload), number)
            return
        if self.payload[known[0] : known[1]] != payload:
            raise _damaged(self.path, number, f"repeats image {qsl_idx} of record {known[2]} with other detections")
        self.repeated += 1

    def as_log(self, sha256: str) -> AccuracyLog:
        """Checks and gives what has been added.

        Raises:
            LogError: a record's values cannot be; names it.
        """
        images = np.fromiter(self.spans, dtype=np.int64, count=len(self.spans))
        ends = np.array([end for _, end, _ in self.spans.values()], dtype=np.int64) // BYTES_PER_DETECTION
        table = np.frombuffer(self.payload, dtype="<f4").reshape(-1, FIELDS)
        table.flags.writeable = False
        qsl_idx = np.repeat(images, np.diff(ends, prepend=0))

        def require(sound: npt.NDArray[np.bool_], otherwise: str) -> None:
            if not sound.all():
                row = int(sound.argmin())
                numbers = [number for _, _, number in self.spans.values()]
                number = numbers[int(np.searchsorted(ends, row, side="right"))]
                raise _damaged(self.path, number, f"{otherwise}: {[float(value) for value in table[row]]}")

        require(np.isfinite(table).all(axis=1), "holds a detection with a value that is not a finite number")
        require(table[:, 0] == qsl_idx, "holds a detection whose own qsl_idx is not the record's")
        labels = table[:, 6]
        require((labels == np.rint(labels)) & (abs(labels) < 2**24), "holds a label that is no whole number")
        return AccuracyLog(
            path=self.path,
            sha256=sha256,
            images=images,
            sequence=np.array(self.sequence, dtype=np.int64),
            repeated=self.repeated,
            qsl_idx=qsl_idx,
            boxes=table[:, 1:5],
            scores=table[:, 5],
            labels=labels.astype(np.int32),
        )


def parse_record(path: Path, number: int, text: bytes) -> Record:
    """The text of one record, ``{…}``.

    Raises:
        LogError: it is damaged.
    """
    try:
        record = json.loads(text, object_pairs_hook=_unique_keys)
    except (ValueError, RecursionError) as error:
        truncated = _TRUNCATION_HINT if b"..." in text else None
        raise _damaged(path, number, f"is not JSON: {error}", hint=truncated) from error
    qsl_idx, seq_id = (_whole_number(path, number, record, key) for key in ("qsl_idx", "seq_id"))
    return Record(seq_id, qsl_idx, _data(path, number, record))


def _whole_number(path: Path, number: int, record: dict[str, Any], key: str) -> int:
    value = record.get(key)
    if type(value) is not int or not 0 <= value < 2**63:
        problem = f"has no {key!r}" if key not in record else f"has {_shown(repr(value))} as {key!r}"
        raise _damaged(path, number, f"{problem}, which is a whole number from 0 on")
    return value


def _data(path: Path, number: int, record: dict[str, Any]) -> bytes:
    data = record.get("data")
    if not isinstance(data, str):
        raise _damaged(path, number, "has no 'data', which is a string of hexadecimal digits")
    # unhexlify's messages do not say where
    digits = _HEX.match(data)
    if digits is None or digits.end() != len(data):
        at = 0 if digits is None else digits.end()
        hint = _TRUNCATION_HINT if "..." in data else None
        raise _damaged(path, number, f"has {data[at]!r} among its hexadecimal digits, at {at}", hint=hint)
    if len(data) % (2 * BYTES_PER_DETECTION):
        raise _damaged(
            path,
            number,
            f"holds {len(data)} hexadecimal digits, which is not a multiple of {2 * BYTES_PER_DETECTION}: "
            f"a detection is {FIELDS} float32",
        )
    return binascii.unhexlify(data)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        raise ValueError("a key is there twice")
    return record


def _damaged(path: Path, number: int, what: str, *, hint: str | None = None) -> LogError:
    return LogError(f"record {number} {what}", where=str(path), hint=hint)


def _shown(text: str) -> str:
    """The beginning of something odd, fit for a message."""
    return repr(text[:40] + "…" if len(text) > 40 else text)
