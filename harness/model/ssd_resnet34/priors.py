"""The prior boxes (default boxes, anchors) of SSD-ResNet34.

Source of the formula: the MLPerf Inference reference's ``dboxes_R34_coco``: scales 21 … 315 of 300 at 1200 px.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import numpy.typing as npt

from harness.model.ssd_resnet34.heads import FEATURE_MAPS, IMAGE_SIZE

_SCALES_PX = tuple(s * IMAGE_SIZE // 300 for s in (21, 45, 99, 153, 207, 261, 315))


@cache
def prior_boxes() -> npt.NDArray[np.float32]:
    """The prior boxes in the order of the raw outputs: map, anchor, row, column.

    Returns:
        (15130, 4) float32, read-only: centre x, centre y, width, height, normalised and clamped to [0, 1].
    """
    maps = []
    for k, feature_map in enumerate(FEATURE_MAPS):
        grid, shapes = feature_map.grid, _shapes(k, feature_map.anchors)
        boxes = np.empty((feature_map.anchors, grid, grid, 4), np.float64)
        centres = (np.arange(grid) + 0.5) / grid
        boxes[..., 0] = centres
        boxes[..., 1] = centres[:, None]
        boxes[..., 2:] = shapes[:, None, None, :]
        maps.append(boxes.reshape(-1, 4))
    priors = np.concatenate(maps).clip(0.0, 1.0).astype(np.float32)
    priors.flags.writeable = False
    return priors


def _shapes(k: int, anchors: int) -> npt.NDArray[np.float64]:
    """(anchors, 2) width and height of the prior boxes of map ``k``, normalised."""
    small, large = _SCALES_PX[k] / IMAGE_SIZE, _SCALES_PX[k + 1] / IMAGE_SIZE
    between = math.sqrt(small * large)
    shapes = [(small, small), (between, between)]
    for ratio in (2, 3)[: (anchors - 2) // 2]:
        long, short = small * math.sqrt(ratio), small / math.sqrt(ratio)
        shapes += [(long, short), (short, long)]
    return np.array(shapes)
