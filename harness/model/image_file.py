"""From an encoded image to the pixels that ``cv2.imread`` gives.

Grey comes as three channels, and an image is turned the way its EXIF orientation says. Most JPEGs are decoded by
simplejpeg, which has the same libjpeg-turbo inside and can refuse what is not whole; OpenCV makes up what is missing.
PNG, EXIF and what simplejpeg refuses go through OpenCV.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Literal, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg

ChannelOrder: TypeAlias = Literal["RGB", "BGR"]

LIBRARIES_KEY = (
    f"opencv {'.'.join(cv2.__version__.split('.')[:2])} | simplejpeg {'.'.join(version('simplejpeg').split('.')[:2])}"
)
"""The decoders, and the resize, belong to these libraries: another release may round a pixel differently."""

JPEG_START = b"\xff\xd8"
PNG_START = b"\x89PNG\r\n\x1a\n"
EXIF_START = b"Exif\x00\x00"
EXIF_WITHIN = 1 << 16
"""The segment stands before the picture's data, and a segment has at most so many bytes."""
MOST_PIXELS = 1 << 30
"""OpenCV's own limit (CV_IO_MAX_IMAGE_PIXELS), with which it refuses an image before it takes the memory."""


def decode_image(encoded: bytes, order: ChannelOrder = "BGR") -> npt.NDArray[np.uint8]:
    """The (H, W, 3) image of a whole JPEG or PNG file, its channels in this order.

    Damage that leaves a JPEG's data complete and decodable cannot be told from a picture.

    Raises:
        ValueError: the bytes are not a whole JPEG or PNG image; the message says how.
    """
    if encoded.startswith(JPEG_START):
        image = _decode_strictly(encoded, order)
        if image is not None:
            return image
        _check_whole(encoded)
    elif not encoded.startswith(PNG_START):
        raise ValueError("is neither a JPEG nor a PNG image" if encoded else "is empty")
    try:
        bgr = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise ValueError(f"cannot be decoded: {error.err}") from error
    if bgr is None:
        raise ValueError("is truncated or corrupt: it cannot be decoded")
    return np.asarray(bgr if order == "BGR" else cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _decode_strictly(jpeg: bytes, order: ChannelOrder) -> npt.NDArray[np.uint8] | None:
    """The pixels of a JPEG in which libjpeg finds nothing to warn of; None where OpenCV must see to it."""
    if EXIF_START in jpeg[:EXIF_WITHIN]:
        return None
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(jpeg)
        if height * width > MOST_PIXELS:
            return None
        pixels = simplejpeg.decode_jpeg(jpeg, order, fastdct=False, fastupsample=False, strict=True)
    except ValueError:
        return None
    return np.asarray(pixels, dtype=np.uint8)


def _check_whole(jpeg: bytes) -> None:
    """OpenCV makes up what a JPEG lacks, and at most prints a warning; here that warning is an error.

    libjpeg's other warnings are let pass: cameras write files with a few bytes too many, and those are whole.
    """
    try:
        # At an eighth of its size, in grey: the compressed data is read in full all the same.
        simplejpeg.decode_jpeg(jpeg, "GRAY", fastdct=True, fastupsample=True, min_height=1, min_width=1, min_factor=8)
    except ValueError as error:
        if "premature end" in str(error).lower():
            raise ValueError(f"is truncated or corrupt: {error}") from error
