"""Where the time of an inference goes, as a device or its runtime's own profiler says it.

It is an optional part of a session: what does not know it, or is not asked, pays nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

TRANSFER_IN, COMPUTE, TRANSFER_OUT = "transfer in", "compute", "transfer out"
"""The parts of an inference in their order."""


@dataclass(frozen=True)
class LayerTime:
    """A layer's time, all inferences together.

    Attributes:
        name: in the graph that runs, which the runtime may have fused.
        kind: its operator.
        calls: how often it ran.
        total_ns: nanoseconds in it.
    """

    name: str
    kind: str
    calls: int
    total_ns: int


@dataclass(frozen=True)
class SessionProfile:
    """What a session's profiler counted from its opening on, calibration and warm-up included.

    Attributes:
        source: who counted, e.g. "ONNX Runtime 1.23.2".
        inferences: how many it counted.
        parts_ns: `TRANSFER_IN`, `COMPUTE`, `TRANSFER_OUT` → nanoseconds of all inferences; those that are known.
        layers: in the order in which they run; empty where the device does not say.
    """

    source: str
    inferences: int
    parts_ns: Mapping[str, int] = field(default_factory=dict)
    layers: tuple[LayerTime, ...] = ()


@runtime_checkable
class Profiled(Protocol):
    """What a session also has that was opened with `SessionRequest.profile` and can say where its time goes."""

    def profile(self) -> SessionProfile:
        """What was counted, once: nothing is counted any more. Called before `close`, with no image in flight.

        Raises:
            HarnessError: the profiler failed.
        """
        ...


class LayerTimes:
    """Adds up the times of layers, in the order in which they are first met. Any thread may add."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._layers: dict[tuple[str, str], list[int]] = {}
        self.inferences = 0

    def add(self, name: str, kind: str, ns: int) -> None:
        """One run of a layer."""
        with self._lock:
            counted = self._layers.setdefault((name, kind), [0, 0])
            counted[0] += 1
            counted[1] += ns

    def add_inference(self) -> None:
        """One more inference."""
        with self._lock:
            self.inferences += 1

    def layers(self) -> tuple[LayerTime, ...]:
        """What was added."""
        with self._lock:
            return tuple(LayerTime(name, kind, *counted) for (name, kind), counted in self._layers.items())
