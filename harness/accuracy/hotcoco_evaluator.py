"""COCO's evaluation by hotcoco, a Rust engine with pycocotools' figures. Only ``evaluate.py`` calls it."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import numpy.typing as npt

from harness.accuracy.ground_truth import GroundTruth


def evaluate_boxes(
    truth: GroundTruth, rows: npt.NDArray[np.float64], image_ids: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """As ``pycocotools_evaluator.evaluate_boxes``."""
    import hotcoco

    known = hotcoco.COCO.from_arrays(
        [{"id": i, "width": 0, "height": 0} for i in image_ids.tolist()],
        [{"id": i, "name": name} for i, name in zip(truth.category_ids.tolist(), truth.category_names, strict=True)],
        truth.box_image_ids,
        truth.box_category_ids,
        truth.boxes,
        area=truth.areas,
        iscrowd=truth.crowds.astype(np.int64),
    )
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = hotcoco.COCOeval(known, known.load_res(rows), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    curves = evaluation.eval or {}
    return np.asarray(evaluation.stats, dtype=np.float64), np.asarray(curves["precision"], dtype=np.float64)
