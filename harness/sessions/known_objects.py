"""What is to be found in each image, in one file: the answers that a simulated device knows beforehand."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.errors import DataError
from harness.files import replacing
from harness.records import Detections
from harness.sessions.recorded import content_key


def save_objects(path: Path, keys: Sequence[str], objects: Sequence[Detections]) -> None:
    """Writes the objects of every image; ``keys`` are the images' `content_key`.

    Raises:
        DataError: two images have the same key.
    """
    if len(set(keys)) < len(keys):
        raise DataError("two images look the same to a simulated device", where=str(path))
    arrays: dict[str, Any] = {
        "keys": np.array(keys, "U32"),
        "ends": np.cumsum([len(of_image) for of_image in objects]),
        "boxes": np.concatenate([of_image.boxes for of_image in objects]),
        "scores": np.concatenate([of_image.scores for of_image in objects]),
        "labels": np.concatenate([of_image.labels for of_image in objects]),
    }
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


class KnownObjects:
    """The file, read. Sessions that name the same one share it.

    Raises:
        DataError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._objects = _read(path)

    def find(self, images: npt.NDArray[np.uint8] | npt.NDArray[np.float32]) -> Detections:
        """The objects of this image.

        Raises:
            DataError: it is not in the file.
        """
        key = content_key(images)
        if key not in self._objects:
            hint = "make the file of the same images, preprocessed to the same type"
            raise DataError("this image is not in it", where=str(self._path), hint=hint)
        return self._objects[key]


@functools.lru_cache(2)
def _read(path: Path) -> dict[str, Detections]:
    try:
        with np.load(path, allow_pickle=False) as file:
            boxes, scores, labels = file["boxes"], file["scores"], file["labels"]
            ends = file["ends"].tolist()
            return {
                str(key): Detections(boxes[start:end], scores[start:end], labels[start:end])
                for key, start, end in zip(file["keys"], [0, *ends[:-1]], ends, strict=True)
            }
    except (OSError, ValueError, KeyError, EOFError) as error:
        hint = "make it with ssd-harness prepare outputs --ground-truth"
        raise DataError(f"cannot be read: {error}", where=str(path), hint=hint) from error
