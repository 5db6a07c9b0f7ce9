"""What the doctor says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cause:
    """One thing that is wrong.

    Attributes:
        name: a stable key.
        problem: a sentence without its full stop.
        evidence: what in the data says so.
        advice: what to do.
    """

    name: str
    problem: str
    evidence: str
    advice: str
