"""Detections as COCO results: pixels, image ids and category ids, one row a detection."""

from __future__ import annotations

import codecs
import contextlib
import hashlib
import json
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from harness.accuracy.ground_truth import MAX_EXACT, GroundTruth
from harness.accuracy.log import AccuracyLog, open_log
from harness.errors import LogError, UsageError

LabelMap = Literal["contiguous", "coco", "auto"]
_SNIFFED_BYTES = 1 << 20


@dataclass(frozen=True, eq=False)
class CocoResults:
    """What was detected in which images.

    Attributes:
        rows: (N, 7) float64: image id, x, y, width, height in pixels, score, category id, as ``COCO.loadRes`` takes it.
        image_ids: (I,) int64, the images that were looked at, as far as the source says so: all recorded ones of an
            accuracy log, but only those with detections of a COCO results file.
        labels: how the source's labels were read.
    """

    rows: npt.NDArray[np.float64]
    image_ids: npt.NDArray[np.int64]
    labels: Literal["contiguous", "coco"]

    def __len__(self) -> int:
        return len(self.rows)


def results_of_log(log: AccuracyLog, truth: GroundTruth, labels: LabelMap = "auto") -> CocoResults:
    """An accuracy log's detections in pixels of their own images.

    Raises:
        LogError: a label or an image that the annotations do not have.
        UsageError: ``labels`` is "auto" and the labels could be either.
    """
    last, count = int(log.images.max(initial=-1)), len(truth.image_ids)
    if last >= count:
        raise LogError(f"holds image {last}, the annotations' images are 0..{count - 1}", where=str(log.path))
    meaning, categories = category_ids_of(log.labels, truth, labels, where=str(log.path))
    width, height = truth.widths[log.qsl_idx], truth.heights[log.qsl_idx]
    ymin, xmin, ymax, xmax = log.boxes.T.astype(np.float64)
    rows = np.empty((len(log), 7), dtype=np.float64)
    rows[:, 0] = truth.image_ids[log.qsl_idx]
    rows[:, 1] = xmin * width
    rows[:, 2] = ymin * height
    rows[:, 3] = (xmax - xmin) * width
    rows[:, 4] = (ymax - ymin) * height
    rows[:, 5] = log.scores
    rows[:, 6] = categories
    return CocoResults(rows, truth.image_ids[log.images], meaning)


def category_ids_of(
    found: npt.NDArray[np.int32], truth: GroundTruth, labels: LabelMap, *, where: str
) -> tuple[Literal["contiguous", "coco"], npt.NDArray[np.int64]]:
    """The category id of every label, and how the labels were read.

    ``contiguous``: i means the i-th category of the annotations, counted from 1. ``coco``: a label is a category id.
    ``auto``: whichever of the two knows every label of the log; if both do and they differ, nothing is guessed.

    Raises:
        LogError: a label that the map asked for (or, for "auto", both) does not know.
        UsageError: "auto", and both know every label.
    """
    count = len(truth.category_ids)
    unknown = {
        "contiguous": np.setdiff1d(found, np.arange(1, count + 1)),
        "coco": np.setdiff1d(found, truth.category_ids),
    }
    meaning: Literal["contiguous", "coco"]
    if labels == "auto":
        both = not len(unknown["contiguous"]) and not len(unknown["coco"])
        if both and len(found) and not np.array_equal(truth.category_ids, np.arange(1, count + 1)):
            raise UsageError(
                f"the labels can be read both as 1..{count} and as category ids",
                where=where,
                hint="say which with --labels contiguous or --labels coco",
            )
        meaning = "contiguous" if len(unknown["contiguous"]) <= len(unknown["coco"]) else "coco"
    else:
        meaning = labels
    if len(unknown[meaning]):
        known = f"1..{count}" if meaning == "contiguous" else f"the annotations' {count} category ids"
        first = ", ".join(str(label) for label in unknown[meaning][:3])
        raise LogError(
            f"{len(unknown[meaning])} labels of {len(np.unique(found))} are not in {known}, the first: {first}",
            where=where,
            hint="try the other of --labels contiguous and --labels coco, and see that the annotations are the log's",
        )
    return meaning, truth.category_ids[found - 1] if meaning == "contiguous" else found.astype(np.int64)


def is_coco_results(path: Path) -> bool:
    """Whether the file is a COCO results file rather than an accuracy log, by the keys at its beginning.

    Raises:
        LogError: the file cannot be opened.
    """
    head = b""
    # what is damaged is for the reader of that format to say
    with open_log(path) as file, contextlib.suppress(OSError, EOFError, zlib.error):
        while len(head) < _SNIFFED_BYTES and (chunk := file.read1(_SNIFFED_BYTES)):
            head += chunk
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in head[:4]:
        head = head.replace(b"\0", b"")  # UTF-16 and UTF-32, as other tools write; an accuracy log is ASCII
    if re.fullmatch(rb"(\xef\xbb\xbf)? *\[ *\]\s*", head):
        return True  # nothing was detected; LoadGen's own empty log has a line break between the brackets
    return b'"image_id"' in head and b'"qsl_idx"' not in head


def read_coco_results(path: Path, truth: GroundTruth) -> tuple[CocoResults, str]:
    """A COCO results file and its sha256: ``[{"image_id", "category_id", "bbox": [x, y, width, height], "score"}, …]``.

    Raises:
        LogError: the file is not that, names unknown images or categories, or holds values that are not finite.
    """
    image_ids, rows, sha256 = read_coco_rows(path)
    places = truth.places_of(image_ids)
    for sound, what in (
        (places >= 0, "an image that the annotations do not have"),
        (np.isin(rows[:, 6], truth.category_ids), "a category that the annotations do not have"),
    ):
        if not sound.all():
            number = int(sound.argmin())
            entry = f"image_id {image_ids[number]}, category_id {rows[number, 6]:.0f}"
            raise LogError(f"entry {number + 1} names {what}: {entry}", where=str(path))
    rows[:, 0] = truth.image_ids[places]
    return CocoResults(rows, np.unique(truth.image_ids[places]), "coco"), sha256


def read_coco_rows(path: Path) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], str]:
    """A COCO results file: (N,) image ids, (N, 7) `CocoResults.rows` without them (−1), and the file's sha256.

    Image ids are apart because a float64 holds whole numbers up to 2⁵³ only. Any image and category may be named.

    Raises:
        LogError: the file is not that, or holds values that are not finite.
    """
    try:
        with open_log(path) as file:
            text = file.read()
        entries = json.loads(text)
    except (OSError, EOFError, zlib.error, ValueError, RecursionError) as error:
        raise LogError(f"the COCO results cannot be read: {error}", where=str(path)) from error
    if not isinstance(entries, list):
        raise LogError("the COCO results are not a list", where=str(path))
    image_ids = np.empty(len(entries), dtype=np.int64)
    rows = np.empty((len(entries), 7), dtype=np.float64)
    for i, entry in enumerate(entries):
        try:
            x, y, width, height = entry["bbox"]
            image_ids[i], category = _whole(entry["image_id"]), _whole(entry["category_id"])
            if any(isinstance(value, (str, bool)) for value in (x, y, width, height, entry["score"])):
                raise TypeError("text where a number should be")
            rows[i] = -1, x, y, width, height, entry["score"], category
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            wanted = "{image_id, category_id, bbox: [x, y, width, height], score}"
            raise LogError(f"entry {i + 1} is not {wanted}: {entry}", where=str(path)) from error
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        number = int(finite.argmin())
        what = f"entry {number + 1} holds a value that is not a finite number: {entries[number]}"
        raise LogError(what, where=str(path))
    return image_ids, rows, hashlib.sha256(text).hexdigest()


def _whole(value: object) -> int:
    """A whole number as it is, never one that had to be cut or rounded."""
    if type(value) is int or (isinstance(value, float) and value.is_integer() and abs(value) < MAX_EXACT):
        return int(value)
    raise ValueError(f"{value!r} is no whole number")
