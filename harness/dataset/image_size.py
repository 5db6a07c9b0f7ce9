"""The size of an image as it will be decoded, read from the head of its file."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

HEAD = 1 << 12
"""Bytes that are read first: what stands before a JPEG's size is mostly shorter; behind a thumbnail all are read."""
_SIZES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
"""Start-of-frame markers (ITU-T T.81, table B.1)."""
_ORIENTATION = 0x0112  # the tag's number (Exif 2.32, 4.6.4)


@dataclass(frozen=True)
class ImageSize:
    """Width and height in pixels as they are stored, and whether EXIF asks to exchange them when it is shown."""

    width: int
    height: int
    turned: bool = False

    @property
    def decoded(self) -> tuple[int, int]:
        """Width and height as OpenCV decodes it: with its orientation applied."""
        return (self.height, self.width) if self.turned else (self.width, self.height)


def image_size(file: Path) -> ImageSize | None:
    """The size of a JPEG or PNG file; None for other kinds and where its head does not say it.

    Raises:
        OSError: the file cannot be read.
    """
    with file.open("rb") as opened:
        head = opened.read(HEAD)
        try:
            if head.startswith(b"\xff\xd8"):
                size = _jpeg(head)
                return size if size is not None else _jpeg(head + opened.read())
            if head.startswith(b"\x89PNG\r\n\x1a\n"):
                return ImageSize(*struct.unpack_from(">II", head, 16))
        except (struct.error, IndexError):  # cut: the decoder will say so
            return None
    return None


def _jpeg(data: bytes) -> ImageSize | None:
    place, turned = 2, False
    while place + 9 <= len(data):  # a segment with a size is no shorter
        marker, length = data[place + 1], struct.unpack_from(">H", data, place + 2)[0]
        if data[place] != 0xFF:
            return None
        if marker == 0xFF:  # a filling byte
            place += 1
            continue
        if marker in _SIZES:
            height, width = struct.unpack_from(">HH", data, place + 5)
            return ImageSize(width, height, turned)
        if marker == 0xE1 and data[place + 4 : place + 10] == b"Exif\0\0":
            turned = _orientation(data[place + 10 : place + 2 + length]) >= 5
        place += 2 + length
    return None


def _orientation(tiff: bytes) -> int:
    """1 to 8; from 5 on, width and height are exchanged. 1 where there is none."""
    try:
        order = {b"II": "<", b"MM": ">"}[tiff[:2]]
        start = struct.unpack_from(f"{order}I", tiff, 4)[0]
        for number in range(struct.unpack_from(f"{order}H", tiff, start)[0]):
            entry = start + 2 + 12 * number
            if struct.unpack_from(f"{order}H", tiff, entry)[0] == _ORIENTATION:
                value = struct.unpack_from(f"{order}H", tiff, entry + 8)[0]
                return value if 1 <= value <= 8 else 1
    except (KeyError, struct.error):
        return 1
    return 1
