"""OpenVINO's infer requests, kept in flight: outputs are written into arrays that nobody holds any more."""

from __future__ import annotations

import ctypes
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from time import monotonic_ns
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino as ov

from harness.errors import RunFailed, first_line
from harness.output_quantization import Quantization
from harness.records import RawOutput, TensorSpec
from harness.sessions.profile import LayerTimes
from harness.sessions.protocol import Completion, Completions
from harness.sessions.tensors import raw_outputs

LOOK_S = 1.0
"""How often the requests are looked at for a failure, of which OpenVINO's callback is not told."""


class Buffers:
    """The arrays that one inference writes to."""

    def __init__(self, outputs: Sequence[TensorSpec], quantization: Mapping[str, Quantization]) -> None:
        self._outputs, self._quantization = outputs, quantization
        self._arrays: list[npt.NDArray[Any]] = [np.empty(spec.shape, spec.dtype) for spec in outputs]
        self._tensors = [ov.Tensor(array, shared_memory=True) for array in self._arrays]
        self._own_references = self._references()

    def bind(self, request: ov.InferRequest) -> None:
        """The request's next inference writes here."""
        for k, tensor in enumerate(self._tensors):
            request.set_output_tensor(k, tensor)

    def raw(self) -> list[RawOutput]:
        """The arrays as raw outputs."""
        return raw_outputs(self._outputs, self._arrays, self._quantization)

    @property
    def held(self) -> bool:
        """Whether somebody else still has one of the arrays, or a view of it."""
        return self._references() != self._own_references

    def _references(self) -> list[int]:
        return [sys.getrefcount(array) for array in self._arrays]


class _Flight:
    """One infer request and what it is at."""

    def __init__(self, request: ov.InferRequest, done: Callable[[_Flight], None]) -> None:
        self.request = request
        self.tag = 0
        self.image: npt.NDArray[Any] | None = None
        self.buffers: Buffers | None = None
        self.completions: Completions | None = None
        self.started_ns = 0
        request.set_callback(done, self)


class InferRequests:
    """As many infer requests as may be in flight. Used by one thread; completions come from OpenVINO's.

    Args:
        count: how many requests.
        new_buffers: makes the arrays of one inference.
        times: where each inference's layers are added up; None where nobody asked.
    """

    def __init__(
        self,
        compiled: ov.CompiledModel,
        count: int,
        new_buffers: Callable[[], Buffers],
        times: LayerTimes | None = None,
    ) -> None:
        self._compiled = compiled
        self._times = times
        self._new_buffers = new_buffers
        self._flights = [_Flight(compiled.create_infer_request(), self._done) for _ in range(count)]
        self._idle = deque(self._flights)
        self._buffers: deque[Buffers] = deque()
        self._ending = threading.Lock()
        self._closing = threading.Event()
        self._watch = threading.Thread(target=self._find_failures, name="OpenVINO failures", daemon=True)
        self._watch.start()

    def begin(self, tag: int, image: npt.NDArray[Any], completions: Completions) -> None:
        """Begins an inference; there must be a free request."""
        flight = self._idle.popleft()
        flight.request.wait()  # until its last callback has returned: another one would be lost
        buffers = self._free_buffers()
        buffers.bind(flight.request)
        flight.request.set_input_tensor(ov.Tensor(writable(image), shared_memory=True))
        flight.tag, flight.image, flight.buffers, flight.completions = tag, image, buffers, completions
        flight.started_ns = monotonic_ns()
        flight.request.start_async()

    def close(self) -> None:
        """Waits for the requests in flight."""
        self._closing.set()
        for flight in self._flights:
            try:
                flight.request.wait()
            except RuntimeError:
                continue  # it failed, which its completion has said
        self._watch.join()

    def _free_buffers(self) -> Buffers:
        for _ in range(len(self._buffers)):
            buffers = self._buffers.popleft()
            self._buffers.append(buffers)
            if not buffers.held and all(flight.buffers is not buffers for flight in self._flights):
                return buffers
        self._buffers.append(self._new_buffers())
        return self._buffers[-1]

    def _done(self, flight: _Flight) -> None:
        self._complete(flight, None)

    def _complete(self, flight: _Flight, error: Exception | None) -> None:
        ended_ns = monotonic_ns()
        with self._ending:
            completions, buffers = flight.completions, flight.buffers
            flight.completions = flight.buffers = flight.image = None
        if completions is None or buffers is None:
            return  # completed already
        outputs = buffers.raw() if error is None else error
        if self._times is not None and error is None:
            add_profile(self._times, flight.request)
        completion = Completion(flight.tag, outputs, flight.started_ns, ended_ns)
        if error is not None:
            flight.request = self._compiled.create_infer_request()
            flight.request.set_callback(self._done, flight)
        self._idle.append(flight)
        completions.put(completion)

    def _find_failures(self) -> None:
        while not self._closing.wait(LOOK_S):
            for flight in self._flights:
                if flight.completions is not None:
                    try:
                        flight.request.wait_for(0)
                    except RuntimeError as error:
                        self._complete(flight, RunFailed(f"OpenVINO failed ({reason(error)})"))


def add_profile(times: LayerTimes, request: ov.InferRequest) -> None:
    """Adds what OpenVINO counted of a request's last inference: the layers that ran."""
    times.add_inference()
    for layer in request.profiling_info:
        if layer.status == ov.ProfilingInfo.Status.EXECUTED:
            times.add(layer.node_name, layer.node_type, round(layer.real_time.total_seconds() * 1e9))


def writable(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same memory as an array that may be written, the only kind OpenVINO shares; it never writes an input."""
    if image.flags.writeable:
        return image
    memory = (ctypes.c_ubyte * image.nbytes).from_address(image.ctypes.data)
    return np.ctypeslib.as_array(memory).view(image.dtype).reshape(image.shape)


def reason(error: Exception) -> str:
    """OpenVINO's message without the places in its sources that come first."""
    lines = str(error).splitlines()
    found = [line for line in lines if line.strip() and not line.startswith(("Exception from ", "Check "))]
    return first_line(RuntimeError(found[0])) if found else first_line(error)
