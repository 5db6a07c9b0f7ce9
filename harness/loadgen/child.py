"""The child process: one LoadGen test from opened sessions to written logs.

LoadGen aborts the process when a callback raises and waits for ever for a sample that never completes, so every failure
ends here: it is reported to the parent and the process exits at once, whatever state LoadGen is in.
"""

from __future__ import annotations

import faulthandler
import functools
import os
import resource
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from typing import Any, NoReturn

import numpy as np

from harness.child_process import live_as_child
from harness.errors import HarnessError, RunFailed, SampleFailed
from harness.loadgen.answers import LoadGenAnswers
from harness.loadgen.plan import Calibration, Plan
from harness.loadgen.sample_library import SampleLibrary
from harness.loadgen.sample_records import write_samples
from harness.model.protocol import DetectionModel
from harness.model.registry import load_model
from harness.pipeline.devices import DeviceSlot
from harness.pipeline.dispatch import Dispatcher, Inline, Retired, SessionQueue
from harness.pipeline.lane import HELD_MOST, Decode, Lane, LaneFailed
from harness.pipeline.pulse import Pulse
from harness.records import Decoding, Detections
from harness.sessions import SessionRequest, open_session

CALIBRATION_RUNS = 3
LOG_NAME = "child.log"


@dataclass(frozen=True)
class Phase:
    """The test has reached a phase.

    Attributes:
        name: "opening sessions", "calibrating" or "running".
        samples: how many it is expected to need; None where unknown.
    """

    name: str
    samples: int | None = None


@dataclass(frozen=True)
class Warned:
    """The test goes on, but a person should know."""

    text: str


@dataclass(frozen=True)
class Failed:
    """The test could not be finished."""

    error: HarnessError


@dataclass(frozen=True)
class Finished:
    """The test is over and its files are written.

    Attributes:
        samples_per_session: by the name of the device slot.
        latency_s: what calibration found for a sample on one session.
        samples_per_second: likewise for all sessions together.
        peak_memory_bytes: the child's largest resident size.
        retired: sessions that failed or hung and were taken out: session, sample_index, image, reason.
    """

    samples_per_session: dict[str, int]
    latency_s: float
    samples_per_second: float
    peak_memory_bytes: int
    retired: tuple[dict[str, Any], ...] = ()


Message = Phase | Warned | Failed | Finished


def main(plan: Plan, parent: Connection, pulse: Pulse) -> None:
    """Runs the plan; tells the parent of phases and of the one end: `Failed` or `Finished`."""
    live_as_child()  # LoadGen would deliver Ctrl-C after the test only; the parent kills us
    _log_output(plan)
    report = _Reporter(plan, parent)
    try:
        parent.send(_run(plan, report, pulse))
    except BaseException as error:  # noqa: BLE001 - the process's edge
        report.fail(error)


def _run(plan: Plan, report: _Reporter, pulse: Pulse) -> Finished:
    import mlperf_loadgen as lg

    from harness.loadgen.settings import AUDIT_NAME, loadgen_settings

    report.send(Phase("opening sessions"))
    library = SampleLibrary(plan.source, pulse.beat)
    dispatcher = _open(plan, library, lg, report, pulse)

    report.send(Phase("calibrating"))
    library.load([0])
    first = library.tensors[0]
    runs = CALIBRATION_RUNS if plan.mode == "performance" else 1
    seconds = dispatcher.on_each(lambda lane: lane.rehearse(first, runs))
    calibration = plan.calibration or Calibration(min(seconds), sum(1 / s for s in seconds))
    settings = loadgen_settings(plan, calibration)

    warm_up = plan.backend.warmup if plan.mode == "performance" else 0

    def load(indices: Sequence[int]) -> None:
        nonlocal warm_up
        library.load(indices)
        if warm_up:
            runs, warm_up = warm_up, 0
            tensor = library.tensors[indices[0]]
            dispatcher.on_each(lambda lane: lane.rehearse(tensor, runs))
        pulse.beat()

    sut = lg.ConstructFastSUT(dispatcher.submit, lambda: None)
    qsl = lg.ConstructQSL(
        len(plan.sample_names), plan.performance_sample_count, report.guard(load), report.guard(library.unload)
    )
    report.send(Phase("running", _expected_samples(plan, settings)))
    # LoadGen reads this file where it is there; one lying in the working directory would change the test
    lg.StartTestWithLogSettings(sut, qsl, settings, _log_settings(lg, plan), str(plan.folder / AUDIT_NAME))
    lg.DestroyQSL(qsl)
    lg.DestroyFastSUT(sut)
    dispatcher.on_each(lambda lane: None)  # LoadGen has the last answers before the lanes have noted so
    write_samples(plan.folder, dispatcher.lanes, pulse.beat)
    finished = Finished(
        {lane.slot.name: len(lane.records()) for lane in dispatcher.lanes},
        calibration.latency_s,
        calibration.samples_per_second,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        tuple(
            {
                "session": it.slot.name,
                "sample_index": it.sample_index,
                "image": plan.sample_names[it.sample_index],
                "reason": it.reason,
            }
            for it in dispatcher.retired
        ),
    )
    dispatcher.close()
    return finished


def _open(
    plan: Plan,
    library: SampleLibrary,
    loadgen: Any,
    report: _Reporter,
    pulse: Pulse,
) -> Dispatcher:
    model = load_model(plan.model.name, plan.model_file)
    decoding = plan.model.decoding(model.decoding)
    decode = _decode(plan, model, decoding)
    hold = plan.scenario == "offline"

    def open_lane(slot: DeviceSlot) -> Lane:
        session = open_session(
            plan.backend.name,
            SessionRequest(
                model=plan.model_file,
                device=slot.device,
                index=slot.index,
                threads=plan.backend.threads or max(1, len(slot.cores)),
                options=plan.backend.options,
                input=model.input,
                outputs=model.outputs,
                example_outputs=model.example_outputs,
            ),
        )
        pulse.beat()
        answers = LoadGenAnswers(loadgen, decoding.max_detections, HELD_MOST if hold else 1)
        every = plan.mode == "accuracy"
        return Lane(
            slot,
            session,
            decode,
            library.tensors,
            answers,
            pulse,
            image_sizes=plan.image_sizes,
            hold=hold,
            check_every_value=every,
        )

    if plan.scenario == "single_stream":
        return Inline(plan.slots[0], open_lane, report.fail)

    def warn(it: Retired) -> None:
        name = plan.sample_names[it.sample_index]
        report.send(Warned(f"{it.slot.name} was retired at sample {it.sample_index} ({name}): {it.reason}"))

    return SessionQueue(
        plan.slots,
        open_lane,
        report.fail,
        retire=plan.backend.on_device_failure == "continue",
        hang_s=plan.watchdog_s,
        pulse=pulse,
        on_retired=warn,
    )


def _decode(plan: Plan, model: DetectionModel, decoding: Decoding) -> Decode:
    if plan.model.decoder == "none":
        nothing = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32))
        return lambda outputs, **_: nothing
    return functools.partial(model.decoder(plan.model.decoder, model.label_space).decode, **asdict(decoding))


def _expected_samples(plan: Plan, settings: Any) -> int:
    if plan.mode == "accuracy":
        return len(plan.sample_names)
    seconds, least = plan.rules.min_duration_s, plan.rules.min_queries
    if plan.scenario == "offline":
        # LoadGen's slack, TestSettingsInternal in test_settings_internal.cc
        return max(least, int(1.1 * seconds * settings.offline_expected_qps))
    if plan.scenario == "server":
        return max(least, int(seconds * settings.server_target_qps))
    return least * plan.rules.samples_per_query


def _log_settings(lg: Any, plan: Plan) -> Any:
    output = lg.LogOutputSettings()
    output.outdir = str(plan.folder)
    output.copy_summary_to_stdout = False
    log = lg.LogSettings()
    log.log_output = output
    log.enable_trace = plan.trace
    return log


class _Reporter:
    """Tells the parent; the first failure ends the process."""

    def __init__(self, plan: Plan, parent: Connection) -> None:
        self._plan = plan
        self._parent = parent
        self._failing = threading.Lock()
        self._sending = threading.Lock()

    def send(self, message: Message) -> None:
        with self._sending:
            self._parent.send(message)

    def fail(self, error: BaseException) -> NoReturn:
        self._failing.acquire()  # for good: later failures are echoes of this one
        faulthandler.disable()
        self.send(Failed(self._ours(error)))
        self._parent.close()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(RunFailed.exit_status)

    def guard(self, callback: Callable[[Sequence[int]], None]) -> Callable[[Sequence[int]], None]:
        """The callback, made safe for LoadGen to call."""

        def guarded(indices: Sequence[int]) -> None:
            try:
                callback(indices)
            except BaseException as error:  # noqa: BLE001 - LoadGen aborts the process when a callback raises
                self.fail(error)

        return guarded

    def _ours(self, error: BaseException) -> HarnessError:
        if isinstance(error, LaneFailed):
            name = self._plan.sample_names[error.sample_index]
            return SampleFailed(
                str(error),
                where=f"sample {error.sample_index} ({name}) on {error.slot.name} in {self._plan.title}",
                hint=f"the child's own output is in {self._plan.folder / LOG_NAME}",
            )
        if isinstance(error, HarnessError):
            return error
        import traceback

        traceback.print_exception(error)
        return RunFailed(
            f"{type(error).__name__}: {error}", where=self._plan.title, hint=f"see {self._plan.folder / LOG_NAME}"
        )


def _log_output(plan: Plan) -> None:
    """Sends what libraries print to a file, so that a crash leaves its last words and the terminal stays ours."""
    log = os.open(plan.folder / LOG_NAME, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    faulthandler.enable()
