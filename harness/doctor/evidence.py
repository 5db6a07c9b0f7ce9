"""What a log says before anything is read into it: the numbers as they were written, and what they should mean."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from harness.accuracy.coco_results import LabelMap, is_coco_results, read_coco_rows
from harness.accuracy.ground_truth import GroundTruth
from harness.accuracy.log import AccuracyLog, read_accuracy_log

EvidenceKind = Literal["accuracy log", "COCO results"]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Evidence:
    """Detections as written.

    Attributes:
        kind: an accuracy log has ymin, xmin, ymax, xmax normalised to the image, and images by their place in the
            annotations; COCO results have x, y, width, height in pixels, and images by id.
        truth: the annotations given; they may be the wrong ones.
        images: (I,) int64, the place in the annotations of every recorded image; may lie outside the annotations.
        places: (N,) int64, that of each detection.
        numbers: (N, 4) float64, the box.
        scores: (N,) float64.
        labels: (N,) int64.
        reading: how the labels are said to be meant.
        path: of the log.
        own_annotations: whether the annotations are surely those that the log was made with.
    """

    kind: EvidenceKind
    truth: GroundTruth
    images: Ints
    places: Ints
    numbers: Floats
    scores: Floats
    labels: Ints
    reading: LabelMap
    path: Path
    own_annotations: bool = False

    def __len__(self) -> int:
        return len(self.scores)


def evidence_of_log(log: AccuracyLog, truth: GroundTruth, labels: LabelMap) -> Evidence:
    """An accuracy log, as written."""
    return Evidence(
        kind="accuracy log",
        truth=truth,
        images=log.images,
        places=log.qsl_idx,
        numbers=log.boxes.astype(np.float64),
        scores=log.scores.astype(np.float64),
        labels=log.labels.astype(np.int64),
        reading=labels,
        path=log.path,
    )


def evidence_of_results(image_ids: Ints, rows: Floats, truth: GroundTruth, path: Path) -> Evidence:
    """COCO results, (N, 7) as `CocoResults.rows`; an image that the annotations do not have is at place −1."""
    places = truth.places_of(image_ids)
    return Evidence(
        kind="COCO results",
        truth=truth,
        images=np.unique(places),
        places=places,
        numbers=rows[:, 1:5],
        scores=rows[:, 5],
        labels=rows[:, 6].astype(np.int64),
        reading="coco",
        path=path,
    )


def read_evidence(path: Path, truth: GroundTruth, labels: LabelMap) -> Evidence:
    """An accuracy log or a COCO results file, which may be of other images or classes than the annotations'.

    Raises:
        LogError: the file is damaged.
    """
    if is_coco_results(path):
        image_ids, rows, _ = read_coco_rows(path)
        return evidence_of_results(image_ids, rows, truth, path)
    return evidence_of_log(read_accuracy_log(path), truth, labels)
