"""ONNX Runtime: any of its execution providers, one image a run, outputs written into buffers that are used again."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as status
from pydantic import Field, PositiveInt

from harness.cpu_quota import usable_cores
from harness.errors import BackendError, ModelError, RunFailed, UsageError, first_line
from harness.output_quantization import METADATA_KEY
from harness.records import RawOutput, TensorSpec
from harness.sessions.closing import Closing
from harness.sessions.onnxruntime_profile import read_profile
from harness.sessions.profile import SessionProfile
from harness.sessions.protocol import Session, SessionRequest
from harness.sessions.tensors import contiguous_image, only_input, output_quantization, raw_outputs
from harness.settings import Section, validate
from harness.suggestions import did_you_mean

SIMULATED = False

# ONNX Runtime's exceptions have no base class of their own.
_ERRORS = tuple(
    getattr(status, name)
    for name in (
        "EPFail",
        "Fail",
        "InvalidArgument",
        "InvalidGraph",
        "InvalidProtobuf",
        "NoModel",
        "NoSuchFile",
        "NotImplemented",
        "RuntimeException",
    )
)
_DTYPES = {"tensor(float)": "float32", "tensor(uint8)": "uint8", "tensor(int8)": "int8"}
_OPTIMISATION_LEVELS = {
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "none": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
}
_EXPORT_HINT = "export the model with batch 1, up to its raw outputs (without boxes, labels, scores)"
_REMOTE_PROVIDERS = ("AzureExecutionProvider",)  # calls a service: no device of this machine


class OnnxRuntimeOptions(Section):
    """What can be set on a session besides its device and threads."""

    graph_optimisation: Literal["all", "extended", "basic", "none"] = "all"
    arena: bool = True
    """Keep freed memory for the next run (CPU)."""
    execution: Literal["sequential", "parallel"] = "sequential"
    """Operators one after the other, or those that do not depend on each other at once."""
    inter_op_threads: PositiveInt = 1
    """Threads of the parallel execution."""
    affinity: str | None = Field(None, pattern=r"^\d+([,-]\d+)*(;\d+([,-]\d+)*)*$")
    """Logical CPUs, counted from 1, of each thread but the first, e.g. ``2;3;4-5`` with 4 threads."""
    profile: Path | None = None
    """Write ``<profile>_<time>.json`` when the session closes, for Chrome's trace viewer."""
    provider_options: dict[str, str] = Field(default_factory=dict)
    """Of the execution provider, as ONNX Runtime documents them."""
    session_config: dict[str, str] = Field(default_factory=dict)
    """ONNX Runtime's session configuration entries, e.g. ``session.intra_op.allow_spinning: "0"``."""


def open_session(request: SessionRequest) -> Session:
    """Loads an ONNX file with one input and fixed shapes.

    Pin the calling thread first: the session's threads inherit its mask. ONNX Runtime sets no affinity of its own
    when the count of threads is given (with 0 it would pin one thread to each core); the calling thread is one of them.

    The device is a name that `devices` gives, with ``:N`` for the N-th of several: ``cpu``, ``cuda:1``.

    Raises:
        UsageError: an unknown option or device, or threads below 1.
        BackendError: a device that this machine or this build of ONNX Runtime does not have.
        ModelError: no model, one that cannot be loaded, or one whose inputs and outputs cannot be used.
    """
    options = validate(OnnxRuntimeOptions, request.options, "backend.options")
    if request.threads < 1:
        raise UsageError(f"threads must be at least 1, not {request.threads}", where="backend.threads")
    provider, provider_options = _provider(request.device, options.provider_options)
    if request.model is None or not request.model.is_file():
        raise ModelError("no such model file", where=str(request.model), hint="check the path")

    profiles: tempfile.TemporaryDirectory[str] | None = None
    if request.profile and options.profile is None:
        profiles = tempfile.TemporaryDirectory(prefix="ssd-harness-profile-")
        options = options.model_copy(update={"profile": Path(profiles.name, "profile")})
    settings = _session_options(options, request.threads)
    try:
        session = ort.InferenceSession(str(request.model), settings, providers=[(provider, provider_options)])
    except (*_ERRORS, ValueError) as error:
        raise ModelError(
            f"ONNX Runtime cannot load it ({first_line(error)})",
            where=str(request.model),
            hint="copy or download it again, with its external data files beside it; `onnx.checker` says more",
        ) from error
    if session.get_providers()[0] != provider:  # it falls back to the CPU and only logs that
        raise BackendError(
            f"{provider} could not be started",
            where=request.device,
            hint="see ONNX Runtime's message above; check its driver",
        )
    return OnnxRuntimeSession(session, str(request.model), profiles)


def default_devices(*, throughput: bool) -> str:
    """A session on each core for throughput: N of one thread give more than one of N threads. One for latency."""
    return f"cpu*{usable_cores()}" if throughput else "cpu"


def devices() -> list[str]:
    """The devices that this build of ONNX Runtime can drive, best first, e.g. ``["cuda", "cpu"]``."""
    return [_short(name) for name in ort.get_available_providers() if name not in _REMOTE_PROVIDERS]


def describe() -> dict[str, object]:
    """Describes the runtime, for the run's manifest and the list of backends."""
    return {"name": "onnxruntime", "version": ort.__version__, "devices": devices()}


class OnnxRuntimeSession(Closing):
    """A loaded model. `run` gives the same arrays each time, with new contents.

    Args:
        session: ONNX Runtime's.
        where: the model file, for errors.
        profiles: where ONNX Runtime writes a profile that nobody but `profile` wants; kept until the end.
    """

    def __init__(
        self, session: ort.InferenceSession, where: str, profiles: tempfile.TemporaryDirectory[str] | None = None
    ) -> None:
        self._session: ort.InferenceSession | None = session
        self._profiles = profiles
        self._profiling = session.get_session_options().enable_profiling
        self._input = only_input([_spec(node, where) for node in session.get_inputs()], where)
        self._outputs = tuple(_spec(node, where) for node in session.get_outputs())
        self._dtype = np.dtype(self._input.dtype)

        buffers = [np.empty(spec.shape, spec.dtype) for spec in self._outputs]
        metadata = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
        quantization = output_quantization(self._outputs, metadata, where)
        self._results: list[RawOutput] = raw_outputs(self._outputs, buffers, quantization)
        self._binding = session.io_binding()
        for spec, buffer in zip(self._outputs, buffers, strict=True):
            self._binding.bind_output(spec.name, "cpu", 0, buffer.dtype, buffer.shape, buffer.ctypes.data)

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
            ValueError: an image of another dtype or shape.
            RunFailed: ONNX Runtime failed.
        """
        if self._session is None:
            raise ValueError("the session is closed")
        image = contiguous_image(images, self._input)
        self._binding.bind_input(self._input.name, "cpu", 0, self._dtype, image.shape, image.ctypes.data)
        try:
            self._session.run_with_iobinding(self._binding)
        except _ERRORS as error:
            raise RunFailed(f"ONNX Runtime failed ({first_line(error)})") from error
        return list(self._results)

    def profile(self) -> SessionProfile:
        """Ends the profile and adds it up.

        Raises:
            ValueError: the session is closed, was not opened with a profile, or gave it before.
            RunFailed: the profile cannot be read.
        """
        if self._session is None or not self._profiling:
            raise ValueError("there is no profile: the session is closed, or none was asked for")
        self._profiling = False
        return read_profile(Path(self._session.end_profiling()), f"ONNX Runtime {ort.__version__}")

    def close(self) -> None:
        """Frees the model and writes the profile, if one was asked for. May be called twice."""
        if self._session is not None and self._profiling:
            self._session.end_profiling()
        self._session = None
        self._binding = None
        if self._profiles is not None:
            self._profiles.cleanup()


def _session_options(options: OnnxRuntimeOptions, threads: int) -> ort.SessionOptions:
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = options.inter_op_threads
    parallel = options.execution == "parallel"
    settings.execution_mode = ort.ExecutionMode.ORT_PARALLEL if parallel else ort.ExecutionMode.ORT_SEQUENTIAL
    settings.graph_optimization_level = _OPTIMISATION_LEVELS[options.graph_optimisation]
    settings.enable_cpu_mem_arena = options.arena
    settings.log_severity_level = 3  # errors; warnings are about optimisations it did not make
    if options.profile is not None:
        settings.enable_profiling = True
        settings.profile_file_prefix = str(options.profile)
    if options.affinity is not None:
        given = options.affinity.count(";") + 1
        if given != threads - 1:  # the first thread is the caller's
            raise UsageError(
                f"affinity names {given} threads; with threads: {threads} it must name {threads - 1}",
                where="backend.options",
                hint="one group of CPUs for each thread but the first, with ; between",
            )
        settings.add_session_config_entry("session.intra_op_thread_affinities", options.affinity)
    for key, value in options.session_config.items():
        settings.add_session_config_entry(key, value)
    return settings


def _provider(device: str, given: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    name, _, index = device.partition(":")
    known = {_short(provider): provider for provider in ort.get_all_providers()}
    if name not in known:
        raise UsageError(
            f"unknown device {device!r}",
            where="onnxruntime",
            hint=did_you_mean(name, known, f"here: {', '.join(devices())}"),
        )
    if name not in devices():
        raise BackendError(
            f"this build of ONNX Runtime has no {known[name]}",
            where=device,
            hint=f"install the onnxruntime package that has it; here: {', '.join(devices())}",
        )
    if index and not index.isdecimal():
        raise UsageError(f"{index!r} is not the number of a device", where=device)
    return known[name], ({"device_id": index} if index and name != "cpu" else {}) | dict(given)


def _spec(node: ort.NodeArg, where: str) -> TensorSpec:
    """The description of an input or output.

    Raises:
        ModelError: a shape that is not fixed, or another type than float32, uint8 and int8.
    """
    if node.type not in _DTYPES:
        raise ModelError(
            f"{node.name} is a {node.type}; float32, uint8 and int8 can be used", where=where, hint=_EXPORT_HINT
        )
    if not all(isinstance(extent, int) for extent in node.shape):
        raise ModelError(f"{node.name} has no fixed shape: {node.shape}", where=where, hint=_EXPORT_HINT)
    return TensorSpec(node.name, tuple(node.shape), _DTYPES[node.type])


def _short(provider: str) -> str:
    return provider.removesuffix("ExecutionProvider").lower()
