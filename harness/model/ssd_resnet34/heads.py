"""The twelve raw outputs of SSD-ResNet34 at 1200×1200: six maps, and on each a class head and a box head.

Class channel = class · A + anchor and box channel = coordinate · A + anchor, with A anchors per cell.
"""

from __future__ import annotations

from typing import NamedTuple

from harness.records import TensorSpec

IMAGE_SIZE = 1200
NUM_CLASSES = 81  # 0 is background


class FeatureMap(NamedTuple):
    """One of the six maps.

    Attributes:
        grid: cells along each side.
        anchors: prior boxes per cell.
        channels: of the feature map that the heads read.
    """

    grid: int
    anchors: int
    channels: int


FEATURE_MAPS = (
    FeatureMap(50, 4, 256),
    FeatureMap(25, 6, 512),
    FeatureMap(13, 6, 512),
    FeatureMap(7, 6, 256),
    FeatureMap(3, 4, 256),
    FeatureMap(3, 4, 256),
)
NUM_PRIORS = sum(m.grid**2 * m.anchors for m in FEATURE_MAPS)  # 15 130

INPUT = TensorSpec("image", (1, 3, IMAGE_SIZE, IMAGE_SIZE), "uint8")
OUTPUTS = tuple(
    TensorSpec(f"{head}_{k}", (1, values * m.anchors, m.grid, m.grid), "float32")
    for head, values in (("class", NUM_CLASSES), ("box", 4))
    for k, m in enumerate(FEATURE_MAPS)
)
