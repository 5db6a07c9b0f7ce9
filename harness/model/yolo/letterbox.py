"""From an encoded image to the input tensor: resized with its aspect ratio, the rest of the square filled with grey.

YOLO11 (MLPerf v6.0, as ultralytics' LetterBox): in the middle, RGB. YOLOX (``preproc`` of its repository): at the top
left corner, BGR. The uint8 tensor holds the pixels; the float32 one is (pixel / 255 − mean) / std of `normalisation`.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from harness.model.image_file import LIBRARIES_KEY, ChannelOrder, decode_image
from harness.model.yolo.head import Family, Head
from harness.records import Normalisation

GREY = 114

_ORDERS: dict[Family, ChannelOrder] = {"yolo11": "RGB", "yolox": "BGR"}
_NORMALISATIONS: dict[Family, Normalisation] = {
    "yolo11": Normalisation((0.0,) * 3, (1.0,) * 3),  # pixels 0..1
    "yolox": Normalisation((0.0,) * 3, (1 / 255,) * 3),  # pixels 0..255
}


def normalisation(family: Family) -> Normalisation:
    """What a float32 model of the family takes of a pixel."""
    return _NORMALISATIONS[family]


def placement(family: Family, side: int, width: int, height: int) -> tuple[float, int, int, int, int]:
    """How an image lies in the input.

    Returns:
        The factor that it is resized by, the first column and row that it covers, and its new width and height.
    """
    gain = min(side / height, side / width)
    if family == "yolox":
        return gain, 0, 0, max(1, int(width * gain)), max(1, int(height * gain))
    new_width, new_height = max(1, round(width * gain)), max(1, round(height * gain))
    return gain, (side - new_width) // 2, (side - new_height) // 2, new_width, new_height


def preprocess_key(head: Head) -> str:
    """Names everything that the uint8 tensor depends on besides the image's bytes."""
    steps = f"imread exif | {_ORDERS[head.family]} | letterbox {head.family} {head.side} {GREY} | uint8 chw"
    return f"{steps} | {LIBRARIES_KEY}"


def preprocess(encoded: bytes, head: Head, dtype: str) -> npt.NDArray[np.uint8] | npt.NDArray[np.float32]:
    """The (3, side, side) tensor of one encoded image.

    Raises:
        ValueError: the bytes are not a whole image, or the dtype is neither "uint8" nor "float32".
    """
    if dtype not in ("uint8", "float32"):
        raise ValueError(f'no such input type: "{dtype}" (uint8 or float32)')
    pixels = letterbox(decode_image(encoded, _ORDERS[head.family]), head.family, head.side)
    tensor: npt.NDArray[Any] = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    if dtype == "uint8":
        return tensor
    floats = tensor.astype(np.float32)
    if head.family == "yolo11":
        floats /= np.float32(255)
    return floats


def letterbox(image: npt.NDArray[np.uint8], family: Family, side: int) -> npt.NDArray[np.uint8]:
    """(H, W, 3) pixels → (side, side, 3)."""
    height, width = image.shape[:2]
    _, left, top, new_width, new_height = placement(family, side, width, height)
    square = np.full((side, side, 3), GREY, np.uint8)
    if (new_width, new_height) != (width, height):
        image = np.asarray(cv2.resize(image, (new_width, new_height), interpolation=cv2.INTER_LINEAR), np.uint8)
    square[top : top + new_height, left : left + new_width] = image
    return square
