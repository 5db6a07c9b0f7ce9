"""OpenVINO: its CPU, GPU and NPU devices and what it combines them to; inputs and outputs are shared, not copied."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import openvino as ov
from pydantic import Field, PositiveInt

from harness.errors import BackendError, ModelError, RunFailed, UsageError
from harness.output_quantization import METADATA_KEY, Quantization
from harness.records import RawOutput, TensorSpec
from harness.sessions.closing import Closing
from harness.sessions.infer_requests import Buffers, InferRequests, add_profile, reason, writable
from harness.sessions.profile import COMPUTE, LayerTimes, SessionProfile
from harness.sessions.protocol import Completions, Session, SessionRequest, Tensor
from harness.sessions.tensors import DTYPES, contiguous_image, only_input, output_quantization
from harness.settings import Section, validate
from harness.suggestions import did_you_mean

SIMULATED = False

_DEVICES = ("CPU", "GPU", "NPU")
_COMBINING = ("AUTO", "MULTI", "HETERO", "BATCH")  # virtual devices over the others
_METADATA = ["framework", METADATA_KEY]  # where the ONNX reader puts a model's metadata properties


class OpenVinoOptions(Section):
    """What can be set on a session besides its device and threads.

    What is left out is chosen as OpenVINO's benchmark_app chooses it in its throughput or latency mode.
    """

    hint: Literal["latency", "throughput", "cumulative_throughput"] | None = None
    """What OpenVINO tunes itself for; none: latency in SingleStream, else throughput."""
    streams: PositiveInt | None = None
    """Images that the device works on at once; none: what the hint brings."""
    in_flight: PositiveInt | None = None
    """Infer requests, so images that the session is given at once; none: as many as OpenVINO calls optimal."""
    precision: Literal["f32", "bf16", "f16"] | None = None
    """Of what is not INT8; none: the device's own, which is bf16 on a CPU that has it."""
    pinning: bool | None = None
    """Whether OpenVINO pins its threads to cores of its choice; none: its own choice where the session has all cores,
    else not: the threads of several sessions keep to those of their session."""
    properties: dict[str, Any] = Field(default_factory=dict)
    """Of the device, by OpenVINO's own names, e.g. ``ENABLE_HYPER_THREADING: false``."""


def open_session(request: SessionRequest) -> Session:
    """Loads a model with one input and fixed shapes: ONNX, or OpenVINO's own format.

    The device has OpenVINO's own name in either case, with + in the place of a comma, which separates sessions:
    ``cpu``, ``GPU.1``, ``MULTI:GPU+CPU``.

    Raises:
        UsageError: an unknown option, property or device, or threads below 1.
        BackendError: a device that this machine does not have.
        ModelError: no model, one that cannot be loaded, or one whose inputs and outputs cannot be used.
    """
    options = validate(OpenVinoOptions, request.options, "backend.options")
    if request.threads < 1:
        raise UsageError(f"threads must be at least 1, not {request.threads}", where="backend.threads")
    device = _device(request.device)
    properties = _properties(device, options, request)
    if request.model is None or not request.model.is_file():
        raise ModelError("no such model file", where=str(request.model), hint="check the path")
    where = str(request.model)
    try:
        model = _core().read_model(where)
    except RuntimeError as error:
        raise ModelError(
            f"OpenVINO cannot load it ({reason(error)})",
            where=where,
            hint="copy or download it again, with its external data files beside it",
        ) from error
    only_input([_spec(port, where) for port in model.inputs], where)
    outputs = tuple(_spec(port, where) for port in model.outputs)
    metadata = model.get_rt_info(_METADATA).astype(str) if model.has_rt_info(_METADATA) else None
    quantization = output_quantization(outputs, metadata, where)
    try:
        compiled = _core().compile_model(model, device, properties)
    except RuntimeError as error:
        raise BackendError(
            f"OpenVINO cannot prepare the model for it ({reason(error)})",
            where=device,
            hint=f"devices here: {', '.join(devices())}; check backend.options.properties",
        ) from error
    in_flight = options.in_flight or int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
    return OpenVinoSession(compiled, outputs, quantization, in_flight, LayerTimes() if request.profile else None)


def default_devices(*, throughput: bool) -> str:
    """One session with all cores: for throughput it works on several images at once."""
    return "CPU"


def devices() -> list[str]:
    """The devices of this machine that OpenVINO can drive, e.g. ``["CPU", "GPU.0", "GPU.1"]``."""
    return list(_core().available_devices)


def describe() -> dict[str, object]:
    """Describes the runtime, for the run's manifest and the list of backends."""
    return {"name": "openvino", "version": ov.get_version(), "devices": devices()}


class OpenVinoSession(Closing):
    """A loaded model. `run` gives the same arrays each time, with new contents; `submit` uses no array that is held."""

    def __init__(
        self,
        compiled: ov.CompiledModel,
        outputs: tuple[TensorSpec, ...],
        quantization: Mapping[str, Quantization],
        in_flight: int,
        times: LayerTimes | None = None,
    ) -> None:
        self._times = times
        self._input = _spec(compiled.inputs[0], "")
        self._outputs = outputs
        self._compiled: ov.CompiledModel | None = compiled
        self._new_buffers = functools.partial(Buffers, outputs, quantization)
        self._at_once = in_flight
        self._blocking: tuple[ov.InferRequest, Buffers] | None = None
        self._requests: InferRequests | None = None

    @property
    def input(self) -> TensorSpec:
        """What `run` takes."""
        return self._input

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What `run` gives, in order."""
        return self._outputs

    @property
    def in_flight(self) -> int:
        """How many infer requests there are."""
        return self._at_once

    def run(self, images: npt.NDArray[np.uint8] | npt.NDArray[np.float32]) -> list[RawOutput]:
        """Inference of one image; the arrays given back hold until the next run.

        Raises:
            ValueError: an image of another dtype or shape, or the session is closed.
            RunFailed: OpenVINO failed.
        """
        if self._compiled is None:
            raise ValueError("the session is closed")
        image = contiguous_image(images, self._input)
        if self._blocking is None:
            self._blocking = self._compiled.create_infer_request(), self._new_buffers()
            self._blocking[1].bind(self._blocking[0])
        request, buffers = self._blocking
        request.set_input_tensor(ov.Tensor(writable(image), shared_memory=True))
        try:
            request.infer()
        except RuntimeError as error:
            raise RunFailed(f"OpenVINO failed ({reason(error)})") from error
        if self._times is not None:
            add_profile(self._times, request)
        return buffers.raw()

    def submit(self, tag: int, images: Tensor, completions: Completions) -> None:
        """Begins an inference on a free infer request.

        Raises:
            ValueError: an image of another dtype or shape, or the session is closed.
        """
        if self._compiled is None:
            raise ValueError("the session is closed")
        if self._requests is None:
            self._requests = InferRequests(self._compiled, self._at_once, self._new_buffers, self._times)
        self._requests.begin(tag, contiguous_image(images, self._input), completions)

    def profile(self) -> SessionProfile:
        """What OpenVINO's performance counters said of each inference.

        Raises:
            ValueError: the session was not opened with a profile.
        """
        if self._times is None:
            raise ValueError("there is no profile: none was asked for")
        layers = self._times.layers()
        parts = {COMPUTE: sum(layer.total_ns for layer in layers)}
        return SessionProfile(f"OpenVINO {ov.get_version()}", self._times.inferences, parts, layers)

    def close(self) -> None:
        """Waits for what is in flight, and frees the model. May be called twice."""
        if self._requests is not None:
            self._requests.close()
        self._compiled = self._blocking = self._requests = None


@functools.cache
def _core() -> ov.Core:
    """One for the process: it holds the devices' drivers."""
    return ov.Core()


def _device(given: str) -> str:
    """OpenVINO's name of the device, when it and all that it combines are here."""
    name = given.replace("+", ",").upper()
    first, _, rest = name.partition(":")
    if first in _COMBINING:
        # a part may have its count of requests in parentheses: MULTI:CPU(4),GPU(8)
        parts = [re.sub(r"\(\d+\)$", "", part).removeprefix("-") for part in rest.split(",") if part]
    else:
        parts = [name]
    here = devices()
    known = [*_DEVICES, *_COMBINING]
    for part in parts:
        kind = part.split(".")[0]
        if part in here or kind in here or any(part == device.split(".")[0] for device in here):
            continue
        if kind not in known:
            raise UsageError(
                f"unknown device {given!r}",
                where="openvino",
                hint=did_you_mean(kind, known, f"here: {', '.join(here)}"),
            )
        raise BackendError(
            f"this machine has no {part} that OpenVINO can drive", where=given, hint=f"here: {', '.join(here)}"
        )
    return name


def _properties(device: str, options: OpenVinoOptions, request: SessionRequest) -> dict[str, Any]:
    """What the model is compiled with.

    Raises:
        UsageError: a property that the device does not have; names the nearest.
    """
    tuned_for = options.hint or ("throughput" if request.throughput else "latency")
    properties: dict[str, Any] = {"PERFORMANCE_HINT": tuned_for.upper()}
    if request.profile:
        properties["PERF_COUNT"] = True
    if options.streams is not None:
        properties["NUM_STREAMS"] = options.streams
    if options.precision is not None:
        properties["INFERENCE_PRECISION_HINT"] = options.precision
    # the process's main thread is pinned only where there is one session, which then has all cores
    has_all_cores = request.threads == len(os.sched_getaffinity(os.getpid()))  # none that a quota limits
    if device == "CPU" and not has_all_cores:
        properties |= {"INFERENCE_NUM_THREADS": request.threads, "ENABLE_CPU_PINNING": False}
    if device == "CPU" and options.pinning is not None:
        properties["ENABLE_CPU_PINNING"] = options.pinning
    if ":" not in device:
        supported = list(_core().get_property(device, "SUPPORTED_PROPERTIES"))
        for name in options.properties:
            if name not in supported:
                hint = did_you_mean(name, supported)
                raise UsageError(f"{device} has no property {name!r}", where="backend.options.properties", hint=hint)
    return properties | options.properties


def _spec(port: Any, where: str) -> TensorSpec:
    """The description of an input or output.

    Raises:
        ModelError: a shape that is not fixed, or another type than float32, uint8 and int8.
    """
    name = port.any_name if port.names else port.node.friendly_name
    if port.partial_shape.is_dynamic:
        raise ModelError(
            f"{name} has no fixed shape: {port.partial_shape}",
            where=where,
            hint="export the model with batch 1, up to its raw outputs (without boxes, labels, scores)",
        )
    dtype = str(port.element_type.to_dtype())
    if dtype not in DTYPES:
        raise ModelError(f"{name} is {dtype}; float32, uint8 and int8 can be used", where=where)
    return TensorSpec(name, tuple(port.shape), dtype)
