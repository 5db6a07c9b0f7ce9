"""What every session must do, as a list of checks that run against any backend.

`ssd-harness backends check NAME` runs them for a person, tests/contract for us.
"""

from __future__ import annotations

import functools
import json
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic_ns
from typing import Literal

import numpy as np

from harness.errors import BackendError, HarnessError, ModelError, UsageError, named_line
from harness.records import TensorSpec
from harness.sessions.check_subject import Skipped, Subject
from harness.sessions.expectations import (
    Broken,
    Image,
    copies_of,
    equal_outputs,
    need,
    need_described,
    need_same,
    noise_image,
    raises,
)
from harness.sessions.flights import Collected, outputs_of, submitted_together
from harness.sessions.profile import Profiled, SessionProfile
from harness.sessions.protocol import Session
from harness.sessions.tensors import DTYPES


@dataclass(frozen=True)
class CheckResult:
    """How a check ended; ``detail`` says why it failed or was skipped."""

    check: str
    status: Literal["PASS", "FAIL", "SKIP"]
    detail: str = ""

    def __str__(self) -> str:
        return f"[{self.status}] {self.check}" + (f": {self.detail}" if self.detail else "")


def run_checks(subject: Subject) -> Iterator[CheckResult]:
    """Runs every check, each with sessions of its own."""
    for check in CHECKS:
        yield run_check(check, subject)


def run_check(check: Callable[[Subject], None], subject: Subject) -> CheckResult:
    """Runs one of `CHECKS`."""
    name = (check.__doc__ or check.__name__).rstrip(".")
    try:
        check(subject)
    except Skipped as reason:
        return CheckResult(name, "SKIP", str(reason))
    except Broken as reason:
        return CheckResult(name, "FAIL", str(reason))
    except HarnessError as error:
        return CheckResult(name, "FAIL", f"{type(error).__name__}: {str(error).replace(chr(10), ';')}")
    except Exception as error:  # noqa: BLE001 - a backend may raise anything, and the other checks are to run all the same
        return CheckResult(name, "FAIL", named_line(error))
    return CheckResult(name, "PASS")


def describes_itself(subject: Subject) -> None:
    """The backend says whether it is simulated, its version and devices, and default devices."""
    backend = subject.backend
    need(isinstance(backend.SIMULATED, bool), f"SIMULATED is {backend.SIMULATED!r}, not True or False")
    described = json.loads(json.dumps(backend.describe()))
    need("version" in described, 'describe() has no "version"')
    for throughput in (True, False):
        devices = backend.default_devices(throughput=throughput)
        need(isinstance(devices, str) and bool(devices), f"default_devices({throughput=}) is {devices!r}")


def describes_tensors(subject: Subject) -> None:
    """The session describes its input and outputs."""
    with subject.open() as session:
        need(isinstance(session.outputs, tuple) and bool(session.outputs), "outputs is not a tuple of TensorSpec")
        for spec in (session.input, *session.outputs):
            need(isinstance(spec, TensorSpec), f"{spec!r} is no TensorSpec")
            need(spec.dtype in DTYPES, f"{spec.name} is {spec.dtype}; it must be one of {', '.join(DTYPES)}")
            fixed = all(isinstance(extent, int) and extent > 0 for extent in spec.shape)
            need(fixed, f"{spec.name} has the shape {spec.shape}")
        need(session.input.dtype != "int8", "the input is int8; images are uint8 or float32")
        need(len(session.input.shape) == 4 and session.input.shape[0] == 1, "the input is not (1, C, H, W)")


def gives_described_outputs(subject: Subject) -> None:
    """A run gives the described outputs in their order, with scale and zero-point where quantized."""
    with subject.open() as session:
        outputs = session.run(noise_image(session.input, 1))
        need(len(outputs) == len(session.outputs), f"{len(outputs)} outputs, {len(session.outputs)} described")
        for spec, output in zip(session.outputs, outputs, strict=True):
            need_described(spec, output)


def repeats_itself(subject: Subject) -> None:
    """The same image gives the same outputs."""
    with subject.open() as session:
        image = noise_image(session.input, 1)
        first = copies_of(session.run(image))
        session.run(noise_image(session.input, 2))
        need_same(first, session.run(image), "the image's second run")


def sees_the_image(subject: Subject) -> None:
    """Another image gives other outputs."""
    if subject.backend.SIMULATED:
        raise Skipped("a simulated device does not look at the image")
    with subject.open() as session:
        first = copies_of(session.run(noise_image(session.input, 1)))
        second = session.run(noise_image(session.input, 2))
        need(not equal_outputs(first, second), "two different images gave the same outputs")


def leaves_the_image(subject: Subject) -> None:
    """An image that may only be read is accepted, and not changed."""
    with subject.open() as session:
        image = noise_image(session.input, 1)
        expected, before = copies_of(session.run(image)), image.copy()
        image.flags.writeable = False
        need_same(expected, session.run(image), "the read-only image")
        need(np.array_equal(image, before), "the image was changed")


def reads_strided_images(subject: Subject) -> None:
    """An image that is not contiguous in memory is read right."""
    with subject.open() as session:
        image = noise_image(session.input, 1)
        expected = copies_of(session.run(image))
        strided = np.ascontiguousarray(image.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
        need_same(expected, session.run(strided), "the same image in another order of memory")


def keeps_outputs(subject: Subject) -> None:
    """Outputs hold until the session's next run, whatever another session does."""
    with subject.open() as session, subject.open_another() as other:
        outputs = session.run(noise_image(session.input, 1))
        expected = copies_of(outputs)
        other.run(noise_image(other.input, 2))
        need_same(expected, outputs, "the outputs after another session's run")


def runs_beside_another(subject: Subject) -> None:
    """Two sessions at once, on two threads, do not disturb each other."""
    with subject.open() as one, subject.open_another() as two:
        sessions = (one, two)
        images = [noise_image(session.input, 1 + k) for k, session in enumerate(sessions)]
        expected = [copies_of(session.run(image)) for session, image in zip(sessions, images, strict=True)]
        failures: list[BaseException] = []
        both_there = threading.Barrier(len(sessions))
        threads = [
            threading.Thread(target=_run_often, args=(*of_session, both_there, failures))
            for of_session in zip(sessions, images, expected, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]


def refuses_other_images(subject: Subject) -> None:
    """An image of another dtype or shape is a ValueError."""
    with subject.open() as session:
        image = noise_image(session.input, 1)
        other = np.float32 if session.input.dtype == "uint8" else np.uint8
        wrong_ones: list[Image] = [image.astype(other), image[0], np.ascontiguousarray(image[..., :-1])]
        for wrong in wrong_ones:
            raises(ValueError, functools.partial(session.run, wrong), f"an image {wrong.dtype} {wrong.shape}")


def closes_for_good(subject: Subject) -> None:
    """A session may be closed twice, and then refuses to run with a ValueError."""
    session = subject.open()
    image = noise_image(session.input, 1)
    session.close()
    session.close()
    raises(ValueError, lambda: session.run(image), "a run after close")


def closes_at_the_end_of_with(subject: Subject) -> None:
    """The context manager gives the session itself, and closes it."""
    opened = subject.open()
    with opened as session:
        need(session is opened, "__enter__ gave something else")
        image = noise_image(session.input, 1)
    raises(ValueError, lambda: opened.run(image), "a run after the context manager's end")


def opens_again(subject: Subject) -> None:
    """A closed session gives its device back: it can be opened again."""
    for _ in range(3):
        with subject.open() as session:
            session.run(noise_image(session.input, 1))


def refuses_unknown_options(subject: Subject) -> None:
    """An unknown option is a UsageError that names it."""
    unknown = {**subject.request.options, "no_such_option": 1}
    error = raises(UsageError, lambda: subject.open(options=unknown).close(), "the option no_such_option")
    need("no_such_option" in str(error), f"the message does not name the option: {error}")


def refuses_unknown_devices(subject: Subject) -> None:
    """An unknown device is a UsageError or a BackendError."""
    if subject.backend.SIMULATED:
        raise Skipped("a simulated device has any name")
    kinds = (UsageError, BackendError)
    raises(kinds, lambda: subject.open(device="no-such-device").close(), "the device no-such-device")


def refuses_missing_models(subject: Subject) -> None:
    """A model file that is not there, or is no model, is a ModelError."""
    model = subject.request.model
    if model is None:
        raise Skipped("it was opened without a model file")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, f"file{model.suffix}")
        raises(ModelError, lambda: subject.open(model=file).close(), "a missing model file")
        file.write_text("not a model " * 100)
        raises(ModelError, lambda: subject.open(model=file).close(), "a file that is no model")


def completes_every_image(subject: Subject) -> None:
    """As many images as may be in flight are completed once each, with the outputs of a run."""
    with subject.open_asynchronous() as session:
        need(isinstance(session.in_flight, int) and session.in_flight >= 1, f"in_flight is {session.in_flight!r}")
        images = [noise_image(session.input, 1 + tag % 3) for tag in range(session.in_flight)]
        expected = [copies_of(session.run(image)) for image in images]
        for _ in range(3):
            began_ns = monotonic_ns()
            completed = submitted_together(session, images)
            for tag, completion in completed.items():
                need_same(expected[tag], outputs_of(completion), f"image {tag} of {len(images)} submitted together")
                in_order = began_ns <= completion.started_ns <= completion.ended_ns <= monotonic_ns()
                need(in_order, f"it began at {completion.started_ns} ns and ended at {completion.ended_ns} ns")


def leaves_completed_outputs(subject: Subject) -> None:
    """Outputs of a completion hold as long as anyone has them, whatever is submitted later."""
    with subject.open_asynchronous() as session:
        held = outputs_of(submitted_together(session, [noise_image(session.input, 1)])[0])
        expected = copies_of(held)
        for seed in range(2, 5):
            submitted_together(session, [noise_image(session.input, seed)] * session.in_flight)
        need_same(expected, held, "the outputs after later images")


def refuses_to_begin(subject: Subject) -> None:
    """An image of another dtype, and any image after close, is refused by submit with a ValueError."""
    completions = Collected()
    with subject.open_asynchronous() as session:
        image = noise_image(session.input, 1)
        wrong: Image = image.astype(np.float32 if session.input.dtype == "uint8" else np.uint8)
        raises(ValueError, lambda: session.submit(1, wrong, completions), "an image of another dtype")
        submitted_together(session, [image])
    raises(ValueError, lambda: session.submit(2, image, completions), "an image after close")
    need(completions.empty(), "an image that was refused was completed too")


def profiles_itself(subject: Subject) -> None:
    """A session that has a profile and was asked for it counts its inferences; one that was not asked runs too."""
    with subject.open(profile=True) as session:
        if not isinstance(session, Profiled):
            raise Skipped("it has no profile")
        for seed in range(3):
            session.run(noise_image(session.input, seed))
        profile = session.profile()
        need(isinstance(profile, SessionProfile), f"profile() gave a {type(profile).__name__}")
        need(profile.inferences == 3, f"3 inferences were made, and it counted {profile.inferences}")
        times = [*profile.parts_ns.values(), *(layer.total_ns for layer in profile.layers)]
        need(bool(times) and min(times) >= 0, "it has no times, or one below 0")


def _run_often(
    session: Session,
    image: Image,
    expected: Sequence[Image],
    both_there: threading.Barrier,
    failures: list[BaseException],
) -> None:
    both_there.wait()
    try:
        for _ in range(3):
            need_same(expected, session.run(image), "outputs beside another session")
    except Exception as error:  # noqa: BLE001 - raised again by the thread that waits
        failures.append(error)


CHECKS: tuple[Callable[[Subject], None], ...] = (
    describes_itself,
    describes_tensors,
    gives_described_outputs,
    repeats_itself,
    sees_the_image,
    leaves_the_image,
    reads_strided_images,
    keeps_outputs,
    runs_beside_another,
    refuses_other_images,
    closes_for_good,
    closes_at_the_end_of_with,
    opens_again,
    refuses_unknown_options,
    refuses_unknown_devices,
    refuses_missing_models,
    completes_every_image,
    leaves_completed_outputs,
    refuses_to_begin,
    profiles_itself,
)
"""In the order in which they run; each one's docstring is its name."""
