"""What the child process tells its parent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from harness.errors import HarnessError
from harness.sessions.profile import SessionProfile

PhaseName = Literal["opening sessions", "calibrating", "running"]


@dataclass(frozen=True)
class Phase:
    """The test has reached a phase.

    Attributes:
        samples: how many it is expected to need; None where unknown.
    """

    name: PhaseName
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
class RetiredSession:
    """A session that failed or hung and was taken out.

    Attributes:
        session: the name of the device slot.
        sample_index: the sample that it was at; None: it could not be opened.
        image: the sample's name.
    """

    session: str
    sample_index: int | None
    image: str | None
    reason: str


@dataclass(frozen=True)
class NodeUse:
    """What a node of a cluster did in a test.

    Attributes:
        samples: that it answered.
        calls: that brought them there and back.
        way_ms: what a call took on its way there and back, in the mean, by the host's clock less the node's.
        way_share: of the time that the calls took altogether.
        cpu_s: what the node's process took of its processors since its start, user and system.
        peak_memory_bytes: its largest resident size.
        channel: its samples went through Ray's channels, not by calls.
        lost: it was taken out.
        system: its processor, cores, memory, operating system and versions.
    """

    name: str
    samples: int
    calls: int
    way_ms: float | None
    way_share: float | None
    cpu_s: float | None
    peak_memory_bytes: int | None
    channel: bool
    lost: bool
    system: dict[str, Any]


@dataclass(frozen=True)
class Finished:
    """The test is over and its files are written.

    Attributes:
        samples_per_session: by the name of the device slot.
        latency_s: what calibration found for a sample on one session.
        samples_per_second: likewise for all sessions together.
        peak_memory_bytes: the child's largest resident size.
        cpu_s: what LoadGen's test, without what came before and after it, took of the processors, user and system.
        measured_ns: when the first sample was issued and the last one completed, by the monotonic clock.
        profiles: of the sessions that can say where their time goes, if that was asked for.
        retired: the sessions that were taken out.
        nodes: of a cluster; empty: the sessions were in the test's own process.
        warnings: everything that a person was warned of; put in by the parent.
    """

    samples_per_session: dict[str, int]
    latency_s: float
    samples_per_second: float
    peak_memory_bytes: int
    cpu_s: float = 0.0
    measured_ns: tuple[int, int] = (0, 0)
    profiles: dict[str, SessionProfile] = field(default_factory=dict)
    retired: tuple[RetiredSession, ...] = ()
    nodes: tuple[NodeUse, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Closed:
    """The sessions are closed, after `Finished`: nothing of the test is left but the process."""


Message = Phase | Warned | Failed | Finished | Closed
