"""What the harness asks of a device runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from harness.records import RawOutput, TensorSpec


@dataclass(frozen=True)
class SessionRequest:
    """What a session is opened with.

    Attributes:
        model: the file to load; None where the backend needs none.
        device: the backend's own name of the device.
        index: of the session, 0, 1, … over all devices of the run.
        threads: host threads the session may use.
        options: the backend's own; it rejects what it does not know.
        input, outputs: what the harness expects of the model.
        example_outputs: ``(seed, quantized=…, tiled=…, objects=…)`` → made-up raw outputs, for simulated devices.
    """

    model: Path | None
    input: TensorSpec
    outputs: tuple[TensorSpec, ...]
    example_outputs: Callable[..., list[RawOutput]]
    device: str = "cpu"
    threads: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    index: int = 0

    @classmethod
    def of(cls, model: ModelDescription, file: Path | None, **rest: Any) -> SessionRequest:
        """The request for a session of this model.

        Args:
            file: what the session loads; None where the backend needs none.
            rest: device, threads, options, index.
        """
        return cls(file, model.input, model.outputs, model.example_outputs, **rest)


class ModelDescription(Protocol):
    """What a session needs to know of the model; `harness.model.protocol.DetectionModel` is one."""

    @property
    def input(self) -> TensorSpec:
        """The image tensor: (1, 3, H, W)."""
        ...

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The raw outputs in order, as float32."""
        ...

    @property
    def example_outputs(self) -> Callable[..., list[RawOutput]]:
        """See `SessionRequest`."""
        ...


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
