"""``--devices`` text → sessions, and the cores each one gets."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError


@dataclass(frozen=True)
class DeviceSlot:
    """One session's place: the device it opens and the cores that its thread runs on.

    Attributes:
        index: 0, 1, … over all sessions.
        device: the backend's own name for the device, e.g. ``cpu`` or ``warboy(2)``.
        cores: logical CPUs the session's thread is pinned to; empty: not pinned.
        node: of a cluster, where the device is; empty: on this machine.
    """

    index: int
    device: str
    cores: tuple[int, ...] = ()
    node: str = ""

    @property
    def name(self) -> str:
        """The session's name for people, unique in a run."""
        device = f"{self.device}#{self.index}"
        return f"{self.node}/{device}" if self.node else device


def parse_devices(spec: str) -> list[str]:
    """One device name per session: ``cpu*2,npu:0`` → cpu, cpu, npu:0.

    Raises:
        UsageError: an empty entry, or a count that is not a whole number above 0.
    """
    devices = []
    for entry in spec.split(","):
        matched = re.fullmatch(r"\s*([^*\s]+?)\s*(?:\*\s*(\d+))?\s*", entry)
        count = int(matched[2] or 1) if matched else 0
        if matched is None or count < 1:
            raise UsageError(
                f"cannot read {entry.strip()!r} in {spec!r}",
                where="devices",
                hint="name a device, with *N for N sessions, and commas between: cpu*2 or warboy(2)*4",
            )
        devices += [matched[1]] * count
    return devices


def place(devices: Sequence[str]) -> list[DeviceSlot]:
    """Shares the cores among the sessions: neighbours in the order of `core_order`, none of them twice.

    With more sessions than cores nobody is pinned: then the host waits for devices, and the scheduler knows better.
    """
    cores = core_order()
    share = len(cores) // len(devices)
    return [
        DeviceSlot(k, device, tuple(cores[k * share : (k + 1) * share]) if share else ())
        for k, device in enumerate(devices)
    ]


def core_order(topology: Path = Path("/sys/devices/system/cpu")) -> list[int]:
    """The CPUs this process may use: NUMA node by node, in each the first thread of every physical core first.

    Where the topology cannot be read, the order is by number.
    """
    allowed = sorted(os.sched_getaffinity(0))

    def key(cpu: int) -> tuple[int, int, int]:
        folder = topology / f"cpu{cpu}"
        node = next((int(p.name[4:]) for p in folder.glob("node[0-9]*")), 0)
        try:
            siblings = (folder / "topology" / "thread_siblings_list").read_text()
            first = min(int(text) for text in re.split(r"[,-]", siblings.strip()))
        except (OSError, ValueError):
            first = cpu
        return node, int(cpu != first), cpu

    return sorted(allowed, key=key)


def pin(cores: Sequence[int]) -> None:
    """Pins the calling thread, and the threads it starts from now on, to these CPUs; with none it stays as it is."""
    if cores:
        os.sched_setaffinity(0, cores)
