"""NaN and infinity in float outputs: a decoder compares with thresholds, so it would take them for "nothing there"."""

from __future__ import annotations

from math import isfinite

import numpy as np

from harness.records import QuantizedTensor, RawOutputs


def check_first(outputs: RawOutputs) -> None:
    """Looks at the first value of every float output, in 2 µs for twelve: a device that gives NaN rarely gives few.

    Raises:
        ValueError: names the output.
    """
    for k, output in enumerate(outputs):
        if not isinstance(output, QuantizedTensor) and not isfinite(output.item(0)):
            raise ValueError(f"output {k} has NaN or infinity in it")


def check_all(outputs: RawOutputs) -> None:
    """Looks at every value.

    Raises:
        ValueError: names the output.
    """
    for k, output in enumerate(outputs):
        if not isinstance(output, QuantizedTensor) and not np.isfinite(output).all():
            raise ValueError(f"output {k} has NaN or infinity in it")
