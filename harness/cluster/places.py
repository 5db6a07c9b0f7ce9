"""Which node gets which sessions: ``--devices`` of a cluster, for the nodes that there are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.cluster.messages import NodePlace
from harness.errors import UsageError
from harness.pipeline.devices import DeviceSlot, parse_devices, place

HINT = "e.g. npu:0*2 on every node, 2*(npu:0*2),1*(cpu) on three, {npu}(npu:0*2) where a node has that resource"
GROUP = re.compile(r"\s*(?:(\d+)\s*\*\s*)?(?:\{([^{}]*)\}\s*)?\((.*)\)\s*", re.DOTALL)


@dataclass(frozen=True)
class FoundNode:
    """A node that can have sessions.

    Attributes:
        name: its own, or the host's; unique.
        node_id: Ray's; empty: a process that Ray puts on this machine.
        resources, labels: as ``ray start`` was given them.
    """

    name: str
    node_id: str
    resources: dict[str, float]
    labels: dict[str, str]


@dataclass(frozen=True)
class _Group:
    """So many nodes (None: all) that have a resource or a label, and the sessions of each."""

    nodes: int | None
    has: str
    devices: list[str]

    def fits(self, node: FoundNode) -> bool:
        name, equals, value = (part.strip() for part in self.has.partition("="))
        if not name:
            return True
        return node.labels.get(name) == value if equals else name in node.resources


def place_sessions(spec: str, nodes: Sequence[FoundNode]) -> tuple[NodePlace, ...]:
    """The nodes that have sessions, in their order, and those sessions.

    ``cpu*2`` are the sessions of every node. ``N*{HAS}(cpu*2)`` are those of N nodes that have the resource HAS, or the
    label ``NAME=VALUE``; without N of all such nodes, without ``{HAS}`` of any. Several of these stand with commas
    between; a node belongs to the first that takes it.

    Raises:
        UsageError: the text cannot be read, or asks for more nodes than there are.
    """
    free = list(nodes)
    chosen: dict[str, list[str]] = {}
    for group in _groups(spec):
        fitting = [node for node in free if group.fits(node)]
        wanted = len(fitting) if group.nodes is None else group.nodes
        if len(fitting) < max(wanted, 1):
            what = f" with {group.has}" if group.has else ""
            there = ", ".join(node.name for node in fitting) or "none"
            raise UsageError(f"{max(wanted, 1)} nodes{what} are asked for, free are: {there}", where="devices")
        for node in fitting[:wanted]:
            chosen[node.name] = group.devices
            free.remove(node)
    return tuple(_places([(node, chosen[node.name]) for node in nodes if node.name in chosen]))


def first_devices(spec: str) -> list[str]:
    """The sessions of the first nodes that the text names, or of all.

    Raises:
        UsageError: the text cannot be read.
    """
    return _groups(spec)[0].devices


def _places(chosen: Sequence[tuple[FoundNode, list[str]]]) -> Iterator[NodePlace]:
    # nodes of this machine share its cores; another machine shares its own among its sessions
    here = iter(place([device for node, devices in chosen if not node.node_id for device in devices] or ["none"]))
    index = 0
    for node, devices in chosen:
        slots = []
        for device in devices:
            cores = next(here).cores if not node.node_id else ()
            slots.append(DeviceSlot(index, device, cores, node.name))
            index += 1
        yield NodePlace(node.name, node.node_id, tuple(slots), own_cores=not node.node_id)


def _groups(spec: str) -> list[_Group]:
    if not re.match(r"\s*(\d+\s*\*\s*)?[({]", spec):
        return [_Group(None, "", parse_devices(spec))]
    groups = []
    for text in _at_commas(spec):
        matched = GROUP.fullmatch(text)
        if matched is None or matched[1] == "0":
            raise UsageError(f"cannot read {text.strip()!r} in {spec!r}", where="devices", hint=HINT)
        number, has, devices = matched.groups()
        groups.append(_Group(int(number) if number else None, has or "", parse_devices(devices)))
    return groups


def _at_commas(spec: str) -> list[str]:
    """The text at the commas that are in no brackets."""
    parts, depth = [""], 0
    for character in spec:
        depth += (character in "({") - (character in ")}")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts
