"""One LoadGen test in a child process, watched: it ends well, or is ended, and leaves nothing behind."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing import get_context
from time import monotonic

from harness.child_process import ChildDied, ChildProcess
from harness.errors import BackendError, RunFailed, Stalled
from harness.loadgen import child
from harness.loadgen.log import DETAIL_LOG, WarningTail
from harness.loadgen.messages import Closed, Failed, Finished, Phase, PhaseName, Warned
from harness.loadgen.overload import Overload
from harness.loadgen.plan import Plan
from harness.loadgen.reporter import OUTPUT_LOG
from harness.pipeline.pulse import AtWork, Pulse

LAST_WORDS = 12  # lines of the child's output shown when it dies
GRACE_S = 5  # where the child retires sessions that hang, we come after it
CLOSE_S = 30  # for the sessions to close after a finished test
END_S = 5  # for the process to end when nothing of the test is left in it


@dataclass(frozen=True)
class Progress:
    """How far a test is.

    Attributes:
        phase: "opening sessions", "calibrating" or "running".
        done: samples done.
        samples: how many are expected; None: unknown.
        elapsed_s: since this phase began.
        min_duration_s: how long the running phase lasts at least.
        pulse: the test's counters, read when they are wanted.
        warnings: all that came so far.
    """

    phase: PhaseName
    done: int
    samples: int | None
    elapsed_s: float
    min_duration_s: float
    pulse: Pulse
    warnings: tuple[str, ...]


def check_loadgen() -> None:
    """Whether LoadGen is here, asked before anything slow begins.

    Raises:
        BackendError: it cannot be imported.
    """
    try:
        import mlperf_loadgen  # noqa: F401 - only to see that it can be
    except ImportError as error:
        raise BackendError(
            f"LoadGen cannot be imported: {error}",
            where=f"Python {sys.version_info.major}.{sys.version_info.minor}",
            hint="pip install mlcommons-loadgen; it has wheels for Python 3.10 to 3.13",
        ) from error


def check_shared_memory() -> None:
    """Whether processes can share memory and locks here; some containers have none.

    Raises:
        BackendError: they cannot.
    """
    context = get_context("spawn")
    try:
        context.RawArray("q", 1)
        context.Lock()
    except (OSError, ImportError) as error:  # ImportError: semaphores that the platform does not have
        raise BackendError(
            f"there is no shared memory here: {error}",
            where="/dev/shm",
            hint="mount a tmpfs there; docker run has --shm-size=256m for it",
        ) from error


def run_test(
    plan: Plan,
    on_progress: Callable[[Progress], None],
    *,
    watchdog_s: float,
    startup_s: float,
    poll_s: float = 0.25,
) -> Finished:
    """Runs one test to its end.

    Raises:
        HarnessError: what the child reported; SampleFailed names the image and the device.
        Stalled: a session is at one sample, or the child gives no sign of life, for longer than ``watchdog_s``
            (``startup_s`` until the sessions are open); names what hangs.
        RunFailed: the child died without a word.
        KeyboardInterrupt: on Ctrl-C; of an overloaded test it says how much was reached.
    """
    own_watch = plan.backend.on_device_failure == "continue" and plan.scenario != "single_stream"
    if own_watch:
        watchdog_s, startup_s = watchdog_s + GRACE_S, startup_s + GRACE_S
    pulse = Pulse(len(plan.slots), 0 if plan.cluster is None else len(plan.cluster.places))
    phase, phase_began = Phase("opening sessions"), monotonic()
    watch = _Watch(pulse)
    warnings: list[str] = []
    log, overload = WarningTail(plan.folder / DETAIL_LOG, plan.expected_messages), Overload(plan)

    def tell() -> None:
        warnings.extend(log.new())
        if phase.name == "running" and (overloaded := overload.look(pulse, phase.samples)) is not None:
            warnings.append(overloaded)
        on_progress(_progress(plan, phase, phase_began, pulse, warnings))

    process = ChildProcess(child.main, (plan,), (pulse,), name=f"loadgen {plan.title}")
    try:
        while True:
            message = process.receive(poll_s)
            if isinstance(message, Failed):
                raise message.error
            if isinstance(message, Warned):
                warnings.append(message.text)
                continue
            if isinstance(message, Finished):
                warnings += _closing(process)
                tell()
                return replace(message, warnings=tuple(warnings))
            if isinstance(message, Phase):
                phase, phase_began = message, monotonic()
                watch = _Watch(pulse)
            bound_s = watchdog_s if phase.name == "running" else startup_s
            # sessions may open one after the other, each as slow as it is
            each = not own_watch and phase.name != "opening sessions"
            if (at_work := watch.silent(bound_s, each=each)) is not None:
                raise _stall(plan, phase, at_work, bound_s)
            tell()
    except ChildDied as death:
        raise _death(plan, death.exit_status) from None
    except KeyboardInterrupt as interrupt:
        if overload.reached:
            raise KeyboardInterrupt(overload.reached) from interrupt
        raise
    finally:
        process.end()


def _closing(process: ChildProcess) -> list[str]:
    """What is to be said of the closing of the sessions of a finished test, which is waited for, but not for ever."""
    warnings: list[str] = []
    deadline = monotonic() + CLOSE_S
    try:
        while (left_s := deadline - monotonic()) > 0:
            message = process.receive(left_s)
            if isinstance(message, Warned):
                warnings.append(message.text)
            if isinstance(message, Closed):
                process.end(patience_s=END_S)
                return warnings
    except ChildDied as death:
        return [*warnings, f"the process died while it closed the sessions ({_how(death.exit_status)}), after the test"]
    return [*warnings, f"the sessions were not closed {CLOSE_S:g} s after the end of the test: the process was ended"]


def _progress(plan: Plan, phase: Phase, phase_began: float, pulse: Pulse, warnings: Sequence[str]) -> Progress:
    # accuracy tests have no least duration
    least_s = plan.rules.min_duration_s if plan.mode == "performance" else 0.0
    elapsed_s = monotonic() - phase_began
    return Progress(phase.name, pulse.done, phase.samples, elapsed_s, least_s, pulse, tuple(warnings))


class _Watch:
    """Whether a session hangs at its sample, or the child is silent."""

    def __init__(self, pulse: Pulse) -> None:
        self._pulse = pulse
        self._total, self._since = -1, monotonic()
        self._at_work = AtWork()

    def silent(self, bound_s: float, *, each: bool) -> dict[int, int] | None:
        """Slot → sample of the sessions that hang, negative before the samples; None while all is well.

        Args:
            each: a single session that hangs is enough; else all must be silent.
        """
        now, total = monotonic(), self._pulse.total
        if total != self._total:
            self._total, self._since = total, now
        states = self._pulse.slots()
        seconds = self._at_work.seconds(states, now)
        at_work = {slot: state.sample for slot, state in enumerate(states) if state.sample is not None}
        if now - self._since > bound_s:
            return at_work
        hanging = {slot: sample for slot, sample in at_work.items() if seconds[slot] > bound_s}
        return hanging if each and hanging else None


def _stall(plan: Plan, phase: Phase, hanging: dict[int, int], bound_s: float) -> Stalled:
    at_work = [_where(plan, phase, slot, sample) for slot, sample in hanging.items()]
    doing = "; ".join(at_work[:3]) or "no session at work"
    return Stalled(
        f"no sign of life for {bound_s:g} s while {phase.name} ({doing})",
        where=plan.title,
        hint=f"see {plan.folder / OUTPUT_LOG}; a slow device needs a larger watchdog_s (startup_s until it runs)",
    )


def _where(plan: Plan, phase: Phase, slot: int, sample: int) -> str:
    name = plan.slots[slot].name
    if sample >= 0:
        return f"{name} at sample {sample} ({plan.sample_names[sample]})"
    return f"opening {name}" if phase.name == "opening sessions" else f"{name} at a run before the test"


def _how(exit_status: int | None) -> str:
    return f"signal {-exit_status}" if exit_status is not None and exit_status < 0 else f"exit status {exit_status}"


def _death(plan: Plan, exit_status: int | None) -> RunFailed:
    log = plan.folder / OUTPUT_LOG
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
    # after this line come the stacks of every thread
    fatal = next((k for k, line in enumerate(lines) if line.startswith("Fatal Python error")), len(lines))
    words = "".join(f"\n    {line}" for line in lines[: fatal + 1][-LAST_WORDS:])
    return RunFailed(f"the test's process died ({_how(exit_status)}){words}", where=plan.title, hint=f"see {log}")
