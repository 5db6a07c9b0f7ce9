"""How quiet the machine was while something was measured."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

_STAT = Path("/proc/stat")


@dataclass(frozen=True)
class MachineLoad:
    """What else went on; None where the system does not say.

    Attributes:
        load_average: of the last minute, at the end.
        steal: share of the processors' time that a hypervisor gave to others, 0..1.
        busy_processors: processors that were at work on average, for whatever process.
    """

    load_average: float | None
    steal: float | None
    busy_processors: float | None


class LoadWatch:
    """Watches from its creation on."""

    def __init__(self) -> None:
        self._began = monotonic()
        self._before = _ticks()

    def end(self) -> MachineLoad:
        """The machine's load since the beginning."""
        before, now = self._before, _ticks()
        load_average = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
        if before is None or now is None:
            return MachineLoad(load_average, None, None)
        spent = [end - start for start, end in zip(before, now, strict=True)]
        ticks = max(sum(spent), 1)
        _, _, _, idle, waiting, _, _, stolen = spent
        processors = os.cpu_count() or 1
        busy = (ticks - idle - waiting - stolen) / ticks * processors
        return MachineLoad(load_average, round(stolen / ticks, 4), round(busy, 2))


def _ticks() -> list[int] | None:
    """User, nice, system, idle, iowait, irq, softirq and steal, of all processors (proc(5))."""
    try:
        first = _STAT.read_text(encoding="ascii").splitlines()[0]
    except OSError:
        return None
    return [int(text) for text in first.split()[1:9]]
