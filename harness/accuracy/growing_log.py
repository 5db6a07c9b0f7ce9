"""An accuracy log that is still being written: LoadGen appends to it, and flushes, as samples are answered."""

from __future__ import annotations

import copy
import re
from pathlib import Path

from harness.accuracy.log import AccuracyLog, Records, parse_record

_RECORD = re.compile(rb"\{[^{}]*\}")


class GrowingLog:
    """Reads what has been appended since the last time.

    Args:
        path: the log; it need not be there yet.
        image_count: how many images the dataset has.
    """

    def __init__(self, path: Path, *, image_count: int) -> None:
        self._path = path
        self._records = Records(path, image_count)
        self._read = 0
        self._rest = b""
        self._number = 0

    @property
    def images(self) -> int:
        """How many images have been recorded."""
        return len(self._records.spans)

    def update(self) -> None:
        """Takes the whole records that have come; half a record waits for its other half.

        Raises:
            LogError: a record is damaged.
        """
        try:
            with self._path.open("rb") as file:
                file.seek(self._read)
                new = file.read()
        except FileNotFoundError:
            return
        self._read += len(new)
        text = self._rest + new
        end = 0
        for match in _RECORD.finditer(text):
            self._number += 1
            self._records.add(self._number, parse_record(self._path, self._number, match.group()))
            end = match.end()
        self._rest = text[end:]

    def so_far(self) -> AccuracyLog:
        """The log as if it ended here; its sha256 is empty."""
        records = copy.copy(self._records)
        records.payload = bytearray(records.payload)  # a bytearray that an array looks at cannot grow
        return records.as_log("")
