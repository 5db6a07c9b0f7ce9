"""From an encoded image to the input tensor, as the MLPerf reference and furiosa-models do it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from harness.model.image_file import LIBRARIES_KEY, decode_image
from harness.model.ssd_resnet34.heads import IMAGE_SIZE

# ImageNet's statistics, RGB, for pixels in [0, 1].
MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
STD = np.array([0.229, 0.224, 0.225], dtype=np.float32)

PREPROCESS_KEY = f"imread-bgr exif | rgb | resize linear {IMAGE_SIZE}x{IMAGE_SIZE} | uint8 chw | {LIBRARIES_KEY}"
"""Names everything that the uint8 tensor depends on besides the image's bytes."""


def preprocess(encoded: bytes, dtype: str) -> npt.NDArray[np.uint8] | npt.NDArray[np.float32]:
    """The input tensor of one encoded image: `decode_image`, then `to_tensor`."""
    _check_dtype(dtype)
    return _tensor(decode_image(encoded, "RGB"), dtype)


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
