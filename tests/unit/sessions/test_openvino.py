from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from harness.errors import BackendError, ModelError, RunFailed, UsageError
from harness.model.ssd_resnet34.example_outputs import example_outputs
from harness.model.ssd_resnet34.heads import INPUT, OUTPUTS
from harness.output_quantization import METADATA_KEY
from harness.sessions.flights import Collected, outputs_of, submitted_together
from harness.sessions.protocol import Session, SessionRequest
from tests.support.onnx_models import QUANTIZATION, write_model

ov = pytest.importorskip("openvino", reason="OpenVINO is not installed: pip install openvino")

from harness.sessions import openvino as backend  # noqa: E402
from harness.sessions.infer_requests import InferRequests, writable  # noqa: E402


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "tiny.onnx")


def session(model: Path | None, *, device: str = "CPU", threads: int = 1, **options: Any) -> Session:
    return backend.open_session(SessionRequest(model, INPUT, OUTPUTS, example_outputs, device, threads, options))


def image(value: int) -> np.ndarray:
    return np.full(INPUT.shape, value, np.uint8)


def test_outputs_lie_in_the_same_arrays_on_every_run(model: Path) -> None:
    with session(model) as opened:
        first = opened.run(image(1))
        second = opened.run(image(2))
    assert [id(array) for array in first] == [id(array) for array in second]
    assert first[5].flat[0] == 2 + 5


def test_images_are_read_in_place_even_when_they_may_only_be_read(model: Path) -> None:
    seen = image(7)
    seen.flags.writeable = False
    shared = writable(seen)
    assert shared.ctypes.data == seen.ctypes.data
    assert (shared.dtype, shared.shape) == (seen.dtype, seen.shape)
    assert ov.Tensor(shared, shared_memory=True).data.ctypes.data == ctypes.addressof(
        ctypes.c_ubyte.from_address(seen.ctypes.data)
    )


@pytest.mark.parametrize(
    "options",
    [
        {"hint": "throughput", "streams": 2},
        {"precision": "f32", "pinning": True},
        {"properties": {"ENABLE_HYPER_THREADING": False}},
    ],
)
def test_options_change_nothing_about_the_results(model: Path, options: dict[str, Any]) -> None:
    with session(model, **options) as opened:
        assert opened.run(image(9))[3].flat[0] == 12


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hints": "latency"}, "unknown key 'hints'\n  next: did you mean 'hint'"),
        ({"hint": "fast"}, "'latency', 'throughput' or 'cumulative_throughput', found 'fast'"),
        ({"streams": 0}, "streams: Input should be greater than 0"),
        ({"properties": {"NUM_STREAM": 2}}, "CPU has no property 'NUM_STREAM'\n  next: did you mean 'NUM_STREAMS'"),
    ],
)
def test_wrong_options_are_usage_errors(model: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        session(model, **options)
    assert message in str(caught.value)


def test_a_value_that_the_device_refuses_is_a_backend_error(model: Path) -> None:
    with pytest.raises(BackendError, match="Could not read number of streams from str: many"):
        session(model, properties={"NUM_STREAMS": "many"})


@pytest.mark.parametrize("device", ["cpu", "CPU", "AUTO", "auto:cpu", "MULTI:CPU(2)"])
def test_device_names_in_either_case_and_combined(model: Path, device: str) -> None:
    with session(model, device=device) as opened:
        assert opened.run(image(3))[1].flat[0] == 4


@pytest.mark.parametrize("device", ["CPX", "MULTI:CPU+CPX"])
def test_an_unknown_device_is_a_usage_error(model: Path, device: str) -> None:
    with pytest.raises(UsageError, match="did you mean 'CPU'"):
        session(model, device=device)


def test_a_device_that_is_not_here_is_a_backend_error_with_those_that_are(model: Path) -> None:
    absent = next(name for name in ("NPU", "GPU") if name not in backend.devices())
    with pytest.raises(BackendError, match=f"this machine has no {absent} that OpenVINO can drive") as caught:
        session(model, device=f"MULTI:{absent}+CPU")
    assert "CPU" in str(caught.value.hint)


def test_it_describes_itself() -> None:
    assert backend.describe() == {"name": "openvino", "version": ov.get_version(), "devices": backend.devices()}
    assert "CPU" in backend.devices()
    assert backend.default_devices(throughput=True) == "CPU"
    assert backend.default_devices(throughput=False) == "CPU"


def test_its_own_format_keeps_the_scales_of_the_onnx_file(tmp_path: Path) -> None:
    onnx_file = write_model(tmp_path / "q.onnx", quantized=True)
    ov.save_model(ov.Core().read_model(str(onnx_file)), str(tmp_path / "q.xml"))
    with session(tmp_path / "q.xml") as opened:
        outputs = opened.run(image(1))
    assert [(q.scale, q.zero_point) for q in outputs] == [QUANTIZATION[spec.name] for spec in OUTPUTS]


def test_no_threads_are_a_usage_error(model: Path) -> None:
    with pytest.raises(UsageError, match="threads must be at least 1, not 0"):
        session(model, threads=0)


def test_a_missing_model_is_said_so(tmp_path: Path) -> None:
    for absent in (None, tmp_path / "absent.onnx"):
        with pytest.raises(ModelError, match="no such model file"):
            session(absent)


def test_outputs_without_a_fixed_shape_are_a_model_error(model: Path, tmp_path: Path) -> None:
    proto = onnx.load(model)
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.save(proto, tmp_path / "dynamic.onnx")
    with pytest.raises(ModelError, match="image has no fixed shape"):
        session(tmp_path / "dynamic.onnx")


def test_outputs_of_another_type_are_a_model_error(tmp_path: Path) -> None:
    proto = onnx.load(write_model(tmp_path / "tiny.onnx"))
    proto.graph.node.append(onnx.helper.make_node("Identity", ["starts"], ["labels"]))
    proto.graph.output.append(onnx.helper.make_tensor_value_info("labels", onnx.TensorProto.INT64, (4,)))
    onnx.save(proto, tmp_path / "labels.onnx")
    with pytest.raises(ModelError, match="labels is int64"):
        session(tmp_path / "labels.onnx")


def test_quantized_outputs_without_their_scale_are_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="output class_0 is quantized, and no scale and zero-point"):
        session(write_model(tmp_path / "bare.onnx", quantized=True, metadata=False))


def test_metadata_that_cannot_be_read_is_a_model_error(tmp_path: Path) -> None:
    proto = onnx.load(write_model(tmp_path / "q.onnx", quantized=True))
    onnx.helper.set_model_props(proto, {METADATA_KEY: '{"class_0": 3}'})
    onnx.save(proto, tmp_path / "odd.onnx")
    with pytest.raises(ModelError, match="not a table of scales and zero-points"):
        session(tmp_path / "odd.onnx")


def test_infer_requests_are_as_many_as_openvino_calls_optimal_or_as_were_asked_for(model: Path) -> None:
    with session(model) as latency, session(model, in_flight=3) as three:
        assert latency.in_flight == 1  # type: ignore[attr-defined]
        assert three.in_flight == 3  # type: ignore[attr-defined]


def test_arrays_are_used_again_when_nobody_holds_them(model: Path) -> None:
    with session(model, in_flight=2) as opened:
        addresses = set()
        for value in range(10):
            completed = submitted_together(opened, [image(value), image(value + 1)])  # type: ignore[arg-type]
            for tag in (0, 1):
                [*_, last] = outputs_of(completed[tag])
                assert last.flat[0] == value + tag + len(opened.outputs) - 1
                addresses.add(last.ctypes.data)
            del completed, last
    assert len(addresses) <= 3


def test_an_inference_that_fails_in_flight_is_completed_with_its_error(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.sessions.infer_requests.LOOK_S", 0.01)

    class Failing:
        """A request whose device is lost: no callback comes, and waiting for it raises."""

        failed = False

        def set_callback(self, *_: object) -> None: ...
        def set_output_tensor(self, *_: object) -> None: ...
        def set_input_tensor(self, *_: object) -> None: ...
        def start_async(self) -> None:
            self.failed = True

        def wait(self) -> None: ...
        def wait_for(self, _: int) -> bool:
            if self.failed:
                raise RuntimeError("Check 'alive' failed at a.cpp:1:\ndevice lost")
            return True

    class Compiled:
        def create_infer_request(self) -> Failing:
            return Failing()

    class NoBuffers:
        held = False

        def bind(self, _: object) -> None: ...
        def raw(self) -> list[object]:
            return []

    requests: Any = InferRequests(Compiled(), 1, NoBuffers)  # type: ignore[arg-type]
    completions = Collected()
    for tag in (7, 8):  # the session goes on with another request
        requests.begin(tag, image(1), completions)
        completion = completions.get(60)
        assert completion.tag == tag
        with pytest.raises(RunFailed, match=r"OpenVINO failed \(device lost\)"):
            outputs_of(completion)
    requests.close()
