"""What the harness asks of a device runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from harness.records import RawOutput, TensorSpec

Tensor: TypeAlias = "npt.NDArray[np.uint8] | npt.NDArray[np.float32]"


@dataclass(frozen=True)
class SessionRequest:
    """What a session is opened with.

    Attributes:
        model: the file to load; None where the backend needs none.
        device: the backend's own name of the device.
        index: of the session, 0, 1, … over all devices of the run.
        threads: host threads the session may use.
        options: the backend's own; it rejects what it does not know.
        throughput: samples per second count, and the session may work on several images at once; else one's latency.
        profile: it is to count where an inference's time goes, if it can: `harness.sessions.profile.Profiled`.
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
    throughput: bool = False
    profile: bool = False

    @classmethod
    def of(cls, model: ModelDescription, file: Path | None, **rest: Any) -> SessionRequest:
        """The request for a session of this model.

        Args:
            file: what the session loads; None where the backend needs none.
            rest: device, threads, options, index, throughput, profile.
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
    """A model loaded on one device. Used by one thread at a time; the session queue owns it.

    A session may have an attribute ``new_outputs = True``: the arrays of a run are then never written to again, as long
    as anyone holds them, and are decoded beside the next run. Else they are decoded before it.

    An asynchronous one may have an attribute ``host_idle = True``: the host's processors have nothing to do while its
    device works, so a little time of one may be spent on being fast afterwards.
    """

    @property
    def input(self) -> TensorSpec:
        """What `run` takes: (1, 3, H, W), "uint8" or "float32"."""
        ...

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What `run` gives, in order; a quantized output has dtype "int8" or "uint8"."""
        ...

    def run(self, images: Tensor) -> list[RawOutput]:
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


class Completion(NamedTuple):
    """What became of an image that an asynchronous session was given.

    Attributes:
        tag: as it was submitted.
        outputs: as `Session.run` gives them, or the exception with which the inference failed. The session does not
            write to these arrays again as long as anyone holds them.
        started_ns, ended_ns: when the device began and ended, by the monotonic clock. Where it is not known when it
            began, the moment of `submit`, or the end of the image before it on a device that takes one after the other.
    """

    tag: int
    outputs: list[RawOutput] | Exception
    started_ns: int
    ended_ns: int


class Completions(Protocol):
    """Where asynchronous sessions leave what they have done. Any thread may put, and putting never blocks."""

    def put(self, completion: Completion) -> None:
        """Leaves it there now."""
        ...

    def put_at(self, due_ns: int, completion: Completion) -> None:
        """Leaves it there at that moment of the monotonic clock: so simulated devices need no thread."""
        ...


class AsynchronousSession(Session, Protocol):
    """A session whose device takes its next images while it works: `submit` returns at once, completions follow.

    It is optional: what has only `run` gets a thread of its own. `run` is not called while images are in flight.
    """

    def __enter__(self) -> AsynchronousSession: ...

    @property
    def in_flight(self) -> int:
        """How many images it wants to have at once, so that its device never waits; at least 1."""
        ...

    def submit(self, tag: int, images: Tensor, completions: Completions) -> None:
        """Begins an inference and returns at once.

        Called by one thread at a time, and with fewer than `in_flight` images not yet completed. The image is not
        written to until it is completed. Unless this raises, exactly one completion with this tag follows, sooner or
        later than other images' and from any thread; putting it from inside this call is allowed.

        Raises:
            Exception: the inference could not be begun; no completion follows.
        """
        ...
