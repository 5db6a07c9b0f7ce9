"""What is known of a running test, computed by the process that watches from counters in shared memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import NamedTuple, Protocol

import numpy as np

from harness.loadgen.messages import PhaseName
from harness.loadgen.plan import Plan
from harness.loadgen.process import Progress
from harness.pipeline.counters import percentile
from harness.pipeline.pulse import CALLED, LOST, WAY, AtWork, Counters, SlotState
from harness.stages import PERCENTILES, STAGES

RECENT_S = 3.0
"""Rates and busy shares called recent are of so long."""
HISTORY = 60
"""Rates kept, one a second."""
STUCK_S, STUCK_TIMES = 2.0, 20
"""A session that is at one sample for so long, and so many times its usual inference, is worth a warning."""


class RunningAccuracy(Protocol):
    """The mAP of the answers so far, kept by whoever evaluates them."""

    @property
    def latest(self) -> tuple[float, int] | None:
        """(mAP in 0..1, images it is of); None before the first."""
        ...


@dataclass(frozen=True)
class Device:
    """One session now.

    Attributes:
        samples: answered.
        per_second: its recent samples/s; None before the second answer.
        busy: the share of the recent time in which it was inferring, 0..1; None likewise.
        inference_ms: recent mean.
        at_sample: the dataset index of the sample it is at; None: idle.
        at_it_s: for how long.
    """

    name: str
    samples: int
    per_second: float | None
    busy: float | None
    inference_ms: float | None
    at_sample: int | None
    at_it_s: float


@dataclass(frozen=True)
class Node:
    """A node of a cluster now.

    Attributes:
        samples: that its sessions answered.
        per_second, busy: of its sessions, their sum and their mean, as `Device` has them; None likewise.
        way_share: of the time of its recent calls, what they were on the way there and back, 0..1; None before the
            first that came back.
        lost: it was taken out.
    """

    name: str
    samples: int
    per_second: float | None
    busy: float | None
    way_share: float | None
    lost: bool


@dataclass(frozen=True)
class Figures:
    """A test at one moment.

    Attributes:
        phase: "opening sessions", "calibrating" or "running".
        samples: how many are expected; None: unknown, or passed because the test lasts its least duration.
        share: of the test that is over, 0..1; None: unknown.
        samples_per_second: from the first issue to the last answer.
        recent_per_second: of the last seconds.
        history: recent rates, one a second, the oldest first.
        latency_ms: running p50, p90, p99, within 0.8 %; empty before the first answer. Of samples, from their issue;
            in Offline, where all are issued at once, from the moment a session took them.
        stages_ms: mean of every stage over the whole test.
        waiting: samples issued that no session has taken.
        accuracy: (mAP in 0..1, images) so far.
        nodes: of a cluster.
    """

    title: str
    phase: PhaseName
    elapsed_s: float
    done: int
    samples: int | None
    remaining_s: float | None
    share: float | None
    samples_per_second: float | None
    recent_per_second: float | None
    history: tuple[float, ...]
    latency_from: str
    latency_ms: dict[str, float]
    stages_ms: dict[str, float]
    waiting: int
    devices: tuple[Device, ...]
    accuracy: tuple[float, int] | None
    warnings: tuple[str, ...]
    nodes: tuple[Node, ...] = ()


class _Seen(NamedTuple):
    at: float
    counters: Counters


class Meter:
    """Progress after progress of one test → figures."""

    def __init__(self, plan: Plan, title: str | None = None, accuracy: RunningAccuracy | None = None) -> None:
        self._title = title or plan.title
        self._names = [slot.name for slot in plan.slots]
        self._nodes = () if plan.cluster is None else plan.cluster.places
        self._latency_from = "start" if plan.scenario == "offline" else "issue"
        self._accuracy = accuracy
        self._seen: deque[_Seen] = deque()
        self._history: deque[float] = deque(maxlen=HISTORY)
        self._history_at: tuple[float, int] | None = None
        self._at_work = AtWork()
        self._stuck: set[tuple[int, SlotState]] = set()
        self._warnings: list[str] = []
        self._told = 0

    def read(self, progress: Progress) -> Figures:
        """The figures of this moment."""
        now, counters = monotonic(), progress.pulse.counters()
        self._remember(now, counters)
        old = self._seen[0]
        done, running = progress.done, progress.phase == "running"
        span_ns = int(counters.last_ns.max()) - min((int(ns) for ns in counters.first_ns if ns), default=0)
        stages_ns = counters.stages_ns.sum(axis=0)
        self._warnings += progress.warnings[self._told :]
        self._told = len(progress.warnings)
        devices = self._devices(now, old.counters, counters)
        per_second = done / span_ns * 1e9 if done and span_ns > 0 else None
        remaining_s = _remaining_s(progress, per_second) if running else None
        elapsed_s = progress.elapsed_s
        return Figures(
            title=self._title,
            phase=progress.phase,
            elapsed_s=elapsed_s,
            done=done,
            samples=progress.samples if progress.samples is None or done <= progress.samples else None,
            remaining_s=remaining_s,
            share=None if remaining_s is None else elapsed_s / max(elapsed_s + remaining_s, 1e-9),
            samples_per_second=per_second,
            recent_per_second=self._recent(now, old, done),
            history=tuple(self._history),
            latency_from=self._latency_from,
            latency_ms={
                name: value / 1e6
                for name, share in PERCENTILES.items()
                if (value := percentile(counters.histogram, share)) is not None
            },
            stages_ms={name: float(ns) / done / 1e6 for name, ns in zip(STAGES, stages_ns, strict=True)}
            if done
            else {},
            waiting=max(counters.submitted - done - int(np.count_nonzero(counters.at_work > 0)), 0),
            devices=devices,
            accuracy=self._accuracy.latest if self._accuracy is not None else None,
            warnings=tuple(self._warnings),
            nodes=self._nodes_now(devices, old.counters, counters),
        )

    def _remember(self, now: float, counters: Counters) -> None:
        done = int(counters.done.sum())
        if not done:  # what is recent begins with the first answer
            self._seen.clear()
        self._seen.append(_Seen(now, counters))
        while len(self._seen) > 2 and now - self._seen[1].at >= RECENT_S:
            self._seen.popleft()
        if self._history_at is None:
            self._history_at = (now, done) if done else None
        elif now - self._history_at[0] >= 1:
            self._history.append((done - self._history_at[1]) / (now - self._history_at[0]))
            self._history_at = now, done

    @staticmethod
    def _recent(now: float, old: _Seen, done: int) -> float | None:
        return (done - int(old.counters.done.sum())) / (now - old.at) if done and now > old.at else None

    def _devices(self, now: float, old: Counters, new: Counters) -> tuple[Device, ...]:
        states = [
            SlotState(done, current - 1 if current > 0 else None)
            for done, current in zip(new.done.tolist(), new.at_work.tolist(), strict=True)
        ]
        seconds = self._at_work.seconds(states, now)
        devices = []
        for k, (name, state) in enumerate(zip(self._names, states, strict=True)):
            began = old.last_ns[k] or new.first_ns[k]  # before its first answer: from its first issue
            span_ns, count = int(new.last_ns[k] - began), int(new.done[k] - old.done[k])
            inferring_ns = int(new.stages_ns[k, 1] - old.stages_ns[k, 1])
            known = count > 0 and span_ns > 0
            device = Device(
                name,
                state.done,
                per_second=count / span_ns * 1e9 if known else None,
                busy=min(inferring_ns / span_ns, 1.0) if known else None,
                inference_ms=inferring_ns / count / 1e6 if count else None,
                at_sample=state.sample,
                at_it_s=seconds[k],
            )
            self._watch(k, device, new)
            devices.append(device)
        return tuple(devices)

    def _nodes_now(self, devices: Sequence[Device], old: Counters, new: Counters) -> tuple[Node, ...]:
        nodes = []
        for k, place in enumerate(self._nodes):
            own = [devices[slot.index] for slot in place.slots]
            rates = [device.per_second for device in own if device.per_second is not None]
            busy = [device.busy for device in own if device.busy is not None]
            way_ns, called_ns = (int(ns) for ns in new.nodes[k, [WAY, CALLED]] - old.nodes[k, [WAY, CALLED]])
            node = Node(
                place.name,
                sum(device.samples for device in own),
                per_second=sum(rates) if rates else None,
                busy=sum(busy) / len(own) if busy else None,
                way_share=way_ns / called_ns if called_ns else None,
                lost=bool(new.nodes[k, LOST]),
            )
            nodes.append(node)
        return tuple(nodes)

    def _watch(self, k: int, device: Device, counters: Counters) -> None:
        usual_s = int(counters.stages_ns[k, 1]) / max(device.samples, 1) / 1e9
        this = k, SlotState(device.samples, device.at_sample)
        if device.samples and device.at_it_s > max(STUCK_S, STUCK_TIMES * usual_s) and this not in self._stuck:
            self._stuck.add(this)
            text = f"{device.name} has been at sample {device.at_sample} for {device.at_it_s:.0f} s"
            self._warnings.append(f"{text}; it usually takes {usual_s * 1e3:.3g} ms")


def _remaining_s(progress: Progress, per_second: float | None) -> float | None:
    """By the samples that are missing and the least duration, whichever takes longer."""
    if not per_second:
        return None
    missing = max((progress.samples or 0) - progress.done, 0)
    return max(missing / per_second, progress.min_duration_s - progress.elapsed_s, 0.0)


def busy_range(devices: Sequence[Device]) -> tuple[float, float, float] | None:
    """Least, median and most busy share of the devices that have one."""
    shares = sorted(device.busy for device in devices if device.busy is not None)
    return (shares[0], float(np.median(shares)), shares[-1]) if shares else None
