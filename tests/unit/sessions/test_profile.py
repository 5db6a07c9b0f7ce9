"""Where an inference's time goes, as each backend's profiler says it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import RunFailed
from harness.sessions.onnxruntime_profile import read_profile
from harness.sessions.profile import COMPUTE, TRANSFER_IN, TRANSFER_OUT, LayerTime, LayerTimes


def test_layers_are_added_up_in_the_order_of_their_first_run() -> None:
    times = LayerTimes()
    for name, ns in (("b", 5), ("a", 2), ("b", 7)):
        times.add(name, "Conv", ns)
    assert times.layers() == (LayerTime("b", "Conv", 2, 12), LayerTime("a", "Conv", 1, 2))


def test_a_file_of_onnx_runtime_is_added_up(tmp_path: Path) -> None:
    def node(name: str, kind: str, us: int) -> dict[str, object]:
        return {"cat": "Node", "name": f"{name}_kernel_time", "dur": us, "args": {"op_name": kind}}

    run = {"cat": "Session", "name": "model_run", "dur": 99}
    fence = {"cat": "Node", "name": "conv_fence_before", "dur": 1, "args": {}}
    one = [run, node("in", "MemcpyFromHost", 3), fence, node("conv", "Conv", 40), node("out", "MemcpyToHost", 2)]
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(one + one))
    profile = read_profile(path, "ONNX Runtime")
    assert profile.inferences == 2
    assert profile.parts_ns == {TRANSFER_IN: 6000, COMPUTE: 80_000, TRANSFER_OUT: 4000}
    assert profile.layers[1] == LayerTime("conv", "Conv", 2, 80_000)


def test_a_file_that_was_cut_is_said(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    path.write_text("[{")
    with pytest.raises(RunFailed, match="profile cannot be read"):
        read_profile(path, "ONNX Runtime")
