"""Non-maximum suppression in NumPy, for the decoders that say what is right; the native one is ``decoder/nms.cpp``."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from harness.records import Nms

Floats = npt.NDArray[np.float32]
_UNION_MARGIN = np.float32(1e-5)  # FuriosaAI's published native postprocessor adds it to the union


def suppress(boxes: Floats, threshold: np.float32, nms: Nms) -> npt.NDArray[np.intp]:
    """Greedy non-maximum suppression over the boxes of one class, all in float32.

    An IoU that is not a number suppresses, as it does in the MLPerf reference.

    Args:
        boxes: (K, 4) left, top, right, bottom, best first; in any unit, to which the union's margin of 1e-5 is added.
        threshold: of the IoU, which two boxes that both stay may have at most.
        nms: "corrected" clamps the overlap at 0, adds the margin and keeps IoU ≤ the threshold; "reference" does none
            of that and keeps IoU < the threshold.

    Returns:
        The indices of the boxes that stay, in order.
    """
    left, top, right, bottom = boxes.T
    alive = np.ones(len(boxes), np.bool_)
    kept = []
    with np.errstate(all="ignore"):
        area = (right - left) * (bottom - top)
        for i in range(len(boxes)):
            if not alive[i]:
                continue
            kept.append(i)
            width = np.minimum(right, right[i]) - np.maximum(left, left[i])
            height = np.minimum(bottom, bottom[i]) - np.maximum(top, top[i])
            if nms == "corrected":
                overlap = np.maximum(width, np.float32(0)) * np.maximum(height, np.float32(0))
                alive &= overlap / (((area + area[i]) - overlap) + _UNION_MARGIN) <= threshold
            else:  # two boxes apart in both directions "overlap": the reference's masked_fill_ works on a copy
                overlap = width * height
                alive &= overlap / ((area + area[i]) - overlap) < threshold
    return np.array(kept, np.intp)
