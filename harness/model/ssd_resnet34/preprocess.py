"""From an encoded image to the input tensor, as the MLPerf reference and furiosa-models do it.

The file is decoded as ``cv2.imread`` decodes it: BGR, grey as three channels, turned the way its EXIF orientation says.
"""

from __future__ import annotations

import re
import zlib

import cv2
import numpy as np
import numpy.typing as npt

from harness.model.ssd_resnet34.heads import IMAGE_SIZE

# ImageNet's statistics, RGB, for pixels in [0, 1].
MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
STD = np.array([0.229, 0.224, 0.225], dtype=np.float32)

# The decoder and the resize belong to OpenCV: another release may round a pixel differently.
PREPROCESS_KEY = (
    f"imread-bgr exif | rgb | resize linear {IMAGE_SIZE}x{IMAGE_SIZE} | uint8 chw"
    f" | opencv {'.'.join(cv2.__version__.split('.')[:2])}"
)
"""Names everything that the uint8 tensor depends on besides the image's bytes."""

JPEG_START = b"\xff\xd8"
PNG_START = b"\x89PNG\r\n\x1a\n"
# In entropy-coded data FF is followed by 00 (a stuffed byte) or a restart marker; anything else begins a segment
# (ITU-T T.81, B.1.1). FF FF is fill before a marker.
_NEXT_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")


def preprocess(encoded: bytes, dtype: str) -> npt.NDArray[np.uint8] | npt.NDArray[np.float32]:
    """One encoded image as the input tensor: `decode_image`, then `to_tensor`."""
    return to_tensor(decode_image(encoded), dtype)


def decode_image(encoded: bytes) -> npt.NDArray[np.uint8]:
    """The (H, W, 3) BGR image of a whole JPEG or PNG file.

    OpenCV fills what is missing of a truncated file with grey (up to 4.x) and at most warns, so the file's own
    structure is checked up to its end marker first. Damage inside the compressed data that still decodes to some
    picture cannot be told from a picture.

    Raises:
        ValueError: the bytes are not a whole JPEG or PNG image; the message says how.
    """
    if encoded.startswith(JPEG_START):
        _check_whole_jpeg(encoded)
    elif encoded.startswith(PNG_START):
        _check_whole_png(encoded)
    else:
        raise ValueError("is empty" if not encoded else "is neither a JPEG nor a PNG image")
    try:
        image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise ValueError(f"cannot be decoded: {error.err}") from error
    if image is None:
        raise ValueError("is corrupt: it cannot be decoded")
    return np.asarray(image, dtype=np.uint8)


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
    if dtype not in ("uint8", "float32"):
        raise ValueError(f'no such input type: "{dtype}" (uint8 or float32)')
    channels = 1 if image_bgr.ndim == 2 else image_bgr.shape[2]
    if channels not in (1, 3):
        raise ValueError(f"not a grey or a three-channel image: {image_bgr.shape}")

    # RGB before the resize, not after: OpenCV's float resize rounds a value by its place in the row.
    rgb = cv2.cvtColor(image_bgr, cv2.COLOR_BGR2RGB if channels == 3 else cv2.COLOR_GRAY2RGB)
    resized = cv2.resize(rgb.astype(dtype, copy=False), (IMAGE_SIZE, IMAGE_SIZE), interpolation=cv2.INTER_LINEAR)
    tensor = np.empty((3, IMAGE_SIZE, IMAGE_SIZE), dtype)
    for channel, plane in enumerate(tensor):
        cv2.extractChannel(resized, channel, plane)
    if dtype == "float32":
        tensor /= np.float32(255)
        tensor -= MEAN[:, np.newaxis, np.newaxis]
        tensor /= STD[:, np.newaxis, np.newaxis]
    return tensor


def _check_whole_jpeg(encoded: bytes) -> None:
    """Follows the segments (ITU-T T.81, annex B) to the end-of-image marker; bytes after it are nobody's business."""
    at, size = 2, len(encoded)
    scans = 0
    while at + 2 <= size:
        if encoded[at] != 0xFF:
            raise ValueError(f"is corrupt: no JPEG marker at byte {at} of {size}")
        marker = encoded[at + 1]
        if marker == 0xFF:  # fill
            at += 1
        elif marker == 0xD9:  # end of image
            if not scans:
                raise ValueError("is corrupt: a JPEG without image data")
            return
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:  # no payload
            at += 2
        else:
            at += 2 + int.from_bytes(encoded[at + 2 : at + 4], "big")
            if marker == 0xDA:  # start of scan: its entropy-coded data follows
                scans += 1
                following = _NEXT_MARKER.search(encoded, at)
                at = following.start() if following else size
    raise ValueError(f"is truncated: the JPEG does not reach its end marker in {size} bytes")


def _check_whole_png(encoded: bytes) -> None:
    """Follows the chunks to IEND, each with its CRC (ISO/IEC 15948, 5.3)."""
    at, size = len(PNG_START), len(encoded)
    while at + 12 <= size:
        length = int.from_bytes(encoded[at : at + 4], "big")
        end = at + 8 + length
        if end + 4 > size:
            break
        kind = encoded[at + 4 : at + 8]
        if zlib.crc32(encoded[at + 4 : end]) != int.from_bytes(encoded[end : end + 4], "big"):
            raise ValueError(f"is corrupt: wrong checksum of PNG chunk {kind.decode('latin-1')} at byte {at}")
        if kind == b"IEND":
            return
        at = end + 4
    raise ValueError(f"is truncated: the PNG does not reach its end chunk in {size} bytes")
