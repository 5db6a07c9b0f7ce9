from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from harness.cpu_quota import usable_cores
from harness.errors import BackendError, ModelError, UsageError
from harness.model.ssd_resnet34.example_outputs import example_outputs
from harness.model.ssd_resnet34.heads import INPUT, OUTPUTS
from harness.output_quantization import METADATA_KEY
from harness.records import TensorSpec
from harness.sessions.onnxruntime import default_devices, describe, devices, open_session
from harness.sessions.protocol import Session, SessionRequest
from tests.support.onnx_models import write_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "tiny.onnx")


def request(model: Path | None, *, device: str = "cpu", threads: int = 1, **options: Any) -> SessionRequest:
    return SessionRequest(model, INPUT, OUTPUTS, example_outputs, device, threads, options)


def session(model: Path | None, **options: Any) -> Session:
    return open_session(request(model, **options))


def test_outputs_lie_in_the_same_arrays_on_every_run(model: Path) -> None:
    with session(model) as opened:
        first = opened.run(np.full((1, 3, 1200, 1200), 1, np.uint8))
        second = opened.run(np.full((1, 3, 1200, 1200), 2, np.uint8))
    assert [id(array) for array in first] == [id(array) for array in second]
    assert first[5].flat[0] == 2 + 5


def test_an_image_that_is_not_contiguous_is_read_right(model: Path) -> None:
    image = np.arange(1200 * 1200 * 3, dtype=np.uint32).astype(np.uint8).reshape(1, 1200, 1200, 3).transpose(0, 3, 1, 2)
    with session(model) as opened:
        assert opened.run(image)[0].flat[0] == image.flat[0]


@pytest.mark.parametrize(
    "options",
    [
        {"graph_optimisation": "none"},
        {"graph_optimisation": "extended", "arena": False},
        {"session_config": {"session.intra_op.allow_spinning": "0"}},
        {"execution": "parallel", "inter_op_threads": 2},
    ],
)
def test_options_change_nothing_about_the_results(model: Path, options: dict[str, Any]) -> None:
    with session(model, **options) as opened:
        assert opened.run(np.full((1, 3, 1200, 1200), 9, np.uint8))[3].flat[0] == 12


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"arenas": True}, "backend.options: unknown key 'arenas'\n  next: did you mean 'arena'"),
        ({"arena": "maybe"}, "backend.options: arena: .*'maybe'"),
        ({"graph_optimisation": "most"}, "'all', 'extended', 'basic' or 'none', found 'most'"),
        ({"execution": "both"}, "'sequential' or 'parallel', found 'both'"),
        ({"affinity": "core 2"}, "affinity: String should match pattern .* found 'core 2'"),
        ({"affinity": "1;2"}, "affinity names 2 threads; with threads: 1 it must name 0"),
    ],
)
def test_wrong_options_are_usage_errors(model: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        session(model, **options)


def test_devices_are_this_machines_and_have_the_cpu() -> None:
    assert "cpu" in devices()
    assert "azure" not in devices()
    assert describe() == {"name": "onnxruntime", "version": ort.__version__, "devices": devices()}


def test_by_default_every_core_has_a_session_for_throughput_and_one_is_enough_for_latency() -> None:
    assert default_devices(throughput=True) == f"cpu*{usable_cores()}"
    assert default_devices(throughput=False) == "cpu"


def test_an_unknown_device_is_a_usage_error(model: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'cuda'"):
        session(model, device="cudo:1")


def test_a_device_this_build_has_not_is_a_backend_error(model: Path) -> None:
    absent = next(name for name in ("cuda", "coreml", "dml") if name not in devices())
    with pytest.raises(BackendError, match="this build of ONNX Runtime has no"):
        session(model, device=absent)


def test_no_threads_are_a_usage_error(model: Path) -> None:
    with pytest.raises(UsageError, match="threads must be at least 1, not 0"):
        session(model, threads=0)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_its_threads_inherit_the_mask_of_the_thread_that_opens_it(model: Path) -> None:
    cpu = max(os.sched_getaffinity(0))
    masks = []

    def open_pinned() -> None:
        os.sched_setaffinity(0, {cpu})  # of this thread only
        before = set(Path("/proc/self/task").iterdir())
        with session(model, threads=3):
            for task in set(Path("/proc/self/task").iterdir()) - before:
                masks.append(os.sched_getaffinity(int(task.name)))

    thread = threading.Thread(target=open_pinned)
    thread.start()
    thread.join()
    assert masks == [{cpu}, {cpu}]  # two of its own besides the caller


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_affinity_pins_each_thread_but_the_first(model: Path) -> None:
    cpu = max(os.sched_getaffinity(0))
    before = set(Path("/proc/self/task").iterdir())
    with open_session(request(model, threads=2, affinity=str(cpu + 1))):  # counted from 1
        (task,) = set(Path("/proc/self/task").iterdir()) - before
        end = time.monotonic() + 10
        while os.sched_getaffinity(int(task.name)) != {cpu}:  # the thread pins itself when it starts
            assert time.monotonic() < end


def test_a_profile_is_written_when_the_session_closes(model: Path, tmp_path: Path) -> None:
    with session(model, profile=str(tmp_path / "trace")) as opened:
        opened.run(np.full((1, 3, 1200, 1200), 9, np.uint8))
    opened.close()
    (written,) = tmp_path.glob("trace_*.json")
    assert any("Slice" in str(event.get("args", {}).get("op_name")) for event in json.loads(written.read_text()))


def test_a_missing_model_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such model file"):
        session(tmp_path / "absent.onnx")
    with pytest.raises(ModelError, match="no such model file"):
        session(None)


@pytest.mark.parametrize("keep", [0, 5, 1000])
def test_a_truncated_model_is_a_model_error(model: Path, tmp_path: Path, keep: int) -> None:
    part = tmp_path / "part.onnx"
    part.write_bytes(model.read_bytes()[:keep])
    with pytest.raises(ModelError, match=r"part\.onnx: ONNX Runtime cannot load it"):
        session(part)


def test_a_file_that_is_no_model_is_a_model_error(tmp_path: Path) -> None:
    text = tmp_path / "text.onnx"
    text.write_text("not a model at all, " * 50)
    with pytest.raises(ModelError, match="ONNX Runtime cannot load it"):
        session(text)


def test_missing_external_data_is_a_model_error(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "split.onnx"
    onnx.save(onnx.load(model), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(ModelError, match="cannot load it") as caught:
        session(path)
    assert "external data files beside it" in str(caught.value.hint)


def test_a_model_with_two_inputs_is_a_model_error(model: Path, tmp_path: Path) -> None:
    proto = onnx.load(model)
    proto.graph.input.append(onnx.helper.make_tensor_value_info("size", onnx.TensorProto.FLOAT, (1, 2)))
    onnx.save(proto, tmp_path / "two.onnx")
    with pytest.raises(ModelError, match="it has 2 inputs, not one"):
        session(tmp_path / "two.onnx")


def test_outputs_without_a_fixed_shape_are_a_model_error(model: Path, tmp_path: Path) -> None:
    proto = onnx.load(model)
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.save(proto, tmp_path / "dynamic.onnx")
    with pytest.raises(ModelError, match="image has no fixed shape") as caught:
        session(tmp_path / "dynamic.onnx")
    assert "batch 1" in str(caught.value.hint)


def test_outputs_of_another_type_are_a_model_error(tmp_path: Path) -> None:
    labels = onnx.helper.make_tensor_value_info("labels", onnx.TensorProto.INT64, (4,))
    proto = onnx.load(write_model(tmp_path / "tiny.onnx"))
    proto.graph.node.append(onnx.helper.make_node("Identity", ["starts"], ["labels"]))
    proto.graph.output.append(labels)
    onnx.save(proto, tmp_path / "labels.onnx")
    with pytest.raises(ModelError, match=r"labels is a tensor\(int64\)"):
        session(tmp_path / "labels.onnx")


def test_quantized_outputs_without_their_scale_are_a_model_error(tmp_path: Path) -> None:
    path = write_model(tmp_path / "bare.onnx", quantized=True, metadata=False)
    with pytest.raises(ModelError, match="output class_0 is quantized, and no scale and zero-point"):
        session(path)


def test_metadata_that_cannot_be_read_is_a_model_error(tmp_path: Path) -> None:
    proto = onnx.load(write_model(tmp_path / "q.onnx", quantized=True))
    onnx.helper.set_model_props(proto, {METADATA_KEY: '{"class_0": 3}'})
    onnx.save(proto, tmp_path / "odd.onnx")
    with pytest.raises(ModelError, match="not a table of scales and zero-points"):
        session(tmp_path / "odd.onnx")


def test_any_model_with_fixed_shapes_opens(tmp_path: Path) -> None:
    one = [TensorSpec("found", (1, 1, 6, 20), "float32")]
    with session(write_model(tmp_path / "yolo.onnx", outputs=one, size=640)) as opened:
        assert opened.input.shape == (1, 3, 640, 640)
        assert opened.outputs == tuple(one)
        assert len(opened.outputs) != len(OUTPUTS)
