"""What an annotations file says, as columns: everything an evaluation of boxes needs, and no image files."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.errors import DatasetError

MAX_EXACT = 2**53
"""Whole numbers below it are exact in the float64 rows that evaluators take."""


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """The images, categories and boxes of a COCO annotations file.

    LoadGen's sample index counts the images in the file's own order, and a contiguous label i means the i-th category
    in the file's own order.

    Attributes:
        path: the annotations file.
        image_ids: (I,) int64, what the images are called in an evaluation, in the file's order: the file's own ids, or,
            where one of them does not fit a float64 exactly (from 2⁵³ on), the ranks of those ids from 1 on.
        widths, heights: (I,) float64, pixels.
        category_ids: (C,) int64, in the file's order.
        category_names: C names.
        box_image_ids, box_category_ids: (A,) int64.
        boxes: (A, 4) float64, x, y, width, height in pixels.
        areas: (A,) float64, pixels², of the object's mask in COCO's own files; decides small, medium and large.
        crowds: (A,) bool.
        file_names: I names; empty if not every image has one.
        own_image_ids: (I,) int64, the file's ids where ``image_ids`` are ranks; None where they are the file's own.
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
    own_image_ids: npt.NDArray[np.int64] | None = None

    @property
    def ids_in_file(self) -> npt.NDArray[np.int64]:
        """(I,) int64, the image ids as the annotations file has them."""
        return self.image_ids if self.own_image_ids is None else self.own_image_ids

    def places_of(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Where the images with these ids of the file are in its list; −1 for one that is not there."""
        known = self.ids_in_file
        order = np.argsort(known)
        places = order[np.searchsorted(known, ids, sorter=order).clip(max=len(order) - 1)]
        return np.where(known[places] == ids, places, -1)

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
            own_image_ids=None if self.own_image_ids is None else self.own_image_ids[:count],
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
            dataset = json.load(file)  # which knows UTF-8, UTF-16 and UTF-32, with and without a byte order mark
    except OSError as error:
        hint = "give --annotations an existing file, as COCO's instances_val2017.json"
        raise DatasetError(f"the annotations cannot be read: {error.strerror}", where=str(path), hint=hint) from error
    except UnicodeDecodeError as error:
        hint = "is it gzipped, or in a local encoding? JSON is UTF-8"
        raise DatasetError("the annotations are not text in UTF-8", where=str(path), hint=hint) from error
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
            image_ids=_ids(path, images, "images", "id"),
            widths=np.array([image["width"] for image in images], dtype=np.float64),
            heights=np.array([image["height"] for image in images], dtype=np.float64),
            category_ids=_ids(path, categories, "categories", "id"),
            category_names=_names(categories),
            box_image_ids=_ids(path, boxes, "annotations", "image_id"),
            box_category_ids=_ids(path, boxes, "annotations", "category_id"),
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


def _ids(path: Path, entries: list[Any], key: str, name: str) -> npt.NDArray[np.int64]:
    """One column of ids, which are whole numbers: nothing is cut or rounded to make them so.

    Raises:
        DatasetError: one is no whole number, or does not fit 64 bits; names the entry.
    """
    for number, entry in enumerate(entries):
        found = entry[name]
        if isinstance(found, float) and found.is_integer() and abs(found) < MAX_EXACT:
            continue
        if type(found) is not int or not -(2**63) <= found < 2**63:
            shown = repr(found)[:40]
            raise DatasetError(f"{key}[{number}] has {shown} as {name!r}, which is no whole number", where=str(path))
    return np.array([int(entry[name]) for entry in entries], dtype=np.int64)


def _names(categories: list[Any]) -> tuple[str, ...]:
    """The categories' names; those that several have are told apart by their ids."""
    names = [str(category["name"]) for category in categories]
    return tuple(
        f"{name} (id {category['id']})" if names.count(name) > 1 else name
        for name, category in zip(names, categories, strict=True)
    )


def _with_exact_ids(truth: GroundTruth) -> GroundTruth:
    """Image ids that a float64 cannot hold are replaced by their ranks, for evaluators take rows of float64."""
    ids = truth.image_ids
    if (np.abs(ids) < MAX_EXACT).all():
        return truth
    ranks = np.argsort(np.argsort(ids)) + 1
    places = truth.places_of(truth.box_image_ids)
    return replace(truth, image_ids=ranks, own_image_ids=ids, box_image_ids=ranks[places])


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
    if not (np.abs(truth.category_ids) < MAX_EXACT).all():
        raise DatasetError("a category id from 2⁵³ on, which evaluators round", where=str(truth.path))
    known = np.isin(truth.box_category_ids, truth.category_ids)
    sound = replace(
        truth,
        file_names=truth.file_names if len(truth.file_names) == len(truth.image_ids) else (),
        box_image_ids=truth.box_image_ids[known],
        box_category_ids=truth.box_category_ids[known],
        boxes=truth.boxes[known],
        areas=truth.areas[known],
        crowds=truth.crowds[known],
    )
    return _with_exact_ids(sound.restricted(truth.image_ids))
