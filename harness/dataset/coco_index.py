"""The images of a COCO annotations file, in its own order: LoadGen's sample index is the place in that order."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.dataset.image_size import image_size
from harness.errors import DatasetError

LARGEST_SIDE = 65_535  # a JPEG's sides are 16-bit numbers (ITU-T T.81, B.2.2)
_WANTED = "COCO's instances_val2017.json is one: an object with images, annotations and categories"


@dataclass(frozen=True)
class CocoImage:
    """One image of the dataset.

    Attributes:
        id: COCO's image id.
        file_name: as the annotations give it.
        width, height: of the original, in pixels.
        path: where it lies.
    """

    id: int
    file_name: str
    width: int
    height: int
    path: Path


@dataclass(frozen=True)
class CocoIndex:
    """A COCO dataset whose images are all there.

    Attributes:
        annotations: the annotations file.
        images: in the order of the annotations file; the sample index is the place here.
        category_ids: in the annotations' own order; label i of a model is ``category_ids[i - 1]``.
        sha256: of the annotations file. With ``len(images)`` it names the samples of a run.
        images_available: how many images the annotations file has; more than ``len(images)`` when a count was given.
    """

    annotations: Path
    images: tuple[CocoImage, ...] = field(repr=False)
    category_ids: tuple[int, ...] = field(repr=False)
    sha256: str
    images_available: int

    def __len__(self) -> int:
        return len(self.images)

    @property
    def paths(self) -> list[Path]:
        """Where the images lie, by sample index."""
        return [image.path for image in self.images]

    def check_sizes(self) -> None:
        """Whether every image has the size that the annotations give, orientation included: else no box fits.

        Raises:
            DatasetError: names the first one that has not.
        """
        with ThreadPoolExecutor() as threads:
            complaints = [
                (image, complaint)
                for image, complaint in zip(self.images, threads.map(_size_complaint, self.images), strict=True)
                if complaint is not None
            ]
        if complaints:
            image, complaint = complaints[0]
            others = f"; {len(complaints) - 1} others have a wrong size too" if len(complaints) > 1 else ""
            raise DatasetError(
                f"{complaint}{others}",
                where=str(image.path),
                hint="give the annotations of these very images: boxes are in pixels of the size they name",
            )

    @classmethod
    def load(cls, annotations: Path, images: Path, count: int | None = None) -> CocoIndex:
        """Reads and checks the annotations, and that every chosen image is there (its content is not looked at).

        Args:
            annotations: a COCO instances JSON.
            images: the folder that ``file_name`` is relative to.
            count: the first so many images; None for all.

        Raises:
            DatasetError: the annotations are not usable, an image is missing or outside the folder, or there are
                fewer images than ``count``.
        """
        return cls.of(read_annotations(annotations), images, count)

    @classmethod
    def of(cls, file: AnnotationsFile, images: Path, count: int | None = None) -> CocoIndex:
        """The index of an annotations file that was read; else as `load`."""
        annotations = file.path
        reader = _Reader(str(annotations), file.document)
        category_ids = reader.category_ids()
        records = reader.image_records()
        reader.check_annotations({record["id"] for record in records}, set(category_ids))
        chosen = _first(records, count, str(annotations))
        return cls(
            annotations=annotations,
            images=_locate(chosen, images),
            category_ids=category_ids,
            sha256=file.sha256,
            images_available=len(records),
        )


@dataclass(frozen=True)
class AnnotationsFile:
    """An annotations file, read and parsed once for all who need something of it.

    Attributes:
        sha256: of the file's bytes.
        document: what its JSON holds.
    """

    path: Path
    sha256: str
    document: dict[str, Any]


def read_annotations(path: Path) -> AnnotationsFile:
    """Reads and parses an annotations file.

    Raises:
        DatasetError: it is missing, empty, or no JSON object.
    """
    content = _read(path)
    if not content.strip():
        raise DatasetError("is empty", where=str(path), hint=_WANTED)
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"is not JSON: {error}", where=str(path), hint=_WANTED) from error
    if not isinstance(document, dict):
        raise DatasetError("is not a COCO annotations file: not a JSON object", where=str(path), hint=_WANTED)
    return AnnotationsFile(path, hashlib.sha256(content).hexdigest(), document)


def _read(annotations: Path) -> bytes:
    try:
        return annotations.read_bytes()
    except FileNotFoundError:
        hint = "give --annotations an existing file, as COCO's instances_val2017.json"
        raise DatasetError("no such annotations file", where=str(annotations), hint=hint) from None
    except OSError as error:
        raise DatasetError(f"cannot be read: {error.strerror}", where=str(annotations)) from error


class _Reader:
    """Takes the three lists out of a COCO JSON; every complaint names the file and the entry."""

    def __init__(self, where: str, document: dict[str, Any]) -> None:
        self.where = where
        self.document = document

    def error(self, what: str, hint: str | None = None) -> DatasetError:
        return DatasetError(what, where=self.where, hint=hint)

    def entries(self, key: str) -> list[dict[str, Any]]:
        """The list under the key: not empty, all of them objects, each with an integer id of its own."""
        entries = self.document.get(key)
        if not isinstance(entries, list):
            raise self.error(f'is not a COCO annotations file: it has no list "{key}"', _WANTED)
        if not entries:
            raise self.error(f'has no {key}: the list "{key}" is empty', _WANTED)
        seen = set()
        for place, entry in enumerate(entries):
            if not isinstance(entry, dict) or type(entry.get("id")) is not int:
                raise self.error(
                    f'is not a COCO annotations file: {key}[{place}] is not an object with an integer "id"'
                )
            if entry["id"] in seen:
                raise self.error(f"two of its {key} have the id {entry['id']}")
            seen.add(entry["id"])
        return entries

    def category_ids(self) -> tuple[int, ...]:
        return tuple(category["id"] for category in self.entries("categories"))

    def image_records(self) -> list[dict[str, Any]]:
        """The images, each with a file name of its own and a believable size."""
        records = self.entries("images")
        seen = set()
        for place, record in enumerate(records):
            name = record.get("file_name")
            if not isinstance(name, str) or not name:
                raise self.error(f'images[{place}] (id {record["id"]}) has no "file_name"')
            if name in seen:
                raise self.error(f'two of its images have the file_name "{name}"')
            seen.add(name)
            for side in ("width", "height"):
                value = record.get(side)
                if type(value) is not int or not 1 <= value <= LARGEST_SIDE:
                    found = f"{side} {value!r}" if side in record else f"no {side}"
                    raise self.error(
                        f'image "{name}" has {found}', f"every image needs its {side} in pixels, 1 to {LARGEST_SIDE}"
                    )
        return records

    def check_annotations(self, image_ids: set[int], category_ids: set[int]) -> None:
        """What the evaluation relies on: known images and categories, and boxes (left, top, width, height)."""
        for place, annotation in enumerate(self.entries("annotations")):
            where = f"annotations[{place}] (id {annotation['id']})"
            if annotation.get("image_id") not in image_ids:
                raise self.error(f"{where} is of an image that is not in the list: {annotation.get('image_id')!r}")
            if annotation.get("category_id") not in category_ids:
                raise self.error(f"{where} is of a category that is not in the list: {annotation.get('category_id')!r}")
            box = annotation.get("bbox")
            if not (isinstance(box, list) and len(box) == 4 and all(_is_coordinate(value) for value in box)):
                raise self.error(f"{where} has no usable bbox: {box!r}", "four numbers: left, top, width, height")
            if box[2] < 0 or box[3] < 0:
                raise self.error(f"{where} has a bbox of negative size: {box!r}")


def _is_coordinate(value: object) -> bool:
    # Also False for NaN and the infinities, which Python's JSON reader lets pass.
    return type(value) in (int, float) and -LARGEST_SIDE <= value <= LARGEST_SIDE  # type: ignore[operator]


def _first(records: list[dict[str, Any]], count: int | None, where: str) -> list[dict[str, Any]]:
    if count is None:
        return records
    if count < 1:
        raise DatasetError(f"a count of {count} images was asked for", hint="ask for 1 or more")
    if count > len(records):
        raise DatasetError(
            f"{count} images were asked for, and it has {len(records)}",
            where=where,
            hint=f"ask for {len(records)} or fewer",
        )
    return records[:count]


def _locate(records: list[dict[str, Any]], folder: Path) -> tuple[CocoImage, ...]:
    """The images with their paths, all of which exist.

    Links are followed wherever they lead: who made the folder has chosen them. A name that leaves the folder by itself
    comes from the annotations, which somebody else wrote.
    """
    if not folder.is_dir():
        raise DatasetError("no such images folder", where=str(folder))
    missing = []
    found = []
    inside = os.path.join(os.path.realpath(folder), "")  # noqa: PTH118 - pathlib takes five times as long here
    for record in records:
        name = record["file_name"]
        path = folder / name
        try:
            if _leaves(name, path, inside):
                raise DatasetError(
                    f'the file_name "{name}" leaves the images folder',
                    where=str(folder),
                    hint="file names must be relative to the images folder and stay in it",
                )
            if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116
                missing.append(name)
        except (OSError, ValueError):  # ValueError: a NUL or a lone surrogate in the name
            missing.append(name)
        found.append(CocoImage(record["id"], name, record["width"], record["height"], path))
    if missing:
        names = ", ".join(repr(name)[1:-1] for name in missing[:3])
        raise DatasetError(
            f"{len(missing)} of {len(records)} images are missing: {names}{', …' if len(missing) > 3 else ''}",
            where=str(folder),
            hint="name the folder that the images are in, or fewer images with a count",
        )
    return tuple(found)


def _leaves(name: str, path: Path, inside: str) -> bool:
    """Whether a name leads out of the folder, by being absolute or by its dots (behind a link too)."""
    if name.startswith("/") or Path(os.path.normpath(name)).parts[0] == "..":
        return True
    return ".." in name.split("/") and not os.path.realpath(path).startswith(inside)


def _size_complaint(image: CocoImage) -> str | None:
    """What is wrong with the size of an image; None if it is as annotated, or if its file does not say it."""
    try:
        size = image_size(image.path)
    except OSError:
        return None  # whoever decodes it says so
    if size is None or size.decoded == (image.width, image.height):
        return None
    width, height = size.decoded
    turned = ", turned by its EXIF orientation" if size.turned else ""
    return f"is {width} x {height} pixels{turned}, and annotated as {image.width} x {image.height}"
