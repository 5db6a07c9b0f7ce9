"""From an encoded image to the input tensor, as the MLPerf reference and furiosa-models do it.

The file is decoded to the pixels that ``cv2.imread`` gives: grey as three channels, turned the way its EXIF orientation
says. Most JPEGs are decoded by simplejpeg, which has the same libjpeg-turbo inside and can refuse what is not whole;
OpenCV makes up what is missing. PNG, EXIF and what simplejpeg refuses go through OpenCV.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg

from harness.model.ssd_resnet34.heads import IMAGE_SIZE

# ImageNet's statistics, RGB, for pixels in [0, 1].
MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
STD = np.array([0.229, 0.224, 0.225], dtype=np.float32)

# The decoders and the resize belong to these libraries: another release may round a pixel differently.
PREPROCESS_KEY = (
    f"imread-bgr exif | rgb | resize linear {IMAGE_SIZE}x{IMAGE_SIZE} | uint8 chw"
    f" | opencv {'.'.join(cv2.__version__.split('.')[:2])}"
    f" | simplejpeg {'.'.join(version('simplejpeg').split('.')[:2])}"
)
"""Names everything that the uint8 tensor depends on besides the image's bytes."""

JPEG_START = b"\xff\xd8"
PNG_START = b"\x89PNG\r\n\x1a\n"
EXIF_START = b"Exif\x00\x00"
EXIF_WITHIN = 1 << 16
"""The segment stands before the picture's data, and a segment has at most so many bytes."""
MOST_PIXELS = 1 << 30
"""OpenCV's own limit (CV_IO_MAX_IMAGE_PIXELS), with which it refuses an image before it takes the memory."""


def preprocess(encoded: bytes, dtype: str) -> npt.NDArray[np.uint8] | npt.NDArray[np.float32]:
    """The input tensor of one encoded image: `decode_image`, then `to_tensor`."""
    _check_dtype(dtype)
    return _tensor(_decode(encoded, "RGB"), dtype)


def decode_image(encoded: bytes) -> npt.NDArray[np.uint8]:
    """The (H, W, 3) BGR image of a whole JPEG or PNG file.

    Damage that leaves a JPEG's data complete and decodable cannot be told from a picture.

    Raises:
        ValueError: the bytes are not a whole JPEG or PNG image; the message says how.
    """
    return _decode(encoded, "BGR")


def _decode(encoded: bytes, order: Literal["RGB", "BGR"]) -> npt.NDArray[np.uint8]:
    """The (H, W, 3) image of an encoded one, its channels in this order."""
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


def _decode_strictly(jpeg: bytes, order: Literal["RGB", "BGR"]) -> npt.NDArray[np.uint8] | None:
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


def to_tensor(image_bgr: npt.NDArray[np.uint8], dtype: str) -> npt.NDArray[np.uint8] | npt.NDArray[np.float32]:
    """The image at the model's input size; its aspect ratio is not kept.

    Args:
        image_bgr: (H, W, 3) BGR, or grey as (H, W) or (H, W, 1).
        dtype: "uint8": pixels 0..255 as they are; "float32": (x/255 − mean)/std, made float *before* the resize, so
            that values are not rounded to integers in between.

    Returns:
        (3, 1200, 1200), RGB, C-contiguous.

    Raises:
        ValueError: not an 8-bit image, or another dtype.
    """
    if image_bgr.dtype != np.uint8 or image_bgr.ndim not in (2, 3):
        raise ValueError(f"not an 8-bit image: {image_bgr.dtype} {image_bgr.shape}")
    _check_dtype(dtype)
    channels = 1 if image_bgr.ndim == 2 else image_bgr.shape[2]
    if channels not in (1, 3):
        raise ValueError(f"not a grey or a three-channel image: {image_bgr.shape}")

    # RGB before the resize, not after: OpenCV's float resize rounds a value by its place in the row.
    rgb = cv2.cvtColor(image_bgr, cv2.COLOR_BGR2RGB if channels == 3 else cv2.COLOR_GRAY2RGB)
    return _tensor(np.asarray(rgb, np.uint8), dtype)


def _tensor(rgb: npt.NDArray[np.uint8], dtype: str) -> npt.NDArray[Any]:
    """What `to_tensor` gives, of an (H, W, 3) RGB image."""
    size = (IMAGE_SIZE, IMAGE_SIZE)
    tensor = np.empty((3, *size), dtype)
    if dtype == "uint8":
        # Integers are rounded alike wherever they stand in a row, and a plane is resized straight to its place: the
        # channels of an interleaved image are taken apart at its small size instead of its large one.
        for channel, plane in zip(cv2.split(rgb), tensor, strict=True):
            cv2.resize(channel, size, plane, interpolation=cv2.INTER_LINEAR)
        return tensor
    resized = cv2.resize(rgb.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    for number, plane in enumerate(tensor):
        cv2.extractChannel(resized, number, plane)
    tensor /= np.float32(255)
    tensor -= MEAN[:, np.newaxis, np.newaxis]
    tensor /= STD[:, np.newaxis, np.newaxis]
    return tensor


def _check_dtype(dtype: str) -> None:
    if dtype not in ("uint8", "float32"):
        raise ValueError(f'no such input type: "{dtype}" (uint8 or float32)')
