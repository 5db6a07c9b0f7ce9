"""The Furiosa session on a machine whose NPUs are made up: tests/support/fake_furiosa.py says what is real there."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest

from harness.errors import BackendError, HarnessError, ModelError, RunFailed, UsageError
from harness.model.ssd_resnet34.example_outputs import example_outputs
from harness.model.ssd_resnet34.heads import INPUT, OUTPUTS
from harness.pipeline.devices import parse_devices
from harness.records import QuantizedTensor
from harness.sessions.flights import Collected, outputs_of
from harness.sessions.protocol import SessionRequest
from harness.sessions.registry import load_backend
from tests.support import fake_furiosa
from tests.support.onnx_models import QUANTIZATION, write_model


@pytest.fixture
def machine() -> fake_furiosa.Machine:
    return fake_furiosa.Machine()


@pytest.fixture
def furiosa(machine: fake_furiosa.Machine) -> Iterator[ModuleType]:
    with fake_furiosa.installed(machine) as module:
        yield module


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def model(folder: Path) -> Path:
    return write_model(folder / "float32_outputs.onnx")


@pytest.fixture(scope="module")
def quantized(folder: Path) -> Path:
    return write_model(folder / "int8_outputs.onnx", quantized=True)


def request(model: Path | None, device: str = "warboy(2)", **options: Any) -> SessionRequest:
    return SessionRequest(model, INPUT, OUTPUTS, example_outputs, device, 1, options)


def image(value: int) -> np.ndarray:
    return np.full(INPUT.shape, value, np.uint8)


def test_four_sessions_of_a_kind_open_one_npu_each(machine: fake_furiosa.Machine, furiosa: Any, model: Path) -> None:
    assert parse_devices("warboy(2)*2") == ["warboy(2)", "warboy(2)"]
    with furiosa.open_session(request(model)), furiosa.open_session(request(model)):
        assert [opened["device"] for opened in machine.opened] == ["warboy(2)*1", "warboy(2)*1"]
        assert len(machine.busy) == 4
        with pytest.raises(BackendError, match="the NPU is busy"):
            furiosa.open_session(request(model))
    assert machine.busy == []


@pytest.mark.parametrize(
    ("device", "given"),
    [
        ("warboy", "warboy*1"),
        ("warboy(1)", "warboy(1)*1"),
        ("npu:0:0-1", "npu:0:0-1"),
        ("npu:0:0+npu:0:1", "npu:0:0,npu:0:1"),
        ("warboy(2)+npu:1:0", "warboy(2)*1,npu:1:0"),
    ],
)
def test_device_names_are_the_runtimes_own(furiosa: Any, device: str, given: str) -> None:
    assert furiosa.device_string(device) == given


def test_several_elements_as_one_session(machine: fake_furiosa.Machine, furiosa: Any, model: Path) -> None:
    with furiosa.open_session(request(model, "npu:1:0+npu:1:1")) as session:
        assert machine.busy == [(1, 0), (1, 1)]
        assert session.run(image(5))[2].flat[0] == 7


def test_a_device_that_cannot_be_read_is_a_usage_error(furiosa: Any, model: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the device 'gpu:0'") as caught:
        furiosa.open_session(request(model, "gpu:0"))
    assert "npu:0:0-1" in str(caught.value.hint)


def test_a_device_that_is_not_there_is_a_backend_error(furiosa: Any, model: Path) -> None:
    with pytest.raises(BackendError, match="npu:7:0: the NPU cannot be used"):
        furiosa.open_session(request(model, "npu:7:0"))


def test_options_reach_the_runtime(machine: fake_furiosa.Machine, furiosa: Any, model: Path) -> None:
    config = {"split_unit": 1}
    with furiosa.open_session(request(model, "npu:0:1", workers=3, compiler_config=config)):
        assert machine.opened == [{"device": "npu:0:1", "worker_num": 3, "compiler_config": config}]


@pytest.mark.parametrize("api", ["runner", "queue"])
def test_integer_outputs_of_an_onnx_model_have_the_scale_of_its_metadata(
    furiosa: Any, quantized: Path, api: str
) -> None:
    with furiosa.open_session(request(quantized, api=api)) as session:
        for k, output in enumerate(session.run(image(10))):
            assert isinstance(output, QuantizedTensor)
            assert (output.scale, output.zero_point) == QUANTIZATION[OUTPUTS[k].name]
            real = output.scale * (output.data.astype(np.float32) - output.zero_point)
            assert np.all(np.abs(real - (10 + k)) <= output.scale / 2)


def test_integer_outputs_of_a_compiled_model_have_the_scale_of_the_options(furiosa: Any, quantized: Path) -> None:
    compiled = quantized.with_suffix(".enf")
    compiled.write_bytes(quantized.read_bytes())
    with pytest.raises(ModelError, match="output class_0 is quantized") as caught:
        furiosa.open_session(request(compiled))
    assert "backend.options.output_quantization" in str(caught.value.hint)
    given = {spec.name: {"scale": 0.5, "zero_point": k} for k, spec in enumerate(OUTPUTS)}
    with furiosa.open_session(request(compiled, output_quantization=given)) as session:
        outputs = session.run(image(1))
    assert [(output.scale, output.zero_point) for output in outputs] == [(0.5, k) for k in range(12)]


def test_a_scale_for_an_output_there_is_not_is_a_usage_error(
    machine: fake_furiosa.Machine, furiosa: Any, quantized: Path
) -> None:
    with pytest.raises(UsageError, match="no output 'class_9'"):
        furiosa.open_session(request(quantized, output_quantization={"class_9": {"scale": 1, "zero_point": 0}}))
    assert machine.busy == []  # the device was given back


def test_a_model_of_other_types_is_a_model_error(furiosa: Any, folder: Path) -> None:
    proto = onnx.load(write_model(folder / "labels.onnx"))
    proto.graph.node.append(onnx.helper.make_node("Identity", ["starts"], ["labels"]))
    proto.graph.output.append(onnx.helper.make_tensor_value_info("labels", onnx.TensorProto.INT64, (4,)))
    onnx.save(proto, folder / "labels.onnx")
    with pytest.raises(ModelError, match="labels is int64"):
        furiosa.open_session(request(folder / "labels.onnx"))


def test_a_file_that_cannot_be_compiled_is_a_model_error(furiosa: Any, folder: Path) -> None:
    (folder / "text.enf").write_text("no model")
    with pytest.raises(ModelError, match=r"furiosa-runtime cannot load it .*cannot be recognized"):
        furiosa.open_session(request(folder / "text.enf"))


@pytest.mark.parametrize("api", ["runner", "queue"])
def test_a_failure_of_the_npu_fails_the_run(machine: fake_furiosa.Machine, furiosa: Any, model: Path, api: str) -> None:
    with furiosa.open_session(request(model, api=api)) as session:
        machine.fail = True
        with pytest.raises(RunFailed, match=r"furiosa-runtime failed \(device operation failed\)"):
            session.run(image(1))


def test_the_queue_gives_up_after_its_timeout_and_then_gives_the_right_answer(
    machine: fake_furiosa.Machine, furiosa: Any, model: Path
) -> None:
    first, second = threading.Event(), threading.Event()
    with furiosa.open_session(request(model, api="queue", timeout_s=2.0)) as session:
        machine.held = [first]
        with pytest.raises(RunFailed, match="queue waiting timed out"):
            session.run(image(1))
        assert session.run(image(2))[0].flat[0] == 2  # overtakes the first
        machine.held = [second]
        first.set()
        threading.Timer(0.2, second.set).start()
        assert session.run(image(3))[0].flat[0] == 3  # after the first has come in and was dropped


def test_sessions_run_at_once(furiosa: Any, model: Path) -> None:
    found: dict[int, float] = {}

    def work(npu: int) -> None:
        with furiosa.open_session(request(model, f"npu:{npu}:0-1", api="queue")) as session:
            found[npu] = sum(float(session.run(image(10 * npu + k))[0].flat[0]) for k in range(5))

    threads = [threading.Thread(target=work, args=(npu,)) for npu in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {0: 10, 1: 60}


def test_the_environment_chooses_the_device_where_none_is_given(
    furiosa: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("FURIOSA_DEVICES", raising=False)
    monkeypatch.setenv("NPU_DEVNAME", "npu1pe0-1")
    assert furiosa.default_devices(throughput=True) == "npu1pe0-1"
    monkeypatch.setenv("FURIOSA_DEVICES", "npu:0:0,npu:0:1")
    assert parse_devices(furiosa.default_devices(throughput=True)) == ["npu:0:0", "npu:0:1"]


def test_without_it_every_npu_of_the_machine_is_used_for_throughput(
    furiosa: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("FURIOSA_DEVICES", raising=False)
    monkeypatch.delenv("NPU_DEVNAME", raising=False)
    monkeypatch.setattr(furiosa, "_DEVICE_FOLDER", tmp_path)
    assert furiosa.default_devices(throughput=True) == "warboy(2)*1"
    for name in ("npu0_mgmt", "npu0pe0", "npu0pe1", "npu0pe0-1", "npu1_mgmt", "npu1pe0-1"):
        (tmp_path / name).touch()
    assert furiosa.devices() == ["npu:0:0", "npu:0:0-1", "npu:0:1", "npu:1:0-1"]
    assert furiosa.default_devices(throughput=True) == "warboy(2)*2"
    assert furiosa.default_devices(throughput=False) == "warboy(2)"
    assert furiosa.describe()["version"] == "0.10.2-release (rev: d51ae81)"


def test_an_absent_driver_is_said_so() -> None:
    with fake_furiosa.without_driver(), pytest.raises(BackendError, match="the NPU's driver is not") as caught:
        load_backend("furiosa")
    assert "libfuriosa_hal.so" in str(caught.value)
    assert "furiosa-libhal-warboy" in str(caught.value.hint)


@pytest.mark.parametrize("options", [{"api": "both"}, {"timeout_s": 0}, {"worker": 2}])
def test_wrong_options_are_usage_errors(furiosa: Any, model: Path, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"backend\.options"):
        furiosa.open_session(request(model, **options))


def test_a_missing_model_is_said_so(furiosa: Any, tmp_path: Path) -> None:
    for absent in (None, tmp_path / "absent.enf"):
        with pytest.raises(HarnessError, match="no such model file"):
            furiosa.open_session(request(absent))


def test_the_queue_is_kept_full_for_throughput(machine: fake_furiosa.Machine, furiosa: Any, model: Path) -> None:
    asked = dataclasses.replace(request(model, workers=3), throughput=True)
    with furiosa.open_session(asked) as session:
        assert session.in_flight == 6
        first = threading.Event()
        machine.held = [first]
        completions = Collected()
        for tag in range(6):
            session.submit(tag, image(tag), completions)
        completed = [completions.get(60) for _ in range(5)]
        first.set()
        completed.append(completions.get(60))
    assert {completion.tag: float(outputs_of(completion)[0].flat[0]) for completion in completed} == {
        tag: tag for tag in range(6)
    }
    assert completed[-1].tag == 0  # it was overtaken


def test_a_failure_in_flight_fails_every_image_there_once(
    machine: fake_furiosa.Machine, furiosa: Any, model: Path
) -> None:
    with furiosa.open_session(request(model, api="queue", in_flight=3)) as session:
        machine.fail = True
        held = threading.Event()
        machine.held = [held, held]  # by the two workers that the stand-in has
        completions = Collected()
        for tag in range(3):
            session.submit(tag, image(tag), completions)
        held.set()
        assert sorted(completions.get(60).tag for _ in range(3)) == [0, 1, 2]
        time.sleep(0.4)
        assert completions.empty()
        machine.fail = False
        assert session.run(image(4))[0].flat[0] == 4
