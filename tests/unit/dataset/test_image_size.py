"""An image's size is read from its head, as OpenCV will decode it."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from harness.dataset.image_size import ImageSize, image_size

PIXELS = np.random.default_rng(0).integers(0, 255, (20, 40, 3), np.uint8)


def jpeg(*, orientation: int | None = None, order: str = "<", filler: int = 0, **options: int) -> bytes:
    flags = [value for name, number in options.items() for value in (getattr(cv2, f"IMWRITE_JPEG_{name}"), number)]
    content = cv2.imencode(".jpg", PIXELS, flags)[1].tobytes()
    segments = b""
    if filler:
        segments += b"".join(b"\xff\xe2" + struct.pack(">H", 60_002) + bytes(60_000) for _ in range(filler))
    if orientation is not None:
        mark = b"II" if order == "<" else b"MM"
        entry = struct.pack(f"{order}HHIHH", 0x0112, 3, 1, orientation, 0)
        tiff = mark + struct.pack(f"{order}HIH", 42, 8, 1) + entry + bytes(4)
        segments += b"\xff\xe1" + struct.pack(">H", len(tiff) + 8) + b"Exif\0\0" + tiff
    return content[:2] + segments + content[2:]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", [None, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
def test_it_is_the_size_that_opencv_decodes(tmp_path: Path, orientation: int | None, order: str) -> None:
    file = tmp_path / "a.jpg"
    file.write_bytes(jpeg(orientation=orientation, order=order))
    size = image_size(file)
    assert size is not None
    assert (size.width, size.height) == (40, 20)
    decoded = cv2.imread(str(file))
    assert decoded is not None
    assert size.decoded == (decoded.shape[1], decoded.shape[0])


def test_progressive_files_and_long_heads_are_read_too(tmp_path: Path) -> None:
    file = tmp_path / "a.jpg"
    for content in (jpeg(PROGRESSIVE=1), jpeg(RST_INTERVAL=4), jpeg(filler=6), jpeg(filler=6, orientation=6)):
        file.write_bytes(content)
        size = image_size(file)
        assert size is not None
        assert (size.width, size.height) == (40, 20)


def test_png_files_are_read(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    cv2.imwrite(str(file), PIXELS)
    assert image_size(file) == ImageSize(40, 20)


@pytest.mark.parametrize("content", [b"", b"no image", b"\xff\xd8", b"\xff\xd8\xff\xe0\x00", b"\x89PNG\r\n\x1a\n"])
def test_what_does_not_say_its_size_is_left_to_the_decoder(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "a"
    file.write_bytes(content)
    assert image_size(file) is None


def test_no_cut_makes_it_raise(tmp_path: Path) -> None:
    whole, file = jpeg(orientation=6), tmp_path / "a.jpg"
    for length in range(300):
        file.write_bytes(whole[:length])
        image_size(file)
