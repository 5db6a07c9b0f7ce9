"""What the harness asks of a device runtime."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

import numpy as np
import numpy.typing as npt

from harness.records import RawOutput, TensorSpec


class Session(Protocol):
    """A model loaded on one device. Used by one thread at a time; the session queue owns it."""

    @property
    def input(self) -> TensorSpec:
        """What `run` takes: (1, 3, H, W), "uint8" or "float32"."""
        ...

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What `run` gives, in order; a quantized output has dtype "int8" or "uint8"."""
        ...

    def run(self, images: npt.NDArray[np.uint8] | npt.NDArray[np.float32]) -> list[RawOutput]:
        """Inference of one image.

        The arrays given back may be the session's own buffers: they hold until the next `run`.
        """
        ...

    def close(self) -> None:
        """Gives the device back. May be called twice."""
        ...

    def __enter__(self) -> Session: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
