"""OpenVINO: its CPU, GPU and NPU devices and what it combines them to; inputs and outputs are shared, not copied."""

from __future__ import annotations

import ctypes
import functools
import os
import re
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import openvino as ov
from pydantic import Field, PositiveInt

from harness.errors import BackendError, ModelError, RunFailed, UsageError
from harness.output_quantization import METADATA_KEY
from harness.records import RawOutput, TensorSpec
from harness.sessions.closing import Closing
from harness.sessions.protocol import Session, SessionRequest
from harness.sessions.tensors import DTYPES, contiguous_image, first_line, only_input, output_quantization, raw_outputs
from harness.settings import Section, validate
from harness.suggestions import did_you_mean

SIMULATED = False

_DEVICES = ("CPU", "GPU", "NPU")
_COMBINING = ("AUTO", "MULTI", "HETERO", "BATCH")  # virtual devices over the others
_METADATA = ["framework", METADATA_KEY]  # where the ONNX reader puts a model's metadata properties


class OpenVinoOptions(Section):
    """What can be set on a session besides its device and threads."""

    hint: Literal["latency", "throughput", "cumulative_throughput"] = "latency"
    """What OpenVINO tunes itself for. A session has one image at a time: throughput comes from several sessions."""
    streams: PositiveInt | None = None
    """Images that the device works on at once; none: what the hint brings."""
    precision: Literal["f32", "bf16", "f16"] | None = None
    """Of what is not INT8; none: the device's own, which is bf16 on a CPU that has it."""
    pinning: bool = False
    """Let OpenVINO pin its threads to cores of its choice; otherwise they keep to those of the session's worker."""
    properties: dict[str, Any] = Field(default_factory=dict)
    """Of the device, by OpenVINO's own names, e.g. ``ENABLE_HYPER_THREADING: false``."""


def open_session(request: SessionRequest) -> Session:
    """Loads a model with one input and fixed shapes: ONNX, or OpenVINO's own format.

    The device is OpenVINO's name for it in either case, with + in the place of a comma, which separates sessions:
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
    properties = _properties(device, options, request.threads)
    if request.model is None or not request.model.is_file():
        raise ModelError("no such model file", where=str(request.model), hint="check the path")
    where = str(request.model)
    try:
        model = _core().read_model(where)
    except RuntimeError as error:
        raise ModelError(
            f"OpenVINO cannot load it ({_reason(error)})",
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
            f"OpenVINO cannot prepare the model for it ({_reason(error)})",
            where=device,
            hint=f"devices here: {', '.join(devices())}; check backend.options.properties",
        ) from error
    buffers = [np.empty(spec.shape, spec.dtype) for spec in outputs]
    return OpenVinoSession(compiled, outputs, buffers, raw_outputs(outputs, buffers, quantization))


def default_devices(*, throughput: bool) -> str:
    """A session on each core for throughput, one for latency."""
    return f"CPU*{len(os.sched_getaffinity(0))}" if throughput else "CPU"


def devices() -> list[str]:
    """The devices of this machine that OpenVINO can drive, e.g. ``["CPU", "GPU.0", "GPU.1"]``."""
    return list(_core().available_devices)


def describe() -> dict[str, object]:
    """For the run's manifest and the list of backends."""
    return {"name": "openvino", "version": ov.get_version(), "devices": devices()}


class OpenVinoSession(Closing):
    """A loaded model. `run` gives the same arrays each time, with new contents."""

    def __init__(
        self,
        compiled: ov.CompiledModel,
        outputs: tuple[TensorSpec, ...],
        buffers: list[npt.NDArray[Any]],
        results: list[RawOutput],
    ) -> None:
        self._input = _spec(compiled.inputs[0], "")
        self._outputs = outputs
        self._results = results
        self._request: ov.InferRequest | None = compiled.create_infer_request()
        for k, buffer in enumerate(buffers):
            self._request.set_output_tensor(k, ov.Tensor(buffer, shared_memory=True))

    @property
    def input(self) -> TensorSpec:
        """What `run` takes."""
        return self._input

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What `run` gives, in order."""
        return self._outputs

    def run(self, images: npt.NDArray[np.uint8] | npt.NDArray[np.float32]) -> list[RawOutput]:
        """Inference of one image; the arrays given back hold until the next run.

        Raises:
            ValueError: an image of another dtype or shape, or the session is closed.
            RunFailed: OpenVINO failed.
        """
        if self._request is None:
            raise ValueError("the session is closed")
        image = contiguous_image(images, self._input)
        self._request.set_input_tensor(ov.Tensor(_writable(image), shared_memory=True))
        try:
            self._request.infer()
        except RuntimeError as error:
            raise RunFailed(f"OpenVINO failed ({_reason(error)})") from error
        return list(self._results)

    def close(self) -> None:
        """Frees the model. May be called twice."""
        self._request = None


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


def _properties(device: str, options: OpenVinoOptions, threads: int) -> dict[str, Any]:
    """What the model is compiled with.

    Raises:
        UsageError: a property that the device does not have; names the nearest.
    """
    properties: dict[str, Any] = {"PERFORMANCE_HINT": options.hint.upper()}
    if options.streams is not None:
        properties["NUM_STREAMS"] = options.streams
    if options.precision is not None:
        properties["INFERENCE_PRECISION_HINT"] = options.precision
    if device == "CPU":
        properties |= {"INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": options.pinning}
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


def _writable(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same memory as an array that may be written, the only kind OpenVINO shares; it never writes an input."""
    if image.flags.writeable:
        return image
    memory = (ctypes.c_ubyte * image.nbytes).from_address(image.ctypes.data)
    return np.ctypeslib.as_array(memory).view(image.dtype).reshape(image.shape)


def _reason(error: Exception) -> str:
    """OpenVINO's message without the places in its sources that come first."""
    lines = str(error).splitlines()
    said = [line for line in lines if line.strip() and not line.startswith(("Exception from ", "Check "))]
    return first_line(RuntimeError(said[0])) if said else first_line(error)
