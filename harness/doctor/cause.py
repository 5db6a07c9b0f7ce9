"""What a doctor names as a cause."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cause:
    """One thing that is wrong with a log or with a model.

    Attributes:
        name: A stable key, such as ``labels-shifted-+1``.
        problem: What is wrong, a clause without its full stop.
        evidence: What in the data shows the problem.
        advice: What to do about the problem.
    """

    name: str
    problem: str
    evidence: str
    advice: str
