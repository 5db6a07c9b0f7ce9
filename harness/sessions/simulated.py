"""A device that is not there: it sleeps for as long as a device would work and gives canned outputs.

For wiring, tests and measuring the harness itself. Nothing that ran on it can be submitted.
"""

from __future__ import annotations

import time
from types import TracebackType

import numpy as np
import numpy.typing as npt
from pydantic import Field

from harness.records import QuantizedTensor, RawOutput, TensorSpec
from harness.sessions.protocol import SessionRequest
from harness.settings import Section, validate

SIMULATED = True


class Options(Section):
    """Of a simulated device."""

    latency_ms: float = Field(12.5, ge=0)
    """How long one inference takes."""
    quantized: bool = True
    """int8 outputs as an NPU gives them, or float32."""
    seed: int = 0
    """Of the canned outputs."""


class SimulatedSession:
    """One simulated device."""

    def __init__(self, request: SessionRequest) -> None:
        options = validate(Options, request.options, "backend.options")
        self._latency_s = options.latency_ms / 1e3
        self._outputs = request.example_outputs(options.seed, quantized=options.quantized)
        self.input = request.input
        self.outputs = tuple(
            TensorSpec(spec.name, spec.shape, str(raw.data.dtype if isinstance(raw, QuantizedTensor) else raw.dtype))
            for spec, raw in zip(request.outputs, self._outputs, strict=True)
        )

    def run(self, images: npt.NDArray[np.uint8] | npt.NDArray[np.float32]) -> list[RawOutput]:
        """The canned outputs, after the device's time."""
        if self._latency_s:
            time.sleep(self._latency_s)
        return self._outputs

    def close(self) -> None:
        """Nothing to give back."""

    def __enter__(self) -> SimulatedSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_session(request: SessionRequest) -> SimulatedSession:
    """A simulated device; needs no model."""
    return SimulatedSession(request)


def default_devices(*, throughput: bool) -> str:
    """Two for throughput, one for latency."""
    return "simulated*2" if throughput else "simulated"


def describe() -> dict[str, object]:
    """It is not a real one."""
    return {"name": "simulated", "version": None, "real": False}
