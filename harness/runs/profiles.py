"""``profile.json``: where an inference's time goes, as each session's own profiler says it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import Field

from harness.runs.documents import SCHEMA, Document
from harness.sessions.profile import SessionProfile


class LayerRecord(Document):
    """A layer of the graph that ran: its operator, how often it ran, and its milliseconds, all of them together."""

    name: str
    kind: str
    calls: int
    total_ms: float


class SessionProfileRecord(Document):
    """A session's profile, see `harness.sessions.profile.SessionProfile`; ``parts_ms`` are of all inferences."""

    source: str
    inferences: int
    parts_ms: dict[str, float] = Field(default_factory=dict)
    layers: tuple[LayerRecord, ...] = ()


class ProfileRecord(Document):
    """``profile.json``: session → its profile."""

    schema_: int = Field(SCHEMA, alias="schema")
    sessions: dict[str, SessionProfileRecord]


def profile_record(profiles: Mapping[str, SessionProfile]) -> ProfileRecord:
    """The profiles of a test's sessions as a document."""
    return ProfileRecord(
        schema=SCHEMA,
        sessions={
            name: SessionProfileRecord(
                source=profile.source,
                inferences=profile.inferences,
                parts_ms={part: ns / 1e6 for part, ns in profile.parts_ns.items()},
                layers=tuple(
                    LayerRecord(name=layer.name, kind=layer.kind, calls=layer.calls, total_ms=layer.total_ns / 1e6)
                    for layer in profile.layers
                ),
            )
            for name, profile in profiles.items()
        },
    )


@dataclass(frozen=True)
class MeanLayer:
    """A layer's mean time in milliseconds of an inference."""

    name: str
    kind: str
    mean_ms: float


def mean_layers(sessions: Iterable[SessionProfileRecord]) -> list[MeanLayer]:
    """The layers in the order in which they ran, means over all inferences of these sessions."""
    sums: dict[tuple[str, str], float] = {}
    inferences = 0
    for session in sessions:
        inferences += session.inferences
        for layer in session.layers:
            key = layer.name, layer.kind
            sums[key] = sums.get(key, 0.0) + layer.total_ms
    return [MeanLayer(name, kind, total / inferences) for (name, kind), total in sums.items() if inferences]


def mean_parts(sessions: Iterable[SessionProfileRecord]) -> dict[str, float]:
    """Part of an inference → its mean milliseconds over all inferences of these sessions."""
    known = list(sessions)
    inferences = sum(session.inferences for session in known)
    names = dict.fromkeys(name for session in known for name in session.parts_ms)
    return {
        name: sum(session.parts_ms.get(name, 0.0) for session in known) / inferences for name in names if inferences
    }
