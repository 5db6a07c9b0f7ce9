"""The twelve COCO figures of detections, by pycocotools (the reference) or hotcoco (the quick one)."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from harness.accuracy.coco_results import CocoResults
from harness.accuracy.ground_truth import GroundTruth
from harness.errors import BackendError, LogError

Evaluator = Literal["pycocotools", "hotcoco"]
ImageChoice = Literal["all", "annotated", "logged"]

FIGURES = ("mAP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
"""The names of the figures, in the order of ``COCOeval.stats``."""
MEANINGS = {
    "mAP": "AP, IoU 0.50:0.95",
    "AP50": "AP, IoU 0.50",
    "AP75": "AP, IoU 0.75",
    "APs": "AP, small objects",
    "APm": "AP, medium objects",
    "APl": "AP, large objects",
    "AR1": "recall, 1 detection an image",
    "AR10": "recall, 10 detections an image",
    "AR100": "recall, 100 detections an image",
    "ARs": "recall, small objects",
    "ARm": "recall, medium objects",
    "ARl": "recall, large objects",
}
"""What each figure is, in words."""
AGREEMENT = 1e-6
"""How far two evaluators may be apart in any figure: far above rounding, far below the last digit anyone prints."""


@dataclass(frozen=True)
class Accuracy:
    """The twelve COCO figures, each in [0, 1], or −1 where there is nothing to find (no small object, say).

    Attributes:
        mAP: AP averaged over the IoU thresholds 0.50, 0.55, … 0.95, all areas, 100 detections.
        AP50, AP75: AP at one IoU threshold.
        APs, APm, APl: mAP of small (< 32² pixels), medium and large (> 96²) objects.
        AR1, AR10, AR100: recall averaged over the IoU thresholds with that many detections an image.
        ARs, ARm, ARl: AR100 of small, medium and large objects.
        images: how many were evaluated.
        detections: in those images, before COCO's limit of 100 an image and class.
        evaluator: its name and version.
        per_class: category name and its mAP (−1 if none of it is there to find), in the annotations' order.
        precision_recall: by IoU threshold ("0.50", "0.75", "0.50:0.95"), the precision at the recalls 0, 0.01, … 1, the
            mean over the categories that are there; 101 figures in [0, 1].
    """

    mAP: float  # noqa: N815 -- the field's own name
    AP50: float
    AP75: float
    APs: float
    APm: float
    APl: float
    AR1: float
    AR10: float
    AR100: float
    ARs: float
    ARm: float
    ARl: float
    images: int
    detections: int
    evaluator: str
    per_class: tuple[tuple[str, float], ...]
    precision_recall: dict[str, tuple[float, ...]]

    def figures(self) -> dict[str, float]:
        """The twelve by name, in COCO's order."""
        return {name: getattr(self, name) for name in FIGURES}

    def as_json(self) -> dict[str, Any]:
        """The ``accuracy`` object of summary.json."""
        return {
            **self.figures(),
            "images": self.images,
            "detections": self.detections,
            "evaluator": self.evaluator,
        }


def evaluate(
    truth: GroundTruth,
    results: CocoResults,
    image_ids: npt.NDArray[np.int64],
    *,
    evaluator: Evaluator = "pycocotools",
) -> Accuracy:
    """The accuracy of the detections over exactly these images.

    Args:
        truth: what is there.
        results: what was found; detections in other images than these are left out.
        image_ids: one of them with no detections lowers the recall; duplicates count once.

    Raises:
        BackendError: hotcoco is asked for and not installed.
        LogError: no images to evaluate.
    """
    if not len(image_ids):
        raise LogError("there are no images to evaluate", where=str(truth.path))
    if evaluator == "hotcoco" and not has_hotcoco():
        raise BackendError("hotcoco is not installed", hint="pip install hotcoco")
    image_ids = np.unique(image_ids)
    rows = results.rows[np.isin(results.rows[:, 0], image_ids)]
    # imported here, so that `--help` is quick
    if evaluator == "hotcoco":
        from harness.accuracy.hotcoco_evaluator import evaluate_boxes
    else:
        from harness.accuracy.pycocotools_evaluator import evaluate_boxes
    stats, precision = evaluate_boxes(truth.restricted(image_ids), rows, image_ids)
    return Accuracy(
        images=len(image_ids),
        detections=len(rows),
        evaluator=f"{evaluator} {version(evaluator)}",
        per_class=tuple(zip(truth.category_names, _per_class(truth, precision), strict=True)),
        precision_recall=_precision_recall(precision),
        **dict(zip(FIGURES, map(float, stats), strict=True)),
    )


def _per_class(truth: GroundTruth, precision: npt.NDArray[np.float64]) -> list[float]:
    """mAP of each category in the annotations' order; ``precision`` has its categories by ascending id."""
    figures = []
    for category in np.argsort(np.argsort(truth.category_ids)):
        of_category = precision[:, :, category, 0, -1]
        present = of_category[of_category > -1]
        figures.append(float(present.mean()) if len(present) else -1.0)
    return figures


def _precision_recall(precision: npt.NDArray[np.float64]) -> dict[str, tuple[float, ...]]:
    of_all = precision[:, :, :, 0, -1]
    present = of_all[:, :, (of_all > -1).all(axis=(0, 1))]
    if not present.shape[2]:
        return {}
    curves = present.mean(axis=2)
    # COCOeval's thresholds are 0.50, 0.55, … 0.95
    return {
        "0.50": tuple(curves[0].tolist()),
        "0.75": tuple(curves[5].tolist()),
        "0.50:0.95": tuple(curves.mean(axis=0).tolist()),
    }


def percent_text(figure: float, digits: int = 3) -> str:
    """A figure in percent; "not defined" for COCO's −1, which means that there is nothing to find."""
    return "not defined" if figure < 0 else f"{100 * figure:.{digits}f} %"


def has_hotcoco() -> bool:
    """Whether the quick evaluator can be imported."""
    return importlib.util.find_spec("hotcoco") is not None


def differences(one: Accuracy, other: Accuracy) -> dict[str, tuple[float, float]]:
    """The figures, of the twelve and of the classes, in which two evaluations are more than ``AGREEMENT`` apart."""
    pairs = {name: (value, other.figures()[name]) for name, value in one.figures().items()}
    for (name, value), (_, other_value) in zip(one.per_class, other.per_class, strict=True):
        pairs[f"AP of {name}"] = (value, other_value)
    # written so that NaN is a difference
    return {name: (a, b) for name, (a, b) in pairs.items() if not abs(a - b) <= AGREEMENT}


def chosen_images(truth: GroundTruth, results: CocoResults, choice: ImageChoice) -> npt.NDArray[np.int64]:
    """The ids of the images to evaluate.

    ``all``: every image of the annotations, MLPerf's measure (all 5000 of val2017). ``annotated``: without those that
    have no boxes (4952 of val2017). ``logged``: only those that the log has, as MLPerf's accuracy-coco.py does.
    """
    if choice == "all":
        return truth.image_ids
    return truth.annotated_image_ids if choice == "annotated" else results.image_ids


def missing_images(truth: GroundTruth, results: CocoResults) -> npt.NDArray[np.int64]:
    """The file's ids of the images of the annotations that were not recorded, in the annotations' order."""
    return truth.ids_in_file[~np.isin(truth.image_ids, results.image_ids)]
