"""The simulated device does what its options say, the same each time."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import DataError, UsageError
from harness.model.registry import load_model
from harness.records import QuantizedTensor, RawOutput
from harness.sessions.protocol import SessionRequest
from harness.sessions.recorded import content_key, save_outputs
from harness.sessions.simulated import SimulatedSession, open_session
from tests.support.tiny_model import MODEL as TINY

SSD = load_model("ssd_resnet34")
IMAGE = np.zeros(TINY.input.shape, np.uint8)


def session(index: int = 0, model: Any = TINY, **options: Any) -> SimulatedSession:
    return open_session(
        SessionRequest(
            model=None,
            input=model.input,
            outputs=model.outputs,
            example_outputs=model.example_outputs,
            options={"latency_ms": 0} | options,
            index=index,
        )
    )


def latencies_ms(count: int = 1000, index: int = 0, **options: Any) -> list[float]:
    with session(index, **options) as opened:
        return [value / 1e6 for value in islice(opened._latencies_ns, count)]


def test_an_inference_takes_its_latency_and_its_transfer() -> None:
    with session(latency_ms=20, transfer_ms=10) as opened:
        began = time.monotonic()
        opened.run(IMAGE)
        assert time.monotonic() - began >= 0.03


def test_normal_latencies_have_their_mean_and_deviation_and_are_the_devices_own() -> None:
    drawn = latencies_ms(4096, latency_ms=12.5, latency_std_ms=1, transfer_ms=2)
    assert np.mean(drawn) == pytest.approx(14.5, abs=0.1)
    assert np.std(drawn) == pytest.approx(1, abs=0.1)
    assert drawn == latencies_ms(4096, latency_ms=12.5, latency_std_ms=1, transfer_ms=2)
    assert drawn != latencies_ms(4096, index=1, latency_ms=12.5, latency_std_ms=1, transfer_ms=2)
    assert drawn != latencies_ms(4096, seed=1, latency_ms=12.5, latency_std_ms=1, transfer_ms=2)
    assert min(latencies_ms(latency_ms=1, latency_std_ms=5)) == 0


def test_a_recorded_run_is_replayed_in_its_order(tmp_path: Path) -> None:
    path = tmp_path / "samples.csv.gz"
    with gzip.open(path, "wt") as file:
        file.write("session,sample_id,sample_index,issued_ns,started_ns,inferred_ns,decoded_ns,completed_ns\n")
        file.writelines(f"0,{k},{k},0,1000,{1000 + k * 1_000_000},0,0\n" for k in range(1, 6))
    replayed = latencies_ms(10, replay_latency=str(path))
    assert sorted(replayed[:5]) == pytest.approx([1, 2, 3, 4, 5])
    assert replayed[5:] == replayed[:5]
    assert [(b - a) % 5 for a, b in pairwise(replayed)] == pytest.approx([1] * 9)


def test_a_recording_that_cannot_be_read_is_an_error_of_the_data(tmp_path: Path) -> None:
    path = tmp_path / "samples.csv.gz"
    path.write_text("not gzip")
    with pytest.raises(DataError, match=r"not a run's samples.csv.gz"):
        session(replay_latency=str(path))
    with gzip.open(path, "wt") as file:
        file.write("started_ns,inferred_ns\n")
    with pytest.raises(DataError, match="no samples in it"):
        session(replay_latency=str(path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latncy_ms": 1}, "did you mean 'latency_ms'"),
        ({"fault": {"kind": "explode"}}, "fault.kind"),
        ({"fault": {"kind": "error", "att": 3}}, "did you mean 'at'"),
        ({"fault": {"kind": "nan"}}, "int8 has no NaN"),
        ({"layout": "npu", "quantized": False}, "layout npu is one of int8 outputs"),
        ({"latency_ms": -1}, "latency_ms"),
        ({"objects": "a.npz", "replay_outputs": "b"}, "replay_outputs and objects both say what is found"),
    ],
)
def test_a_wrong_option_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        session(**options)
    assert message in str(caught.value)


def outcomes(runs: int, index: int = 0, **fault: Any) -> list[bool]:
    """Which runs give something."""
    found = []
    with session(index, fault=fault) as opened:
        for _ in range(runs):
            try:
                opened.run(IMAGE)
                found.append(True)
            except RuntimeError:
                found.append(False)
    return found


def test_an_error_is_one_run_and_a_death_is_for_good() -> None:
    assert outcomes(5, kind="error", at=3) == [True, True, False, True, True]
    assert outcomes(5, kind="death", at=3) == [True, True, False, False, False]


def test_a_fault_may_be_one_devices_own() -> None:
    assert outcomes(2, index=1, kind="death", device=1) == [False, False]
    assert outcomes(2, index=2, kind="death", device=1) == [True, True]


def test_a_slow_device_takes_its_factor() -> None:
    with session(latency_ms=2, fault={"kind": "slow", "at": 2, "factor": 10}) as opened:
        opened.run(IMAGE)
        began = time.monotonic()
        opened.run(IMAGE)
        assert time.monotonic() - began >= 0.02


def test_a_hanging_device_never_answers() -> None:
    answered = threading.Event()

    def run() -> None:
        session(fault={"kind": "hang"}).run(IMAGE)
        answered.set()

    threading.Thread(target=run, daemon=True).start()
    assert not answered.wait(0.2)


def test_a_nan_device_gives_nan_from_then_on() -> None:
    with session(quantized=False, fault={"kind": "nan", "at": 2}) as opened:
        assert np.isfinite(np.asarray(opened.run(IMAGE)[0])).all()
        assert np.isnan(np.asarray(opened.run(IMAGE)[0])).all()
        assert np.isnan(np.asarray(opened.run(IMAGE)[0])).all()


def test_npu_layouts_decode_to_the_same_detections() -> None:
    decoder = SSD.decoder("numpy")
    image = np.zeros(SSD.input.shape, np.uint8)
    with session(model=SSD, layout="npu") as npu, session(model=SSD) as plain:
        tiled = npu.run(image)
        assert all(isinstance(raw, QuantizedTensor) and raw.layout is not None for raw in tiled)
        found, expected = decoder.decode(tiled), decoder.decode(plain.run(image))
    assert len(found) > 0
    assert np.array_equal(found.boxes, expected.boxes)
    assert np.array_equal(found.scores, expected.scores)


def test_hundreds_of_devices_share_their_outputs() -> None:
    first, second = session(0, model=SSD), session(1, model=SSD)
    image = np.zeros(SSD.input.shape, np.uint8)
    assert first.run(image)[0] is second.run(image)[0]


def image(value: int) -> np.ndarray[Any, Any]:
    return np.full(TINY.input.shape, value, np.uint8)


Make = Callable[[int], RawOutput]


@pytest.mark.parametrize(
    "make",
    [
        lambda k: np.full((1, 1, 4, 4), k / 10, np.float32),
        lambda k: QuantizedTensor(np.full((1, 1, 4, 4), k, np.int8), 0.25, -3),
        lambda k: SSD.example_outputs(k, quantized=True, tiled=True)[4],
    ],
)
def test_recorded_outputs_come_back_for_their_own_image(tmp_path: Path, make: Make) -> None:
    for k in (1, 2, 3):
        save_outputs(tmp_path, image(k), [make(k)])
    with session(replay_outputs=str(tmp_path)) as opened:
        for k in (3, 1, 2):
            [found] = opened.run(image(k).copy())
            expected = make(k)
            if isinstance(expected, QuantizedTensor):
                assert isinstance(found, QuantizedTensor)
                assert (found.scale, found.zero_point, found.layout) == (
                    expected.scale,
                    expected.zero_point,
                    expected.layout,
                )
                assert np.array_equal(found.data, expected.data)
            else:
                assert np.array_equal(np.asarray(found), np.asarray(expected))
        with pytest.raises(DataError, match="this image was not recorded"):
            opened.run(image(9))


def test_there_must_be_recorded_outputs(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no recorded outputs here"):
        session(replay_outputs=str(tmp_path))
    save_outputs(tmp_path, image(1), [np.zeros((1, 1, 4, 4), np.float32)] * 2)
    with pytest.raises(UsageError, match="2 recorded outputs; the model has 1"):
        session(replay_outputs=str(tmp_path))


def test_two_images_with_one_key_are_refused(tmp_path: Path) -> None:
    first = np.zeros((1, 3, 1200, 1200), np.uint8)
    second = first.copy()
    second[0, 0, 0, 1] = 1  # not among those that the key looks at
    assert content_key(first) == content_key(second)
    save_outputs(tmp_path, first, [])
    save_outputs(tmp_path, first, [])
    with pytest.raises(DataError, match="two images look the same"):
        save_outputs(tmp_path, second, [])
