"""What the child process tells its parent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from harness.errors import HarnessError

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
class Finished:
    """The test is over and its files are written.

    Attributes:
        samples_per_session: by the name of the device slot.
        latency_s: what calibration found for a sample on one session.
        samples_per_second: likewise for all sessions together.
        peak_memory_bytes: the child's largest resident size.
        cpu_s: what LoadGen's test, without what came before and after it, took of the processors, user and system.
        retired: sessions that failed or hung and were taken out: session, sample_index, image, reason.
        warnings: everything that a person was warned of; put in by the parent.
    """

    samples_per_session: dict[str, int]
    latency_s: float
    samples_per_second: float
    peak_memory_bytes: int
    cpu_s: float = 0.0
    retired: tuple[dict[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Closed:
    """The sessions are closed, after `Finished`: nothing of the test is left but the process."""


Message = Phase | Warned | Failed | Finished | Closed
