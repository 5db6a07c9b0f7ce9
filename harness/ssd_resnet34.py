"""``from harness import SSDResNet34``: the model object together with a session to run it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from harness.cpu_quota import usable_cores
from harness.errors import UsageError
from harness.model.io_check import check_model
from harness.model.ssd_resnet34.model import SSDResNet34Model
from harness.records import QuantizedTensor, RawOutput
from harness.sessions import Session, SessionRequest, open_session
from harness.sessions.closing import Closing

_LOGGER = logging.getLogger(__name__)


class SSDResNet34(SSDResNet34Model):
    """SSD-ResNet34: preprocess, run, postprocess."""

    def session(
        self,
        file: str | os.PathLike[str] | None = None,
        *,
        precision: Literal["int8", "float32"] = "int8",
        backend: str = "onnxruntime",
        device: str = "cpu",
        threads: int | None = None,
        options: Mapping[str, Any] | None = None,
        report: Callable[[str], None] = _LOGGER.info,
    ) -> BatchSession:
        """Loads the model on a device.

        Args:
            file: the model; none: the default one, built into the user's cache the first time (about ten seconds).
            precision: of the default model. "int8" takes uint8 images, "float32" those of ``with_scaling=True``.
            backend: its name, as for ``ssd-harness run --backend``.
            device: the backend's own name of it.
            threads: none: as many as there are cores.
            options: the backend's own.
            report: told of slow steps.

        Raises:
            UsageError: an unknown backend, device or option.
            ModelError: a file that is not this model, or cannot be loaded.
            BackendError: a runtime or device that cannot be used here.
        """
        path = Path(file) if file is not None else self.default_file(precision, report)
        request = SessionRequest.of(
            self,
            path,
            device=device,
            threads=threads or usable_cores(),
            options=options or {},
        )
        session = open_session(backend, request)
        try:
            check_model(session.input, session.outputs, self.input, self.outputs, where=str(path))
        except BaseException:
            session.close()
            raise
        return BatchSession(session)


class BatchSession(Closing):
    """Runs any number of images through a session, one after the other, and gives arrays that are the caller's own."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def run(self, images: npt.NDArray[np.uint8] | npt.NDArray[np.float32]) -> list[RawOutput]:
        """The raw outputs of N images.

        Args:
            images: (N, 3, 1200, 1200) of the type that the model takes.

        Returns:
            the outputs of the table, each (N, C, H, W): float32, or quantized.

        Raises:
            UsageError: images of another shape or type.
        """
        expected = self.session.input
        if images.ndim != 4 or not len(images) or images.shape[1:] != expected.shape[1:]:
            raise UsageError(f"images must be (N, {str(expected.shape[1:])[1:]}, not {images.shape}")
        if images.dtype != expected.dtype:
            raise UsageError(
                f"this model takes {expected.dtype} images, not {images.dtype}",
                hint=f"preprocess(images, with_scaling={expected.dtype == 'float32'})",
            )
        batches: list[npt.NDArray[Any]] = [np.empty((len(images), *s.shape[1:]), s.dtype) for s in self.session.outputs]
        results: list[RawOutput] = []
        for k in range(len(images)):
            results = self.session.run(images[k : k + 1])
            for batch, result in zip(batches, results, strict=True):
                batch[k] = (result.data if isinstance(result, QuantizedTensor) else result)[0]
        return [
            QuantizedTensor(batch, result.scale, result.zero_point) if isinstance(result, QuantizedTensor) else batch
            for batch, result in zip(batches, results, strict=True)
        ]

    def close(self) -> None:
        """Gives the device back. May be called twice."""
        self.session.close()
