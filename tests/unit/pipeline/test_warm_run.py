"""A session run on the calling thread, which is warm when the device is done."""

from __future__ import annotations

import ctypes
import dataclasses
from collections.abc import Sequence
from time import monotonic_ns
from typing import Any

import numpy as np
import pytest

from harness.model.registry import load_model
from harness.pipeline.devices import DeviceSlot
from harness.pipeline.inline import Inline
from harness.pipeline.lane import LaneFailed
from harness.pipeline.mailbox import Mailbox, PythonMailbox, new_mailbox
from harness.pipeline.postprocess import Answer, DecodeSetup
from harness.pipeline.postprocessors import new_postprocess
from harness.pipeline.pulse import Pulse
from harness.pipeline.warm_run import WarmRun
from harness.sessions.protocol import Completion, SessionRequest
from harness.sessions.simulated import open_session

MODEL = load_model("ssd_resnet34")
IMAGE = np.zeros(MODEL.input.shape, np.uint8)


def simulated(**options: Any) -> Any:
    return open_session(SessionRequest.of(MODEL, None, options=options))


@pytest.mark.parametrize("mailbox", [new_mailbox(), PythonMailbox()])
def test_it_warms_up_once_an_image_after_the_first_before_the_device_is_done(mailbox: Mailbox) -> None:
    moments: list[int] = []
    session = simulated(latency_ms=30)
    run = WarmRun(session, mailbox, lambda: moments.append(monotonic_ns()))
    for images in range(1, 5):
        outputs = run(IMAGE)
        assert outputs is session._outputs
        assert len(moments) <= images - 1  # a busy machine may wake the thread too late for it
        assert all(moment < monotonic_ns() for moment in moments)


class FasterThanExpected:
    """The first image takes its time; the others are done when they are submitted."""

    def __init__(self) -> None:
        self.runs = 0

    def submit(self, tag: int, images: Any, completions: Any) -> None:
        self.runs += 1
        now = monotonic_ns()
        due = now + 50_000_000 if self.runs == 1 else now
        completions.put_at(due, Completion(tag, [images], now, due))


def test_outputs_that_come_early_are_not_kept_waiting_by_warming_up() -> None:
    warmed: list[int] = []
    session: Any = FasterThanExpected()
    run = WarmRun(session, new_mailbox(), lambda: warmed.append(session.runs))
    for _ in range(3):
        (output,) = run(IMAGE)
        assert output is IMAGE
    assert warmed == []


def test_a_failed_inference_raises_its_error() -> None:
    run = WarmRun(simulated(latency_ms=0.1, fault={"kind": "error", "at": 2}), new_mailbox(), lambda: None)
    run(IMAGE)
    with pytest.raises(RuntimeError, match="inference failed"):
        run(IMAGE)
    run(IMAGE)


class Place:
    """Where Inline works: a simulated device and somebody who takes the answers."""

    def __init__(self, *, warm_ahead: bool, **options: Any) -> None:
        decoder: Any = MODEL.decoder("native")
        self.answers: list[tuple[int, bytes]] = []
        self.to_nobody = 0
        self.failures: list[BaseException] = []
        self.pulse = Pulse(1)
        parameters = dataclasses.asdict(MODEL.decoding)
        setup = DecodeSetup(
            lambda outputs: decoder.decode(outputs, **parameters), MODEL.decoding, decoder.image_decoder
        )
        self.inline = Inline(
            DeviceSlot(0, "simulated"),
            lambda slot: simulated(**options),
            {0: IMAGE},
            new_postprocess(setup, self.pulse, 1, inline=True, batches=False, every_value=False),
            self.respond,
            self.failures.append,
            self.pulse,
            warm_ahead=warm_ahead,
        )

    def respond(self, answers: Sequence[Answer], *, to_nobody: bool = False) -> None:
        self.to_nobody += to_nobody
        if not to_nobody:
            self.answers += [(sample_id, ctypes.string_at(address, size)) for sample_id, address, size in answers]


def test_answers_and_records_are_those_of_a_run_that_is_not_warmed() -> None:
    answers = []
    for warm_ahead in (False, True):
        place = Place(warm_ahead=warm_ahead, latency_ms=20)
        place.inline.rehearse(IMAGE, 2)
        place.inline.submit(range(5), [0] * 5)
        place.inline.close()
        records = place.inline.lanes[0].records()
        assert (np.diff(records[:, 2:], axis=1) >= 0).all()  # issued ≤ started ≤ … ≤ completed
        assert place.pulse.done == len(records) == 5
        assert place.to_nobody <= (6 if warm_ahead else 0)
        assert not place.failures
        answers.append(place.answers)
    assert answers[0] == answers[1]
    assert [sample_id for sample_id, _ in answers[0]] == list(range(5))


def test_a_failure_is_told_as_that_of_the_sample() -> None:
    place = Place(warm_ahead=True, latency_ms=0.1, fault={"kind": "death", "at": 2})
    place.inline.submit([7], [0])
    place.inline.submit([8], [0])
    place.inline.close()
    assert [sample_id for sample_id, _ in place.answers] == [7]
    (failure,) = place.failures
    assert isinstance(failure, LaneFailed)
    assert str(failure) == "RuntimeError: device lost"
