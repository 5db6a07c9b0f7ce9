"""FuriosaAI NPUs (Warboy) through furiosa-runtime 0.10: ENF models, and DFG and ONNX ones, which it compiles."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import Field, PositiveInt

from harness.errors import BackendError, HarnessError, ModelError, RunFailed, UsageError, first_line
from harness.output_quantization import METADATA_KEY, Quantization
from harness.records import RawOutput, TensorSpec
from harness.sessions.closing import Closing
from harness.sessions.npu_queue import Arrays, NpuQueue
from harness.sessions.protocol import Completion, Completions, Session, SessionRequest, Tensor
from harness.sessions.tensors import (
    DTYPES,
    chosen_quantization,
    contiguous_image,
    only_input,
    output_quantization,
    raw_outputs,
)
from harness.settings import Positive, Section, validate

try:
    from furiosa import runtime
    from furiosa.runtime import sync
except RuntimeError as _error:  # what the package raises, instead of an ImportError, when libfuriosa_hal.so is missing
    raise BackendError(
        f"furiosa-runtime is installed, and the NPU's driver is not ({first_line(_error)})",
        where="backend furiosa",
        hint="install FuriosaAI's driver and its library furiosa-libhal-warboy; `furiosactl info` lists the NPUs",
    ) from _error

SIMULATED = False
LEAST_IN_FLIGHT = 4
"""The submission of FuriosaAI to v2.0 gave a Warboy four images at once."""

_DEVICE_FOLDER = Path("/dev")
_ENVIRONMENT = ("FURIOSA_DEVICES", "NPU_DEVNAME")
"""What the runtime takes its device from when it is given none; the first one counts."""


class OutputQuantization(Section):
    """real value = scale · (integer − zero_point)."""

    scale: Positive
    zero_point: int


class FuriosaOptions(Section):
    """What can be set on a session besides its device."""

    api: Literal["runner", "queue"] | None = None
    """The runtime's blocking call, or its queue, which is kept full and can give up waiting; none: the blocking call in
    SingleStream, else the queue."""
    in_flight: PositiveInt | None = None
    """Images that the queue is given at once; none: two a worker, and at least four."""
    timeout_s: Positive = 60
    """How long an image may be in the queue before it has failed."""
    workers: PositiveInt | None = None
    """Of the runtime, for this session; none: the runtime's own choice."""
    compiler_config: dict[str, Any] | None = None
    """For ONNX and DFG models, as the furiosa compiler documents it."""
    output_quantization: dict[str, OutputQuantization] = Field(default_factory=dict)
    """Of the integer outputs, by name: the runtime describes their type, and not their scale and zero-point."""


def open_session(request: SessionRequest) -> Session:
    """Loads an ENF, DFG or ONNX model with one input and fixed shapes.

    The device is the runtime's own name, with + in the place of a comma, which separates sessions: ``npu:0:0-1``,
    ``npu:0:0+npu:0:1``, or a kind as ``warboy(2)``: any Warboy with two fused processing elements that is free.

    Raises:
        UsageError: an unknown option, or a device that cannot be read.
        BackendError: a device that is not there or busy.
        ModelError: no model, one that cannot be loaded, or one whose inputs and outputs cannot be used.
    """
    options = validate(FuriosaOptions, request.options, "backend.options")
    if request.model is None or not request.model.is_file():
        raise ModelError("no such model file", where=str(request.model), hint="check the path")
    device = device_string(request.device)
    keywords: dict[str, Any] = {
        "device": device,
        "worker_num": options.workers,
        "compiler_config": options.compiler_config,
    }
    queued = request.throughput if options.api is None else options.api == "queue"
    in_flight = options.in_flight or max(LEAST_IN_FLIGHT, 2 * (options.workers or 1))
    engine: _Runner | NpuQueue
    try:
        if queued:
            sizes = {"input_queue_size": in_flight, "output_queue_size": in_flight}
            submitter, receiver = sync.create_queue(str(request.model), **keywords, **sizes)
            engine = NpuQueue(submitter, receiver, sync.FuriosaRuntimeError, options.timeout_s)
        else:
            engine = _Runner(str(request.model), keywords)
    except sync.FuriosaRuntimeError as error:
        raise _opening_failed(error, device, request.model) from error
    try:
        if isinstance(engine, NpuQueue):
            return QueuedFuriosaSession(engine, options, request.model, in_flight)
        return FuriosaSession(engine, options, request.model)
    except HarnessError:
        engine.close()
        raise


def device_string(device: str) -> str:
    """The runtime's name of one session's device: a kind without a count is one of it, ``warboy(2)*1``."""
    return ",".join(re.sub(r"^(\w+\(\d+\)|warboy)$", r"\1*1", part) for part in device.split("+"))


def default_devices(*, throughput: bool) -> str:
    """What $FURIOSA_DEVICES, or else $NPU_DEVNAME, says; without them every NPU's two processing elements fused."""
    for name in _ENVIRONMENT:
        if os.environ.get(name):
            return os.environ[name]
    npus = {device.split(":")[1] for device in devices()}
    return f"warboy(2)*{max(len(npus), 1)}" if throughput else "warboy(2)"


def devices() -> list[str]:
    """The NPUs and their processing elements, from the driver's files, e.g. ``["npu:0:0", "npu:0:0-1", "npu:0:1"]``."""
    matches = (re.fullmatch(r"npu(\d+)pe(\d+(?:-\d+)?)", path.name) for path in _DEVICE_FOLDER.glob("npu*"))
    return sorted(f"npu:{match[1]}:{match[2]}" for match in matches if match)


def describe() -> dict[str, object]:
    """Describes the runtime, for the run's manifest and the list of backends."""
    # its version is an object, not text
    return {"name": "furiosa", "version": str(runtime.__version__), "devices": devices()}


class FuriosaSession(Closing):
    """A loaded model. `run` gives arrays that the runtime makes for each run."""

    new_outputs = True

    def __init__(self, engine: _Engine, options: FuriosaOptions, model: Path) -> None:
        where = str(model)
        self._input = only_input([_spec(tensor, k, where) for k, tensor in enumerate(engine.model.inputs())], where)
        self._outputs = tuple(_spec(tensor, k, where) for k, tensor in enumerate(engine.model.outputs()))
        self._quantization = _quantization(self._outputs, options, model)
        self._engine: _Engine | None = engine

    @property
    def input(self) -> TensorSpec:
        """What `run` takes."""
        return self._input

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What `run` gives, in order."""
        return self._outputs

    def run(self, images: npt.NDArray[np.uint8] | npt.NDArray[np.float32]) -> list[RawOutput]:
        """Inference of one image.

        Raises:
            ValueError: an image of another dtype or shape, or the session is closed.
            RunFailed: the runtime failed, or gave no answer in ``timeout_s``.
        """
        if self._engine is None:
            raise ValueError("the session is closed")
        image = contiguous_image(images, self._input)
        try:
            outputs = self._engine.run(image)
        except sync.FuriosaRuntimeError as error:
            raise RunFailed(f"furiosa-runtime failed ({first_line(error)})") from error
        return self._raw(outputs)

    def _raw(self, outputs: Sequence[npt.NDArray[Any]]) -> list[RawOutput]:
        return raw_outputs(self._outputs, [np.ascontiguousarray(array) for array in outputs], self._quantization)

    def close(self) -> None:
        """Gives the NPU back. May be called twice."""
        if self._engine is not None:
            self._engine.close()
        self._engine = None


class QueuedFuriosaSession(FuriosaSession):
    """A loaded model behind the runtime's queue, which is kept full by `submit`."""

    host_idle = True

    def __init__(self, queue: NpuQueue, options: FuriosaOptions, model: Path, in_flight: int) -> None:
        super().__init__(queue, options, model)
        self._queue = queue
        self.in_flight = in_flight

    def submit(self, tag: int, images: Tensor, completions: Completions) -> None:
        """Begins an inference and returns at once.

        Raises:
            ValueError: an image of another dtype or shape, or the session is closed.
            RunFailed: the runtime does not take it.
        """
        if self._engine is None:
            raise ValueError("the session is closed")

        def done(outputs: Arrays | RunFailed, began_ns: int, ended_ns: int) -> None:
            raw = outputs if isinstance(outputs, RunFailed) else self._raw(outputs)
            completions.put(Completion(tag, raw, began_ns, ended_ns))

        self._queue.submit(contiguous_image(images, self._input), done)


class _Engine(Protocol):
    """The runtime's runner and its queue, seen the same way."""

    @property
    def model(self) -> Any: ...

    def run(self, image: npt.NDArray[Any]) -> Sequence[npt.NDArray[Any]]: ...

    def close(self) -> None: ...


class _Runner:
    def __init__(self, model: str, keywords: dict[str, Any]) -> None:
        self._runner = sync.create_runner(model, **keywords)
        self.model = self._runner.model

    def run(self, image: npt.NDArray[Any]) -> Sequence[npt.NDArray[Any]]:
        outputs: Sequence[npt.NDArray[Any]] = self._runner.run([image])
        return outputs

    def close(self) -> None:
        self._runner.close()


def _spec(tensor: Any, index: int, where: str) -> TensorSpec:
    """The description of an input or output.

    Raises:
        ModelError: another type than float32, uint8 and int8.
    """
    name = tensor.name or f"tensor_{index}"
    dtype = str(tensor.dtype.numpy)
    if dtype not in DTYPES:
        raise ModelError(f"{name} is {dtype}; float32, uint8 and int8 can be used", where=where)
    return TensorSpec(name, tuple(tensor.shape), dtype)


def _quantization(outputs: Sequence[TensorSpec], options: FuriosaOptions, model: Path) -> dict[str, Quantization]:
    """Scale and zero-point of the integer outputs: from the options, or else from an ONNX file's metadata."""
    if options.output_quantization or model.suffix != ".onnx":
        names = Counter(spec.name for spec in outputs)
        unknown = [name for name in options.output_quantization if name not in names]
        if unknown:
            raise UsageError(
                f"the model has no output {unknown[0]!r}",
                where="backend.options.output_quantization",
                hint=f"it has: {', '.join(names)}",
            )
        table = {name: Quantization(q.scale, q.zero_point) for name, q in options.output_quantization.items()}
        return chosen_quantization(outputs, table, str(model), "put them into backend.options.output_quantization")
    if all(spec.dtype == "float32" for spec in outputs):
        return {}
    import onnx

    properties = onnx.load(model, load_external_data=False).metadata_props
    metadata = next((prop.value for prop in properties if prop.key == METADATA_KEY), None)
    return output_quantization(outputs, metadata, str(model))


def _opening_failed(error: Exception, device: str, model: Path) -> HarnessError:
    said = first_line(error)
    if said.startswith("invalid device configuration"):
        return UsageError(
            f"furiosa-runtime cannot read the device {device!r}",
            where="furiosa",
            hint="e.g. 'warboy(2)*1', 'npu:0:0-1', or several as one with + between: 'npu:0:0+npu:0:1'",
        )
    here = f"`furiosactl list` shows who holds it; here: {', '.join(devices()) or 'no NPU'}"
    if type(error).__name__ == "DeviceBusy" or "busy" in said.lower():
        return BackendError(f"the NPU is busy ({said})", where=device, hint=here)
    if re.search(r"device|npu", said, re.IGNORECASE):
        return BackendError(f"the NPU cannot be used ({said})", where=device, hint=here)
    return ModelError(
        f"furiosa-runtime cannot load it ({said})",
        where=str(model),
        hint="give an ENF, DFG or ONNX model; the compiler's log is under ~/.local/state/furiosa/logs",
    )
