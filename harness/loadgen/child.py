"""The child process: one LoadGen test from opened sessions to written logs.

LoadGen aborts the process when a callback raises and waits for ever for a sample that never completes, so every failure
ends here: it is reported to the parent and the process exits at once, whatever state LoadGen is in.
"""

from __future__ import annotations

import resource
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from multiprocessing.connection import Connection
from time import monotonic
from typing import Any, cast

from harness.cluster.dispatcher import ClusterDispatcher
from harness.errors import named_line
from harness.loadgen.answers import responder
from harness.loadgen.cluster import open_cluster, uses_of
from harness.loadgen.messages import Closed, Finished, Phase, RetiredSession, Warned
from harness.loadgen.plan import Calibration, Plan
from harness.loadgen.reporter import Reporter, log_output
from harness.loadgen.sample_library import Library, RemoteLibrary, SampleLibrary
from harness.loadgen.sample_records import write_samples
from harness.model.registry import load_model
from harness.pipeline.burst import SHORT_S, burst, worth_a_burst
from harness.pipeline.devices import DeviceSlot
from harness.pipeline.dispatch import Dispatcher, Retired
from harness.pipeline.inline import Inline
from harness.pipeline.lane import LaneFailed
from harness.pipeline.pulse import Pulse
from harness.sessions import Session
from harness.sessions.profile import Profiled, SessionProfile
from harness.sessions.protocol import Tensor

CALIBRATION_RUNS = 3
OFFLINE_MARGIN = 1.15
"""How much more than the fastest of so few runs promises is expected of Offline."""
PREPARING_S = 600.0
"""How long LoadGen may take before its first query: it makes those of Offline by the million."""


def main(plan: Plan, parent: Connection, pulse: Pulse) -> None:
    """Runs the plan; tells the parent of phases, of the one result, `Failed` or `Finished`, and of what comes after."""
    log_output(plan)
    reporter = Reporter(plan, parent)
    try:
        # a backend may change the working directory
        test = ChildTest(replace(plan, folder=plan.folder.absolute()), reporter, pulse)
        reporter.send(test.run())
    except BaseException as error:  # noqa: BLE001 - the process's edge
        reporter.fail(error)
    try:
        test.close()
    except Exception as error:  # noqa: BLE001 - the test is over, and closing cannot spoil it any more
        reporter.send(Warned(f"a session could not be closed: {named_line(error)}"))
    reporter.send(Closed())


class ChildTest:
    """One LoadGen test, in the process that runs it.

    Args:
        plan: what is run.
        reporter: the way to the parent.
        pulse: the counters that the parent watches.
    """

    def __init__(self, plan: Plan, reporter: Reporter, pulse: Pulse) -> None:
        import mlperf_loadgen  # only here: the parent imports this module too

        self._plan = plan
        self._reporter = reporter
        self._pulse = pulse
        self._loadgen: Any = mlperf_loadgen
        self._model = load_model(plan.model.name, plan.model_file)
        self._library: Library
        self._nodes: ClusterDispatcher | None = None
        self._rest = ExitStack()
        self._warm_up = plan.backend.warmup if plan.mode == "performance" else 0
        self._loading = False
        reporter.send(Phase("opening sessions"))
        self._dispatcher = self._open()

    def run(self) -> Finished:
        """Calibrates, runs the test and writes its files.

        Raises:
            HarnessError: something cannot be used. Failures inside of LoadGen's callbacks end the process instead.
        """
        from harness.loadgen.settings import AUDIT_NAME, expected_samples, loadgen_settings

        lg, plan, reporter = self._loadgen, self._plan, self._reporter
        reporter.send(Phase("calibrating"))
        calibration = self._calibrate()
        settings = loadgen_settings(plan, calibration)
        sut = lg.ConstructFastSUT(self._dispatcher.submit, lambda: None)
        qsl = lg.ConstructQSL(
            len(plan.sample_names),
            plan.performance_sample_count,
            reporter.guard(self._load),
            reporter.guard(self._library.unload),
        )
        reporter.send(Phase("running", expected_samples(plan, settings)))
        before_s = _cpu_s()
        # LoadGen reads this file where it is there; one lying in the working directory would change the test
        over = threading.Event()
        threading.Thread(target=self._beat_until_queries_come, args=(over,), name="preparing", daemon=True).start()
        lg.StartTestWithLogSettings(sut, qsl, settings, _log_settings(lg, plan), str(plan.folder / AUDIT_NAME))
        cpu_s = _cpu_s() - before_s
        over.set()
        lg.DestroyQSL(qsl)
        lg.DestroyFastSUT(sut)
        self._dispatcher.settle()  # LoadGen has the last answers before they are recorded
        measured_ns = write_samples(plan.folder, self._dispatcher.lanes, self._pulse.beat)
        return self._finished(calibration, cpu_s, measured_ns)

    def close(self) -> None:
        """Closes the sessions."""
        with self._rest:
            self._dispatcher.close()

    def _open(self) -> Dispatcher:
        plan, system, inline = self._plan, self._plan.system, self._plan.scenario == "single_stream"
        if plan.cluster is not None:
            respond, fail = responder(self._loadgen), self._reporter.fail
            opened = open_cluster(plan, plan.cluster, respond, fail, self._pulse, self._warn_of)
            self._nodes = self._rest.enter_context(opened)
            self._library = RemoteLibrary(self._nodes)
            return self._nodes
        library = self._library = SampleLibrary(plan.source, self._pulse.beat)
        postprocess = system.new_postprocess(self._model, self._pulse, len(plan.slots), inline=inline)
        place = library.tensors, postprocess, responder(self._loadgen), self._reporter.fail, self._pulse
        if inline:
            return Inline(plan.slots[0], self._open_session, *place, warm_ahead=plan.backend.warm_ahead)
        return system.new_queue(plan.slots, self._open_session, *place, self._warn_of)

    def _open_session(self, slot: DeviceSlot) -> Session:
        session = self._plan.system.open_session(self._model, slot)
        self._pulse.beat()
        return session

    def _warn_of(self, retired: Retired) -> None:
        index, place = retired.sample_index, "before the test"
        if index is not None:
            place = f"at sample {index} ({self._plan.sample_names[index]})"
        self._reporter.send(Warned(f"{retired.slot.name} was retired {place}: {retired.reason}"))

    def _calibrate(self) -> Calibration:
        self._library.load([0])
        first = self._library.tensors[0]
        runs = CALIBRATION_RUNS if self._plan.mode == "performance" else 1
        seconds = self._dispatcher.rehearse(first, runs, hang_s=self._plan.startup_s)
        if self._plan.calibration is not None:
            return self._plan.calibration
        system, latency_s = self._plan.system, min(seconds)
        if self._is_rate_needed():
            try:
                rate = self._burst(first, latency_s)
                if rate is not None:
                    return Calibration(latency_s, rate)
            except LaneFailed as error:
                if not system.goes_on:
                    raise
                what = f"{error.slot.name} failed while the rate was calibrated: {error}; single runs give it instead"
                self._reporter.send(Warned(what))
        return Calibration(latency_s, sum(1 / s for s in seconds) * (OFFLINE_MARGIN if system.batches else 1))

    def _burst(self, first: Tensor, latency_s: float) -> float | None:
        """Samples per second of all sessions together; None: their own times say enough."""
        if self._nodes is not None:
            return self._nodes.burst(0, latency_s)
        lanes, system = cast(Any, self._dispatcher.lanes), self._plan.system
        if not worth_a_burst(lanes, latency_s):
            return None
        return burst(
            lanes,
            first,
            system.decode_setup(self._model),
            self._pulse.beat,
            batches=system.batches,
            in_flight=system.in_flight,
            hang_s=system.watchdog_s if system.goes_on else None,
        )

    def _is_rate_needed(self) -> bool:
        """Whether LoadGen's settings depend on the rate of all sessions."""
        plan, asked = self._plan, self._plan.scenario_settings
        given = {
            "offline": asked.expected_qps,
            "server": asked.target_qps,
            "multi_stream": asked.expected_latency_ms,
            "single_stream": 1,
        }
        long = plan.rules.min_duration_s >= SHORT_S
        return plan.mode == "performance" and long and given[plan.scenario] is None and not self._dispatcher.retired

    def _beat_until_queries_come(self, over: threading.Event) -> None:
        """Says that LoadGen is preparing, until it has issued a query; loading samples has signs of its own."""
        deadline = monotonic() + PREPARING_S
        while not over.wait(1) and monotonic() < deadline:
            counters = self._pulse.counters()
            if counters.submitted or counters.done.any() or (counters.at_work > 0).any():
                return
            if not self._loading:
                self._pulse.beat()

    def _load(self, indices: Sequence[int]) -> None:
        """LoadSamplesToRam. The first samples warm the sessions up, which LoadGen does not time here."""
        self._loading = True
        self._library.load(indices)
        if self._warm_up:
            runs, self._warm_up = self._warm_up, 0
            tensor = self._library.tensors[indices[0]]
            self._dispatcher.rehearse(tensor, runs, indices[0], hang_s=self._plan.watchdog_s)
        self._pulse.beat()
        self._loading = False

    def _finished(self, calibration: Calibration, cpu_s: float, measured_ns: tuple[int, int]) -> Finished:
        names = self._plan.sample_names
        return Finished(
            {lane.slot.name: len(lane.records()) for lane in self._dispatcher.lanes},
            calibration.latency_s,
            calibration.samples_per_second,
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            cpu_s,
            measured_ns,
            self._profiles(),
            tuple(
                RetiredSession(
                    gone.slot.name,
                    gone.sample_index,
                    None if gone.sample_index is None else names[gone.sample_index],
                    gone.reason,
                )
                for gone in self._dispatcher.retired
            ),
            () if self._nodes is None else uses_of(self._nodes),
        )

    def _profiles(self) -> dict[str, SessionProfile]:
        """What the sessions' own profilers counted; a session that has none is said."""
        found: dict[str, SessionProfile] = {}
        if not self._plan.profile:
            return found
        retired = {retired.slot.name for retired in self._dispatcher.retired}
        for lane in self._dispatcher.lanes:
            session = getattr(lane, "session", None)  # that of a node's lane is there
            if isinstance(session, Profiled) and lane.slot.name not in retired:
                found[lane.slot.name] = session.profile()
                self._pulse.beat()
        if not found:
            self._reporter.send(Warned(f"{self._plan.backend.name} has no profiler here: profile has no effect"))
        return found


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _log_settings(lg: Any, plan: Plan) -> Any:
    output = lg.LogOutputSettings()
    output.outdir = str(plan.folder)
    output.copy_summary_to_stdout = False
    log = lg.LogSettings()
    log.log_output = output
    log.enable_trace = plan.trace
    return log
