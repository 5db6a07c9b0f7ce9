"""The system description of a run on several nodes: how many they are, and that they are all alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.errors import UsageError
from harness.runs.records import NodeRecord

ALIKE = ("processor", "cpus", "operating_system")
"""What a description says once for all nodes, so that they may not differ in it."""
MEMORY_TOLERANCE = 0.02
"""Machines of one kind differ by what firmware and kernel keep for themselves."""


def with_nodes(system: Mapping[str, Any], nodes: Sequence[NodeRecord]) -> dict[str, Any]:
    """The description with its ``number_of_nodes``; unchanged where the run was on one machine.

    Processes of one machine are one node: their machine is the same, by its host name.

    Raises:
        UsageError: a node differs from the first one in what the round's description can say only once.
    """
    machines: dict[str, NodeRecord] = {}
    for node in nodes:
        machines.setdefault(str(node.system.get("host") or node.name), node)
    if not machines:
        return dict(system)
    first, *others = machines.values()
    for node in others:
        for name in (*ALIKE, "memory_bytes"):
            one, other = first.system.get(name), node.system.get(name)
            if not _alike(one, other):
                raise UsageError(
                    f"{name} of node {node.name} is {other}, of node {first.name} {one}",
                    where="number_of_nodes",
                    hint="the round describes all nodes of a system at once: submit nodes of one kind",
                )
    return {**system, "number_of_nodes": len(machines)}


def _alike(one: object, other: object) -> bool:
    if isinstance(one, int) and isinstance(other, int):
        return abs(one - other) <= MEMORY_TOLERANCE * max(one, other)
    return one == other
