"""A simulated device that knows the answers finds them in every image, in its own time."""

from __future__ import annotations

from pathlib import Path
from time import monotonic_ns
from typing import Any

import numpy as np
import pytest

from harness.errors import DataError
from harness.model import NativeDecoder
from harness.model.registry import load_model
from harness.records import Detections, RawOutput
from harness.sessions import simulated
from harness.sessions.known_objects import KnownObjects, save_objects
from harness.sessions.protocol import SessionRequest
from harness.sessions.recorded import content_key
from harness.sessions.simulated import SimulatedSession, open_session

SSD = load_model("ssd_resnet34")
IMAGES = [np.full(SSD.input.shape, value, np.uint8) for value in (1, 2, 3)]


def box(label: int, *corners: float) -> Detections:
    return Detections(np.array([corners], np.float32), np.array([0.9], np.float32), np.array([label], np.int32))


OBJECTS = [
    box(3, 0.1, 0.1, 0.4, 0.4),
    Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32)),
    box(80, 0.5, 0.2, 0.9, 0.9),
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    save_objects(tmp_path / "objects.npz", [content_key(image) for image in IMAGES], OBJECTS)
    return tmp_path / "objects.npz"


def session(file: Path, **options: Any) -> SimulatedSession:
    request = SessionRequest(
        model=None,
        input=SSD.input,
        outputs=SSD.outputs,
        example_outputs=SSD.example_outputs,
        options={"latency_ms": 0, "objects": str(file)} | options,
    )
    return open_session(request)


@pytest.mark.parametrize("options", [{}, {"layout": "npu"}, {"quantized": False}], ids=["int8", "npu", "float32"])
def test_each_images_objects_are_found_in_it(file: Path, options: dict[str, Any]) -> None:
    with session(file, **options) as opened:
        found = [NativeDecoder().decode(opened.run(image)) for image in IMAGES]
    assert [detections.labels.tolist() for detections in found] == [[3], [], [80]]
    np.testing.assert_allclose(found[2].boxes, OBJECTS[2].boxes, atol=0.01)


def test_finding_the_outputs_is_part_of_the_devices_time(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    latency_ns, moments = 200_000_000, list[int]()
    monkeypatch.setattr(simulated, "_wait_until", moments.append)
    with session(file, latency_ms=latency_ns / 1e6) as opened:
        find = opened._of_image
        assert find is not None

        def noting(image: np.ndarray) -> list[RawOutput]:
            moments.append(monotonic_ns())
            return find(image)

        opened._of_image = noting
        for image in IMAGES * 2:
            began = monotonic_ns()
            opened.run(image)
            looked_for, done = moments[-2:]
            assert began + latency_ns <= done <= looked_for + latency_ns
    assert len(moments) == 2 * 6


def test_an_image_that_is_not_in_the_file_is_an_error_of_the_data(file: Path) -> None:
    with session(file) as opened, pytest.raises(DataError, match="this image is not in it"):
        opened.run(np.full(SSD.input.shape, 9, np.uint8))


def test_a_file_that_is_none_is_an_error_of_the_data(tmp_path: Path) -> None:
    (tmp_path / "objects.npz").write_text("no")
    for path in (tmp_path / "objects.npz", tmp_path / "absent.npz"):
        with pytest.raises(DataError, match="cannot be read"):
            KnownObjects(path)


def test_images_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="two images look the same"):
        save_objects(tmp_path / "objects.npz", ["a", "a"], OBJECTS[:2])
