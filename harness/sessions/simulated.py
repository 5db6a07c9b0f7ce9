"""A device that is not there: it takes as long as a device would and gives canned or recorded outputs.

Driven asynchronously, an inference is a moment at which it is done, and no thread sleeps for it; only ``run`` waits.
For wiring, tests and measuring the harness itself. Nothing that ran on it can be submitted. Everything about it is
drawn from ``seed`` and the session's index: the same configuration gives the same device.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from harness.errors import UsageError
from harness.records import Detections, QuantizedTensor, RawOutput, TensorSpec
from harness.sessions.closing import Closing
from harness.sessions.known_objects import KnownObjects
from harness.sessions.profile import COMPUTE, TRANSFER_IN, TRANSFER_OUT, SessionProfile
from harness.sessions.protocol import Completion, Completions, SessionRequest, Tensor
from harness.sessions.recorded import IN_MEMORY, RecordedOutputs, recorded_latencies_s
from harness.sessions.tensors import contiguous_image
from harness.settings import Section, validate

SIMULATED = True
DRAWN = 4096  # latencies of a device before they repeat
LONG_SLEEP_LATE_NS = 150_000  # a processor that idled for milliseconds wakes a thread so late
SHORT_SLEEP_LATE_NS = 20_000


class Fault(Section):
    """What goes wrong, on which device, and when. Runs are counted from 1 and include calibration and warm-up."""

    kind: Literal["error", "hang", "slow", "nan", "death"]
    """error: that run fails; death: that and every later one fails; hang: that run never ends; slow: from then on each
    run takes ``factor`` times as long; nan: from then on float outputs are NaN."""
    at: int = Field(1, ge=1)
    device: int | None = Field(None, ge=0)
    """The index of the session that has the fault; none: every session has it."""
    factor: float = Field(10, gt=0)


class SimulatedOptions(Section):
    """The options of a simulated device."""

    latency_ms: float = Field(12.5, ge=0)
    """How long one inference takes; the mean where ``latency_std_ms`` is given."""
    latency_std_ms: float = Field(0, ge=0)
    """Above 0: normally distributed, never below 0."""
    replay_latency: Path | None = None
    """A recorded run's ``samples.csv.gz``: its inference times, in its order, instead of ``latency_ms``."""
    transfer_ms: float = Field(0, ge=0)
    """Added to every inference: input and outputs on their way."""
    quantized: bool = True
    """int8 outputs as an NPU gives them, or float32."""
    layout: Literal["nchw", "npu"] = "nchw"
    """Of int8 outputs: plain, or tiled and padded as in an NPU's memory."""
    replay_outputs: Path | None = None
    """A folder made by ``ssd-harness prepare outputs``: each image gets what a real model gave for it."""
    objects: Path | None = None
    """A file made by ``ssd-harness prepare outputs --ground-truth``: in each image its objects are found."""
    fault: Fault | None = None
    in_flight: int = Field(2, ge=1)
    """Images it is given at once: it works on one, and the others wait on the device."""
    seed: int = Field(0, ge=0)
    """Of the canned outputs and the drawn latencies."""

    @model_validator(mode="after")
    def _fit_together(self) -> SimulatedOptions:
        if self.layout == "npu" and not self.quantized:
            raise ValueError("layout npu is one of int8 outputs: leave quantized as it is")
        if self.fault is not None and self.fault.kind == "nan" and self.quantized:
            raise ValueError("int8 has no NaN: a nan fault needs quantized: false")
        if self.objects is not None and self.replay_outputs is not None:
            raise ValueError("replay_outputs and objects both say what is found: give one of them")
        return self


class SimulatedSession(Closing):
    """One simulated device: it takes one image after the other. Implements `AsynchronousSession`."""

    new_outputs = True  # nobody writes to them
    host_idle = True

    def __init__(self, request: SessionRequest) -> None:
        options = validate(SimulatedOptions, request.options, "backend.options")
        self._latencies_ns = _latencies_ns(options, request.index)
        self._transfer_ns = round(options.transfer_ms * 1e6)
        self._counted: list[int] | None = [] if request.profile else None
        if self._counted is not None:
            self._latencies_ns = _counting(self._latencies_ns, self._counted)
        self.in_flight = options.in_flight
        self._free_ns = 0
        fault = options.fault
        self._fault = fault if fault is not None and fault.device in (None, request.index) else None
        self._runs = 0
        self._closed = False
        self._outputs = _canned(request.example_outputs, options)
        self._of_image: Callable[[npt.NDArray[Any]], list[RawOutput]] | None = None
        shown = self._outputs
        if options.replay_outputs is not None:
            recorded = RecordedOutputs(options.replay_outputs)
            self._of_image, shown = recorded.find, recorded.any()
        elif options.objects is not None:
            self._of_image = _planted(request.example_outputs, options)
        if len(shown) != len(request.outputs):
            raise UsageError(f"{len(shown)} recorded outputs; the model has {len(request.outputs)}", where="backend")
        self.input = request.input
        self.outputs = tuple(
            TensorSpec(spec.name, spec.shape, str(raw.data.dtype if isinstance(raw, QuantizedTensor) else raw.dtype))
            for spec, raw in zip(request.outputs, shown, strict=True)
        )

    def run(self, images: Tensor) -> list[RawOutput]:
        """The outputs, after the device's time.

        Raises:
            ValueError: the image is not what the model takes, or the session is closed.
            RuntimeError: the device fails, as its fault says.
        """
        began = time.monotonic_ns()
        latency_ns = self._latency_ns()
        if latency_ns is None:
            threading.Event().wait()
            return []
        # finding the outputs is part of the device's time, not beside it
        outputs = self._outputs_for(images)
        if latency_ns:
            _wait_until(began + latency_ns)
        return outputs

    def submit(self, tag: int, images: Tensor, completions: Completions) -> None:
        """Begins when the image before it is done; no thread waits for the device's time to pass.

        Raises:
            ValueError: the image is not what the model takes, or the session is closed.
        """
        started_ns, free_ns = time.monotonic_ns(), self._free_ns
        if started_ns < free_ns:
            started_ns = free_ns
        outputs: list[RawOutput] | Exception
        try:
            latency_ns = self._latency_ns()
            outputs = self._outputs_for(images)
        except RuntimeError as error:
            latency_ns, outputs = 0, error
        if latency_ns is not None:
            self._free_ns = free_ns = started_ns + latency_ns
            completions.put_at(free_ns, Completion(tag, outputs, started_ns, free_ns))

    def profile(self) -> SessionProfile:
        """What its runs were made to take; half of a transfer is said to be each way.

        Raises:
            ValueError: the session was not opened with a profile.
        """
        if self._counted is None:
            raise ValueError("there is no profile: none was asked for")
        runs = len(self._counted)
        each_way = self._transfer_ns * runs // 2
        parts = {TRANSFER_IN: each_way, COMPUTE: sum(self._counted) - 2 * each_way, TRANSFER_OUT: each_way}
        return SessionProfile(
            "a SIMULATED device", runs, {name: ns for name, ns in parts.items() if ns or name == COMPUTE}
        )

    def _outputs_for(self, images: Tensor) -> list[RawOutput]:
        images = contiguous_image(images, self.input)
        return self._outputs if self._of_image is None else self._of_image(images)

    def _latency_ns(self) -> int | None:
        """What this run takes; None: for ever.

        Raises:
            RuntimeError: the device fails, as its fault says.
        """
        if self._closed:
            raise ValueError("the session is closed")
        latency_ns = next(self._latencies_ns)
        fault = self._fault
        if fault is None:
            return latency_ns
        self._runs += 1
        if self._runs < fault.at:
            return latency_ns
        if fault.kind == "death" or (fault.kind == "error" and self._runs == fault.at):
            raise RuntimeError("device lost" if fault.kind == "death" else "inference failed")
        if fault.kind == "hang":
            return None
        if fault.kind == "nan":
            self._outputs = [np.full(spec.shape, np.nan, np.float32) for spec in self.outputs]
        return int(latency_ns * fault.factor) if fault.kind == "slow" else latency_ns

    def close(self) -> None:
        """Gives the device back. May be called twice."""
        self._closed = True


def _canned(example_outputs: Callable[..., list[RawOutput]], options: SimulatedOptions) -> list[RawOutput]:
    """Hundreds of devices share one set of outputs, which nobody writes to."""
    with _making:
        return _make(example_outputs, options.seed, options.quantized, options.layout == "npu")


_making = threading.Lock()


@functools.lru_cache(2)
def _make(example_outputs: Callable[..., list[RawOutput]], seed: int, quantized: bool, tiled: bool) -> list[RawOutput]:
    return example_outputs(seed, quantized=quantized, **({"tiled": True} if tiled else {}))


def _planted(
    example_outputs: Callable[..., list[RawOutput]], options: SimulatedOptions
) -> Callable[[npt.NDArray[Any]], list[RawOutput]]:
    """Image → the outputs in which its objects are found."""
    known, tiled = KnownObjects(cast(Path, options.objects)), options.layout == "npu"
    return lambda images: _plant(example_outputs, known.find(images), options.quantized, tiled)


@functools.lru_cache(IN_MEMORY)
def _plant(
    example_outputs: Callable[..., list[RawOutput]], objects: Detections, quantized: bool, tiled: bool
) -> list[RawOutput]:
    return example_outputs(0, quantized=quantized, tiled=tiled, objects=objects)


def _latencies_ns(options: SimulatedOptions, index: int) -> Iterator[int]:
    """The nanoseconds of one run after the other, without end."""
    drawn_s = [options.latency_ms / 1e3]
    if options.replay_latency is not None:
        recorded_s = recorded_latencies_s(options.replay_latency)
        # devices that replay in step would all be slow at once
        start = int(np.random.default_rng((options.seed, index)).integers(len(recorded_s)))
        drawn_s = np.roll(recorded_s, -start).tolist()
    elif options.latency_std_ms:
        rng = np.random.default_rng((options.seed, index))
        drawn_ms = rng.normal(options.latency_ms, options.latency_std_ms, DRAWN).clip(min=0)
        drawn_s = (drawn_ms / 1e3).tolist()
    return cycle([round((seconds + options.transfer_ms / 1e3) * 1e9) for seconds in drawn_s])


def _counting(latencies_ns: Iterator[int], counted: list[int]) -> Iterator[int]:
    for latency_ns in latencies_ns:
        counted.append(latency_ns)
        yield latency_ns


def _wait_until(moment_ns: int) -> None:
    """Never earlier, and little later; without the GIL where the extension was built."""
    try:
        from harness.native import _pipeline
    except ImportError:
        while (left_ns := moment_ns - time.monotonic_ns()) > 0:
            time.sleep(max(left_ns - SHORT_SLEEP_LATE_NS, 0) / 1e9)
        return
    _pipeline.wait_until(moment_ns, LONG_SLEEP_LATE_NS, SHORT_SLEEP_LATE_NS)


def open_session(request: SessionRequest) -> SimulatedSession:
    """A simulated device; needs no model.

    Raises:
        UsageError: an unknown option, or options that do not fit together.
        DataError: a recording that cannot be read.
    """
    return SimulatedSession(request)


def default_devices(*, throughput: bool) -> str:
    """Two for throughput, one for latency."""
    return "simulated*2" if throughput else "simulated"


def describe() -> dict[str, object]:
    """It is not a real one."""
    return {"name": "simulated", "version": None, "real": False}
