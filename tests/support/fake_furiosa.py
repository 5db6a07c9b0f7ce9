"""furiosa-runtime 0.10 without an NPU: the names, signatures, errors and habits of the real package.

Signatures, error texts and the order of errors are those that furiosa-runtime 0.10.2 with furiosa-native-runtime 0.10.5
showed on Linux, its driver library replaced by an empty one. Models are ONNX files under any name, run by ONNX Runtime.
"""

from __future__ import annotations

import queue
import re
import sys
import threading
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

ADAPTER = "harness.sessions.furiosa"
NO_DRIVER = 'Error: "libfuriosa_hal.so: cannot open shared object file: No such file or directory"'


class VersionInfo:
    """What ``furiosa.runtime.__version__`` is: no text."""

    def __str__(self) -> str:
        return "0.10.2-release (rev: d51ae81)"


class FuriosaRuntimeError(Exception):
    pass


class DeviceBusy(FuriosaRuntimeError):
    pass


class SessionTerminated(FuriosaRuntimeError):
    pass


class InvalidInput(FuriosaRuntimeError):
    pass


class QueueWaitTimeout(FuriosaRuntimeError):
    pass


class Machine:
    """Its NPUs, each with two processing elements.

    Attributes:
        held: what the next inferences wait for; the queue's two workers finish out of order when the first is held.
        opened: device, worker_num and compiler_config of each runner and queue so far.
        fail: every inference fails.
    """

    def __init__(self, npus: int = 2) -> None:
        self._busy: dict[tuple[int, int], bool] = {(npu, pe): False for npu in range(npus) for pe in (0, 1)}
        self._lock = threading.Lock()
        self.held: list[threading.Event] = []
        self.opened: list[dict[str, Any]] = []
        self.fail = False

    @property
    def busy(self) -> list[tuple[int, int]]:
        return [element for element, busy in self._busy.items() if busy]

    def take(self, device: str) -> list[tuple[int, int]]:
        with self._lock:
            taken: list[tuple[int, int]] = []
            for part in device.split(","):
                elements = self._free_kind(part) if part.startswith("warboy") else self._named(part)
                if any(element in taken or self._busy[element] for element in elements):
                    raise DeviceBusy("NPU device busy")
                taken += elements
            for element in taken:
                self._busy[element] = True
            return taken

    def give_back(self, elements: Sequence[tuple[int, int]]) -> None:
        with self._lock:
            for element in elements:
                self._busy[element] = False

    def wait(self) -> None:
        with self._lock:
            held = self.held.pop(0) if self.held else None
        if held is not None:
            held.wait(60)

    def _named(self, part: str) -> list[tuple[int, int]]:
        match = re.fullmatch(r"npu:(\d+)(?::(\d)(?:-(\d))?)?", part) or re.fullmatch(r"npu(\d+)pe(\d)(?:-(\d))?", part)
        if match is None:
            raise FuriosaRuntimeError(f"invalid device configuration: {part}")
        npu, first, last = (None if text is None else int(text) for text in match.groups())
        elements = [(npu, pe) for pe in range(first or 0, (last if last is not None else first or 0) + 1)]
        if any(element not in self._busy for element in elements):
            raise FuriosaRuntimeError(f"Device {part} not found")
        return elements  # type: ignore[return-value]

    def _free_kind(self, part: str) -> list[tuple[int, int]]:
        match = re.fullmatch(r"warboy(?:\((\d+)\))?\*(\d+)", part)
        if match is None:
            raise FuriosaRuntimeError(f"invalid device configuration: {part}")
        elements = []
        for _ in range(int(match[2])):
            npus = {npu for npu, _ in self._busy}
            wanted = [[(npu, 0), (npu, 1)] if match[1] == "2" else [(npu, pe)] for npu in npus for pe in (0, 1)]
            free = [group for group in wanted if not any(self._busy[e] or e in elements for e in group)]
            if not free:
                raise DeviceBusy("NPU device busy")
            elements += free[0]
        return elements


class DataType:
    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.numpy = dtype

    def __repr__(self) -> str:
        return str(self.numpy).upper()


class TensorDesc:
    def __init__(self, node: ort.NodeArg) -> None:
        self.name = node.name
        self.shape = tuple(node.shape)
        self.ndim = len(self.shape)
        names = {"tensor(float)": "float32", "tensor(uint8)": "uint8", "tensor(int8)": "int8", "tensor(int64)": "int64"}
        self.dtype = DataType(np.dtype(names[node.type]))


class Model:
    def __init__(self, session: ort.InferenceSession) -> None:
        self._session = session

    def inputs(self) -> list[TensorDesc]:
        return [TensorDesc(node) for node in self._session.get_inputs()]

    def outputs(self) -> list[TensorDesc]:
        return [TensorDesc(node) for node in self._session.get_outputs()]


class _Loaded:
    def __init__(self, machine: Machine, model: Any, **options: Any) -> None:
        self.machine = machine
        self.elements = machine.take(options["device"] or "npu:0:0-1")
        try:
            self.session = ort.InferenceSession(Path(model).read_bytes(), providers=["CPUExecutionProvider"])
        except Exception as error:
            machine.give_back(self.elements)
            raise FuriosaRuntimeError("CompilerError: file cannot be recognized") from error
        machine.opened.append(options)
        self.model = Model(self.session)
        self.open = True

    def infer(self, inputs: Any) -> list[np.ndarray[Any, Any]]:
        self.machine.wait()
        if self.machine.fail:
            raise FuriosaRuntimeError("device operation failed")
        (image,) = inputs
        (wanted,) = self.model.inputs()
        if image.dtype != wanted.dtype.numpy or image.shape != wanted.shape:
            raise InvalidInput("Invalid input tensors")
        return self.session.run(None, {wanted.name: image})

    def close(self) -> bool:
        was_open, self.open = self.open, False
        if was_open:
            self.machine.give_back(self.elements)
        return was_open


class Runner(_Loaded):
    def run(self, inputs: Any) -> list[np.ndarray[Any, Any]]:
        if not self.open:
            raise SessionTerminated("Session or AsyncSession terminated")
        return self.infer(inputs)


class Submitter:
    def __init__(self, loaded: _Loaded, size: int | None) -> None:
        self._loaded = loaded
        self.model = loaded.model
        self._waiting: queue.Queue[Any] = queue.Queue(size or 0)
        self.done: queue.Queue[Any] = queue.Queue()
        self._workers = [threading.Thread(target=self._work, daemon=True) for _ in range(2)]
        for worker in self._workers:
            worker.start()

    def submit(self, inputs: Any, context: Any = None) -> None:
        if not self._loaded.open:
            raise SessionTerminated("Session or AsyncSession terminated")
        self._waiting.put((inputs, context))  # blocks while the queue is full; inputs are not copied

    def close(self) -> bool:
        was_open = self._loaded.close()
        if was_open:
            for _ in self._workers:
                self._waiting.put(None)
            for worker in self._workers:
                worker.join()
        return was_open

    def _work(self) -> None:
        while (task := self._waiting.get()) is not None:
            inputs, context = task
            try:
                self.done.put((context, self._loaded.infer(inputs)))
            except FuriosaRuntimeError as error:
                self.done.put(error)


class Receiver:
    def __init__(self, submitter: Submitter) -> None:
        self._submitter = submitter
        self.model = submitter.model

    def recv(self, timeout: float | None = None) -> tuple[Any, list[np.ndarray[Any, Any]]]:
        try:
            done = self._submitter.done.get(timeout=timeout)
        except queue.Empty:
            raise QueueWaitTimeout("queue waiting timed out") from None
        if isinstance(done, FuriosaRuntimeError):
            raise done
        return done

    def close(self) -> bool:
        return True


@contextmanager
def installed(machine: Machine) -> Iterator[types.ModuleType]:
    """`harness.sessions.furiosa`, imported on that machine."""

    def create_runner(
        model: Any, *, device: Any = None, worker_num: Any = None, batch_size: Any = None, compiler_config: Any = None
    ) -> Runner:
        return Runner(machine, model, device=device, worker_num=worker_num, compiler_config=compiler_config)

    def create_queue(
        model: Any,
        *,
        device: Any = None,
        worker_num: Any = None,
        batch_size: Any = None,
        input_queue_size: Any = None,
        output_queue_size: Any = None,
        compiler_config: Any = None,
    ) -> tuple[Submitter, Receiver]:
        loaded = _Loaded(machine, model, device=device, worker_num=worker_num, compiler_config=compiler_config)
        submitter = Submitter(loaded, input_queue_size)
        return submitter, Receiver(submitter)

    sync = types.ModuleType("furiosa.runtime.sync")
    vars(sync).update(
        create_runner=create_runner, create_queue=create_queue, FuriosaRuntimeError=FuriosaRuntimeError, Model=Model
    )
    runtime = types.ModuleType("furiosa.runtime")
    vars(runtime).update(sync=sync, __version__=VersionInfo())
    package = types.ModuleType("furiosa")
    vars(package).update(runtime=runtime, __path__=[])
    fakes = {"furiosa": package, "furiosa.runtime": runtime, "furiosa.runtime.sync": sync}
    with _modules(fakes):
        yield import_module(ADAPTER)


@contextmanager
def without_driver() -> Iterator[None]:
    """Importing the runtime fails as it does where the package is and the driver is not."""
    with _import_raises(RuntimeError(NO_DRIVER)):
        yield


@contextmanager
def without_package() -> Iterator[None]:
    """The runtime is not installed."""
    with _import_raises(ModuleNotFoundError("No module named 'furiosa'")):
        yield


@contextmanager
def _import_raises(error: Exception) -> Iterator[None]:
    class Finder:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name == "furiosa":
                raise error

    finder: Any = Finder()
    with _modules({}):
        sys.meta_path.insert(0, finder)
        try:
            yield
        finally:
            sys.meta_path.remove(finder)


@contextmanager
def _modules(fakes: dict[str, types.ModuleType]) -> Iterator[None]:
    names = [name for name in sys.modules if name.split(".")[0] == "furiosa" or name == ADAPTER]
    saved = {name: sys.modules.pop(name) for name in names}
    sys.modules.update(fakes)
    try:
        yield
    finally:
        for name in (*fakes, ADAPTER):
            sys.modules.pop(name, None)
        sys.modules.update(saved)
