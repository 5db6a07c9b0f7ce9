"""What every session must do, whatever runs underneath: the contract's checks, and exact values of tiny models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from harness.errors import BackendError
from harness.model.io_check import check_model
from harness.model.ssd_resnet34.example_outputs import example_outputs
from harness.model.ssd_resnet34.heads import INPUT, OUTPUTS
from harness.model.ssd_resnet34.model import MODEL
from harness.records import QuantizedTensor
from harness.sessions.check_subject import Subject
from harness.sessions.contract import CHECKS, run_check
from harness.sessions.protocol import Session, SessionRequest
from harness.sessions.registry import Backend, load_backend
from tests.support import fake_furiosa
from tests.support.onnx_models import QUANTIZATION, write_model

Open = Callable[[Path], Session]

DEVICES = {"onnxruntime": "cpu", "openvino": "CPU", "furiosa": "warboy(2)"}
"""Backend → a device that every machine has, or for furiosa pretends to have."""

Check = Callable[[Subject], None]


@pytest.fixture(scope="module", params=DEVICES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def backend(name: str) -> Iterator[Backend]:
    with ExitStack() as stack:
        if name == "furiosa":
            stack.enter_context(fake_furiosa.installed(fake_furiosa.Machine(npus=8)))
        try:
            yield load_backend(name)
        except BackendError as error:
            pytest.skip(str(error))


LACKING = {"onnxruntime": "it has no submit", "furiosa": "it has no profile"}
"""Backend → why its optional part is not checked."""


@pytest.fixture(scope="module")
def open_session(name: str, backend: Backend) -> Open:
    return lambda model: backend.open_session(SessionRequest(model, INPUT, OUTPUTS, example_outputs, DEVICES[name]))


@pytest.mark.parametrize("quantized", [False, True], ids=["float32", "int8"])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_keeps_the_contract(name: str, backend: Backend, folder: Path, check: Check, quantized: bool) -> None:
    model = write_model(folder / f"contract_{quantized}.onnx", quantized=quantized)
    subject = Subject(backend, SessionRequest(model, INPUT, OUTPUTS, example_outputs, DEVICES[name]))
    result = run_check(check, subject)
    assert result.status == "PASS" or result.detail == LACKING.get(name), str(result)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("options", [{}, {"quantized": False}, {"layout": "npu"}], ids=["int8", "float32", "tiled"])
def test_a_simulated_device_keeps_what_is_left_of_it_without_a_model(check: Check, options: dict[str, object]) -> None:
    options = {"latency_ms": 0, **options}
    request = SessionRequest(None, INPUT, OUTPUTS, MODEL.example_outputs, "simulated", options=options)
    assert not str(run_check(check, Subject(load_backend("simulated"), request))).startswith("[FAIL]")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def session(open_session: Open, folder: Path) -> Iterator[Session]:
    with open_session(write_model(folder / "float32_outputs.onnx")) as opened:
        yield opened


@pytest.fixture(scope="module")
def quantized(open_session: Open, folder: Path) -> Iterator[Session]:
    with open_session(write_model(folder / "int8_outputs.onnx", quantized=True)) as opened:
        yield opened


def image(value: int, dtype: str = "uint8") -> np.ndarray:
    return np.full(INPUT.shape, value, dtype)


def test_it_says_what_it_takes_and_gives(session: Session) -> None:
    assert session.input == INPUT
    assert session.outputs == OUTPUTS
    check_model(session.input, session.outputs, INPUT, OUTPUTS)


def test_outputs_come_in_the_order_of_their_specs(session: Session) -> None:
    for k, output in enumerate(session.run(image(40))):
        assert isinstance(output, np.ndarray)
        assert (output.shape, output.dtype) == (OUTPUTS[k].shape, np.float32)
        assert np.all(output == 40 + k)


def test_each_run_sees_its_own_image(session: Session) -> None:
    assert [float(session.run(image(v))[0].flat[0]) for v in (3, 250, 0)] == [3, 250, 0]


def test_quantized_outputs_carry_their_scale_and_zero_point(quantized: Session) -> None:
    assert {spec.dtype for spec in quantized.outputs} == {"int8"}
    for k, output in enumerate(quantized.run(image(10))):
        assert isinstance(output, QuantizedTensor)
        assert (output.scale, output.zero_point) == QUANTIZATION[OUTPUTS[k].name]
        assert (output.data.shape, output.data.dtype, output.layout) == (OUTPUTS[k].shape, np.int8, None)
        real = output.scale * (output.data.astype(np.float32) - output.zero_point)
        assert np.all(np.abs(real - (10 + k)) <= output.scale / 2)


def test_a_float32_model_takes_float32(open_session: Open, folder: Path) -> None:
    with open_session(write_model(folder / "float32_input.onnx", input_dtype="float32")) as session:
        assert session.input.dtype == "float32"
        assert session.run(np.full(INPUT.shape, -1.5, np.float32))[2].flat[0] == 0.5


@pytest.mark.parametrize("wrong", [image(1, "float32"), image(1)[0], image(1)[:, :, :600]])
def test_an_image_of_another_type_or_shape_is_refused(session: Session, wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"the model takes uint8 \(1, 3, 1200, 1200\)"):
        session.run(wrong)


def test_an_image_that_may_only_be_read_is_fine(session: Session) -> None:
    mapped = image(7)
    mapped.flags.writeable = False
    assert session.run(mapped)[0].flat[0] == 7


def test_sessions_do_not_share_their_results(open_session: Open, folder: Path) -> None:
    model = write_model(folder / "twice.onnx")
    with open_session(model) as one, open_session(model) as other:
        first = one.run(image(1))
        other.run(image(2))
        assert first[0].flat[0] == 1


def test_it_closes_twice_and_then_refuses_to_run(open_session: Open, folder: Path) -> None:
    session = open_session(write_model(folder / "closed.onnx"))
    session.close()
    session.close()
    with pytest.raises(ValueError, match="the session is closed"):
        session.run(image(1))
