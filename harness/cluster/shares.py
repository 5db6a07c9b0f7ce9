"""How many samples each node may have, so that none runs dry and none holds up the end."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass, field
from time import monotonic_ns

from harness.cluster.messages import RemoteNode, Status

AHEAD_S = 0.05
"""In Offline a node has work for so long beside what is on its devices, so that it asks for more before it runs dry."""
CHUNK_S = 0.025
"""And gets it in chunks of so much work."""
ROUND_TRIP_S = 0.003
"""Elsewhere: what comes while an answer and the next sample are on their way."""
MOST_AT_ONCE = 4096
MEASURED_NS = 250_000_000


@dataclass
class HeldSample:
    """A sample that a node has.

    Attributes:
        issued_ns, sent_ns: when LoadGen issued it, and when it was sent, on the host's clock.
    """

    sample_id: int
    index: int
    issued_ns: int
    sent_ns: int


@dataclass(eq=False)
class NodeState:
    """A node as the host sees it.

    Attributes:
        index: of the node in the run.
        held: number → sample, of those that the node has and has not answered.
        rate: samples per second, expected at first and measured then.
        calls: how many have returned.
        way_ns, called_ns: what those calls took on the way there and back, and altogether, on the host's clock.
        status: the last one.
        retired_sessions: how many of them are known.
    """

    remote: RemoteNode
    index: int
    held: dict[int, HeldSample] = field(default_factory=dict)
    rate: float = 1.0
    alive: bool = True
    answered: int = 0
    calls: int = 0
    way_ns: int = 0
    called_ns: int = 0
    status: Status | None = None
    retired_sessions: int = 0
    _measured_from: tuple[int, int] | None = None

    @property
    def sessions(self) -> int:
        """How many sessions it has."""
        return len(self.remote.place.slots)

    def returned(self, samples: int, took_ns: int, held_ns: int) -> None:
        """Counts a call that brought so many answers.

        Args:
            took_ns: altogether, on the host's clock.
            held_ns: how long the node had it, on the node's.
        """
        self.answered += samples
        self.calls += 1
        self.called_ns += took_ns
        self.way_ns += max(took_ns - held_ns, 0)

    def measure(self) -> None:
        """Takes the rate of the time since the last measurement, if the node had work all the time."""
        now = monotonic_ns()
        if not self.held:
            self._measured_from = None
        elif self._measured_from is None:
            self._measured_from = now, self.answered
        elif now - self._measured_from[0] >= MEASURED_NS:
            since, before = self._measured_from
            rate = (self.answered - before) / (now - since) * 1e9
            self.rate = max((self.rate + rate) / 2, 1e-3)
            self._measured_from = now, self.answered


def offline_share(nodes: Sequence[NodeState], left: int) -> tuple[NodeState, int] | None:
    """The node that should be sent samples of an Offline query now, and how many; None: all have enough.

    Towards the end each node has as many as its rate promises, so that all end at the same time.

    Args:
        nodes: those that are alive.
        left: samples that no node has yet, at least one.
    """
    per_second = sum(node.rate for node in nodes)
    all_left = left + sum(len(node.held) for node in nodes)
    for node in nodes:
        chunk = max(1, min(MOST_AT_ONCE, int(node.rate * CHUNK_S)))
        enough = 2 * node.sessions + math.ceil(node.rate * AHEAD_S)
        fair = int(all_left * node.rate / per_second)
        room = min(enough, fair) - len(node.held)
        if room >= (chunk if fair >= enough else 1):
            return node, min(room, chunk, left)
    if left >= len(nodes):
        return None
    # what is left when shares are whole numbers: one by one to whoever will have done it first
    node = min(nodes, key=lambda node: (len(node.held) + 1) / node.rate)
    return node, 1


def least_loaded(nodes: Sequence[NodeState], chosen: Mapping[NodeState, Sized]) -> NodeState | None:
    """The node with the largest share of free sessions, of those that may have one more sample; None: all are full.

    Args:
        chosen: what is about to be sent.
    """

    def has(node: NodeState) -> int:
        return len(node.held) + len(chosen.get(node, ()))

    free = [node for node in nodes if has(node) < node.sessions + max(1, math.ceil(node.rate * ROUND_TRIP_S))]
    return min(free, key=lambda node: (has(node) / node.sessions, node.answered), default=None)
