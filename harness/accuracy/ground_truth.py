"""What an annotations file says, as columns: everything an evaluation of boxes needs, and no image files."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.errors import DatasetError


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """The images, categories and boxes of a COCO annotations file.

    LoadGen's sample index counts the images in the file's own order, and a contiguous label i means the i-th category
    in the file's own order.

    Attributes:
        path: the annotations file.
        image_ids: (I,) int64, in the file's order.
        widths, heights: (I,) float64, pixels.
        category_ids: (C,) int64, in the file's order.
        category_names: C names.
        box_image_ids, box_category_ids: (A,) int64.
        boxes: (A, 4) float64, x, y, width, height in pixels.
        areas: (A,) float64, pixels², of the object's mask in COCO's own files; decides small, medium and large.
        crowds: (A,) bool.
        file_names: I names; empty if not every image has one.
    """

    path: Path
    image_ids: npt.NDArray[np.int64]
    widths: npt.NDArray[np.float64]
    heights: npt.NDArray[np.float64]
    category_ids: npt.NDArray[np.int64]
    category_names: tuple[str, ...]
    box_image_ids: npt.NDArray[np.int64]
    box_category_ids: npt.NDArray[np.int64]
    boxes: npt.NDArray[np.float64]
    areas: npt.NDArray[np.float64]
    crowds: npt.NDArray[np.bool_]
    file_names: tuple[str, ...] = ()

    def first(self, count: int | None) -> GroundTruth:
        """The same with the first ``count`` images only, which is what a run with ``--count`` sees; all if None.

        Raises:
            DatasetError: there are fewer images than that.
        """
        if count is None:
            return self
        if not 0 < count <= len(self.image_ids):
            raise DatasetError(f"{count} images asked for, the file has {len(self.image_ids)}", where=str(self.path))
        return replace(
            self,
            image_ids=self.image_ids[:count],
            widths=self.widths[:count],
            heights=self.heights[:count],
            file_names=self.file_names[:count],
        ).restricted(self.image_ids[:count])

    def restricted(self, image_ids: npt.NDArray[np.int64]) -> GroundTruth:
        """The same with the boxes of these images only; the images themselves stay."""
        kept = np.isin(self.box_image_ids, image_ids)
        return replace(
            self,
            box_image_ids=self.box_image_ids[kept],
            box_category_ids=self.box_category_ids[kept],
            boxes=self.boxes[kept],
            areas=self.areas[kept],
            crowds=self.crowds[kept],
        )

    @property
    def annotated_image_ids(self) -> npt.NDArray[np.int64]:
        """The ids of the images with at least one box (crowds count), in the file's order: 4952 of val2017's 5000."""
        return self.image_ids[np.isin(self.image_ids, self.box_image_ids)]


def read_ground_truth(path: Path) -> GroundTruth:
    """Reads a COCO annotations file.

    Boxes of images or categories that the file does not list are left out, as pycocotools does.

    Raises:
        DatasetError: the file cannot be read or is not COCO's instances format; the message names the entry.
    """
    try:
        with path.open("rb") as file:
            dataset = json.load(file)
    except OSError as error:
        raise DatasetError(f"the annotations cannot be read: {error.strerror}", where=str(path)) from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"the annotations are not JSON: {error}", where=str(path)) from error
    return ground_truth_of(path, dataset)


def ground_truth_of(path: Path, dataset: Any) -> GroundTruth:
    """The content of a COCO annotations file that was parsed; else as `read_ground_truth`.

    Raises:
        DatasetError: it is not COCO's instances format; the message names the entry.
    """
    images = _column(path, dataset, "images", ("id", "width", "height"))
    categories = _column(path, dataset, "categories", ("id", "name"))
    boxes = _column(path, dataset, "annotations", ("image_id", "category_id", "bbox", "area"), may_be_empty=True)
    try:
        truth = GroundTruth(
            path=path,
            image_ids=np.array([image["id"] for image in images], dtype=np.int64),
            widths=np.array([image["width"] for image in images], dtype=np.float64),
            heights=np.array([image["height"] for image in images], dtype=np.float64),
            category_ids=np.array([category["id"] for category in categories], dtype=np.int64),
            category_names=tuple(str(category["name"]) for category in categories),
            box_image_ids=np.array([box["image_id"] for box in boxes], dtype=np.int64),
            box_category_ids=np.array([box["category_id"] for box in boxes], dtype=np.int64),
            boxes=np.array([box["bbox"] for box in boxes], dtype=np.float64).reshape(len(boxes), 4),
            areas=np.array([box["area"] for box in boxes], dtype=np.float64),
            crowds=np.array([box.get("iscrowd", 0) for box in boxes], dtype=np.int64).astype(np.bool_),
            file_names=tuple(str(image["file_name"]) for image in images if "file_name" in image),
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise DatasetError(f"the annotations are not COCO's instances format: {error}", where=str(path)) from error
    return _checked(truth)


def _column(path: Path, dataset: Any, key: str, needed: tuple[str, ...], *, may_be_empty: bool = False) -> list[Any]:
    """One of the lists of the file, every entry of which has the keys that are needed."""
    entries = dataset.get(key) if isinstance(dataset, dict) else None
    if not isinstance(entries, list) or not (entries or may_be_empty):
        state = "an empty list of" if entries == [] else "no list of"
        raise DatasetError(
            f"{state} {key!r}: this is not a COCO annotations file",
            where=str(path),
            hint="give an instances_*.json, as in annotations_trainval2017.zip",
        )
    for number, entry in enumerate(entries):
        missing = [name for name in needed if not isinstance(entry, dict) or name not in entry]
        if missing:
            raise DatasetError(f"{key}[{number}] has no {', '.join(map(repr, missing))}", where=str(path))
    return entries


def _checked(truth: GroundTruth) -> GroundTruth:
    for what, ids in (("image", truth.image_ids), ("category", truth.category_ids)):
        values, counts = np.unique(ids, return_counts=True)
        if (counts > 1).any():
            raise DatasetError(f"the {what} id {values[counts > 1][0]} is there twice", where=str(truth.path))
    sizes = np.stack([truth.widths, truth.heights])
    if not (np.isfinite(sizes) & (sizes > 0)).all():
        raise DatasetError("an image without a positive width and height", where=str(truth.path))
    if not (np.isfinite(truth.boxes).all() and np.isfinite(truth.areas).all()):
        raise DatasetError("a box or an area that is not a finite number", where=str(truth.path))
    known = np.isin(truth.box_category_ids, truth.category_ids)
    return replace(
        truth,
        file_names=truth.file_names if len(truth.file_names) == len(truth.image_ids) else (),
        box_image_ids=truth.box_image_ids[known],
        box_category_ids=truth.box_category_ids[known],
        boxes=truth.boxes[known],
        areas=truth.areas[known],
        crowds=truth.crowds[known],
    ).restricted(truth.image_ids)
