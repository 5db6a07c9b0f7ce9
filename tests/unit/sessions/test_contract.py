"""The contract's checks find what is wrong with a backend."""

from __future__ import annotations

import time
from time import monotonic_ns
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from harness.errors import BackendError, UsageError
from harness.records import QuantizedTensor, TensorSpec, TiledLayout
from harness.sessions import contract
from harness.sessions.check_subject import Subject
from harness.sessions.contract import CHECKS, run_check, run_checks
from harness.sessions.protocol import Completion, SessionRequest

INPUT = TensorSpec("image", (1, 3, 4, 4), "uint8")
OUTPUTS = (TensorSpec("sums", (1, 3), "float32"),)


class Good:
    """A session that sums each channel."""

    input = INPUT
    outputs = OUTPUTS

    def __init__(self, request: SessionRequest) -> None:
        if "no_such_option" in request.options:
            raise UsageError("unknown key 'no_such_option'")
        if request.device == "no-such-device":
            raise UsageError("no such device")
        self.closed = False

    def run(self, images: np.ndarray) -> list[Any]:
        if self.closed or images.shape != INPUT.shape or images.dtype != np.uint8:
            raise ValueError("refused")
        return [images.sum(axis=(2, 3), dtype=np.float32)]

    def close(self) -> None:
        self.closed = True

    def __enter__(self) -> Good:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def subject(session: type, **changes: Any) -> Subject:
    backend = {
        "SIMULATED": False,
        "open_session": session,
        "default_devices": lambda throughput: "good",
        "describe": lambda: {"version": "1"},
    }
    request = SessionRequest(None, INPUT, OUTPUTS, lambda *_, **__: [])
    return Subject(SimpleNamespace(**(backend | changes)), request)


def failures(of: Subject) -> dict[str, str]:
    outcomes = {check.__name__: run_check(check, of) for check in CHECKS}
    return {name: outcome.detail for name, outcome in outcomes.items() if outcome.status == "FAIL"}


def test_a_good_backend_passes_every_check_and_a_check_without_a_subject_is_skipped() -> None:
    outcomes = list(run_checks(subject(Good)))
    assert [outcome.status for outcome in outcomes] == ["PASS"] * (len(CHECKS) - 5) + ["SKIP"] * 5
    assert str(outcomes[0]).startswith("[PASS] The backend says whether it is simulated")
    assert str(outcomes[-5]).endswith("is a ModelError: it was opened without a model file")
    assert all(str(outcome).endswith("it has no submit") for outcome in outcomes[-4:-1])
    assert str(outcomes[-1]).endswith("it has no profile")


def quantized(scale: float, zero_point: int, layout: TiledLayout | None = None) -> Any:
    return QuantizedTensor(np.zeros((1, 3), np.int8), scale, zero_point, layout)


class Described(Good):
    outputs = (TensorSpec("sums", (1, 3), "int8"),)


@pytest.mark.parametrize(
    ("given", "described", "message"),
    [
        ([], OUTPUTS, "0 outputs, 1 described"),
        ([np.zeros((1, 3))], OUTPUTS, "sums is float64, described as float32"),
        ([np.zeros((3, 1), np.float32)], OUTPUTS, "sums is (3, 1), described as (1, 3)"),
        ([np.zeros((1, 3), np.int8)], Described.outputs, "sums is int8 and ndarray"),
        ([quantized(0.0, 0)], Described.outputs, "sums has the scale 0.0"),
        ([quantized(0.5, 200)], Described.outputs, "the zero-point 200, outside of int8"),
        (
            [quantized(0.5, 2, TiledLayout("HCHCW", 1, 1, 1, 1, 5))],
            Described.outputs,
            "sums has 3 elements, its layout 5",
        ),
    ],
)
def test_outputs_other_than_described_are_found(given: list[Any], described: Any, message: str) -> None:
    class Wrong(Good):
        outputs = described

        def run(self, images: np.ndarray) -> list[Any]:
            return given

    outcome = run_check(contract.gives_described_outputs, subject(Wrong))
    assert outcome.status == "FAIL"
    assert message in outcome.detail


@pytest.mark.parametrize(
    ("image", "sums", "message"),
    [
        (INPUT, TensorSpec("sums", (1, 3), "float16"), "sums is float16; it must be one of float32, uint8, int8"),
        (TensorSpec("image", (1, 3, 4, 4), "int8"), OUTPUTS[0], "the input is int8"),
        (TensorSpec("image", (1, 3, -1, 4), "uint8"), OUTPUTS[0], "image has the shape (1, 3, -1, 4)"),
        (TensorSpec("image", (2, 3, 4, 4), "uint8"), OUTPUTS[0], "the input is not (1, C, H, W)"),
    ],
)
def test_wrong_descriptions_are_found(image: TensorSpec, sums: TensorSpec, message: str) -> None:
    class Wrong(Good):
        input = image
        outputs = (sums,)

    assert message in run_check(contract.describes_tensors, subject(Wrong)).detail


def test_outputs_that_another_session_overwrites_are_found() -> None:
    shared = np.zeros((1, 3), np.float32)

    class Sharing(Good):
        def run(self, images: np.ndarray) -> list[Any]:
            shared[:] = super().run(images)[0]
            time.sleep(0.02)
            return [shared]

    found = failures(subject(Sharing))
    assert set(found) == {"keeps_outputs", "runs_beside_another"}
    assert found["keeps_outputs"] == "the outputs after another session's run: 3 of 3 values of output 0 differ"


def test_a_session_that_gives_the_last_images_outputs_is_found() -> None:
    class Late(Good):
        last = np.zeros((1, 3), np.float32)

        def run(self, images: np.ndarray) -> list[Any]:
            given, self.last = self.last, super().run(images)[0]
            return [given]

    assert {"repeats_itself", "leaves_the_image", "reads_strided_images"} <= set(failures(subject(Late)))


def test_a_session_that_does_not_look_at_the_image_is_found_unless_it_is_simulated() -> None:
    class Blind(Good):
        def run(self, images: np.ndarray) -> list[Any]:
            return [np.zeros_like(super().run(images)[0])]

    assert failures(subject(Blind)) == {"sees_the_image": "two different images gave the same outputs"}
    assert failures(subject(Blind, SIMULATED=True)) == {}


def test_memory_read_in_the_wrong_order_and_images_written_to_are_found() -> None:
    class Raw(Good):
        def run(self, images: np.ndarray) -> list[Any]:
            return super().run(images.ravel("K").reshape(images.shape))

    assert set(failures(subject(Raw))) == {"reads_strided_images"}

    class Writing(Good):
        def run(self, images: np.ndarray) -> list[Any]:
            outputs = super().run(images)
            images[:] = 0
            return outputs

    assert "read-only" in failures(subject(Writing))["leaves_the_image"]


def test_a_session_that_does_not_close_is_found() -> None:
    class Open(Good):
        def close(self) -> None:
            pass

    expected = "raised nothing; expected ValueError"
    found = failures(subject(Open))
    assert found["closes_for_good"] == f"a run after close {expected}"
    assert found["closes_at_the_end_of_with"] == f"a run after the context manager's end {expected}"


def test_a_device_that_is_not_given_back_is_found_and_one_for_one_session_only_is_fine() -> None:
    taken: list[bool] = []

    class One(Good):
        def __init__(self, request: SessionRequest) -> None:
            super().__init__(request)
            if taken:
                raise BackendError("the device is busy")
            taken.append(True)

        def close(self) -> None:
            super().close()
            taken.clear()

    of = subject(One)
    assert failures(of) == {}
    assert str(run_check(contract.keeps_outputs, of)).endswith("takes no second session (the device is busy)")

    class Kept(One):
        def close(self) -> None:
            Good.close(self)

    assert failures(subject(Kept))["opens_again"] == "BackendError: the device is busy"


def test_other_errors_than_ours_and_a_silent_backend_are_found() -> None:
    class Careless(Good):
        def __init__(self, request: SessionRequest) -> None:
            self.closed = False
            if request.device == "no-such-device":
                raise KeyError(request.device)

    found = failures(subject(Careless, describe=dict, default_devices=lambda throughput: ""))
    assert found == {
        "describes_itself": 'describe() has no "version"',
        "refuses_unknown_options": "the option no_such_option raised nothing; expected UsageError",
        "refuses_unknown_devices": "the device no-such-device raised KeyError ('no-such-device'), "
        "not UsageError or BackendError",
    }


class Asynchronous(Good):
    in_flight = 3

    def submit(self, tag: int, images: np.ndarray, completions: Any) -> None:
        now = monotonic_ns()
        completions.put(Completion(tag, self.run(images), now, now))


def test_a_good_asynchronous_session_passes_every_check() -> None:
    assert failures(subject(Asynchronous)) == {}
    assert sum(result.status == "SKIP" for result in run_checks(subject(Asynchronous))) == 2


class CompletesTwice(Asynchronous):
    def submit(self, tag: int, images: np.ndarray, completions: Any) -> None:
        super().submit(tag, images, completions)
        super().submit(tag, images, completions)


class MixesTagsUp(Asynchronous):
    def submit(self, tag: int, images: np.ndarray, completions: Any) -> None:
        super().submit((tag + 1) % self.in_flight, images, completions)


class EndsBeforeItBegan(Asynchronous):
    def submit(self, tag: int, images: np.ndarray, completions: Any) -> None:
        completions.put(Completion(tag, self.run(images), monotonic_ns(), 0))


class UsesItsArraysAgain(Asynchronous):
    array = np.zeros((1, 3), np.float32)

    def submit(self, tag: int, images: np.ndarray, completions: Any) -> None:
        self.array[:] = self.run(images)[0]
        now = monotonic_ns()
        completions.put(Completion(tag, [self.array], now, now))


class CompletesWhatItRefuses(Asynchronous):
    def submit(self, tag: int, images: np.ndarray, completions: Any) -> None:
        try:
            super().submit(tag, images, completions)
        except ValueError as error:
            completions.put(Completion(tag, error, 0, 0))
            raise


@pytest.mark.parametrize(
    ("kind", "check", "message"),
    [
        (CompletesTwice, "completes_every_image", "was completed twice"),
        (MixesTagsUp, "completes_every_image", "values of output 0 differ"),
        (EndsBeforeItBegan, "completes_every_image", "ended at 0 ns"),
        (UsesItsArraysAgain, "leaves_completed_outputs", "the outputs after later images"),
        (CompletesWhatItRefuses, "refuses_to_begin", "was completed too"),
    ],
)
def test_what_an_asynchronous_session_does_wrong_is_found(kind: type[Good], check: str, message: str) -> None:
    assert message in failures(subject(kind))[check]
