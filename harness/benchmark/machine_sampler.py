"""The machine over the time of a test, looked at twice a second by a thread of the parent process."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic_ns
from types import TracebackType

from harness.benchmark.energy_meters import Meters, Reading
from harness.benchmark.machine_watch import ROOT, frequency_mhz, processor_times
from harness.files import text_if_readable
from harness.runs.machine_load import AT, BUSY, CLOCK, ENERGY, FREQUENCY, OWN, MachineTable, machine_table

EVERY_S = 0.5
MOST = 1200
"""Moments that are kept; of a longer test every second, fourth, …."""


@dataclass(frozen=True)
class _Moment:
    """Counters of a moment, seconds of all cores together; None is what could not be read."""

    at_ns: int
    busy_s: float | None
    own_s: float | None
    frequency_mhz: float | None
    reading: Reading


class MachineSampler:
    """Looks at the machine from the block's beginning to its end.

    Args:
        root: of the file system with ``proc`` and ``sys``, for tests.
        every_s: between two looks, at first.
    """

    def __init__(self, root: Path = ROOT, every_s: float = EVERY_S) -> None:
        self._root = root
        self.every_s = every_s
        self._moments: list[_Moment] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="machine sampler", daemon=True)

    def __enter__(self) -> MachineSampler:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def table(self, first_issued_ns: int) -> MachineTable:
        """The moments as `harness.runs.machine_load.read_machine_load` gives them; for after the block.

        Args:
            first_issued_ns: by the monotonic clock; the table's times count from it.
        """
        rows = [
            {
                AT: (moment.at_ns - first_issued_ns) / 1e9,
                BUSY: moment.busy_s,
                OWN: moment.own_s,
                FREQUENCY: moment.frequency_mhz,
                **{f"{ENERGY}{name}": joules for name, joules in moment.reading.energy_j.items()},
                **{f"{CLOCK}{name}": clock for name, clock in moment.reading.clocks_mhz.items()},
            }
            for moment in self._moments
        ]
        return machine_table(rows)

    def _sample(self) -> None:
        with Meters(self._root) as meters:
            over = False
            while not over:
                self._moments.append(self._look(meters))
                if len(self._moments) > MOST:
                    del self._moments[1::2]
                    self.every_s *= 2
                over = self._over.wait(self.every_s)
            self._moments.append(self._look(meters))

    def _look(self, meters: Meters) -> _Moment:
        busy_s, _ = processor_times(self._root)
        own_s = sum(_of_process(self._root, pid) for pid in _own_processes(self._root))
        return _Moment(monotonic_ns(), busy_s, own_s or None, frequency_mhz(self._root), meters.read())


def _own_processes(root: Path) -> Iterator[int]:
    """This process and all that descend from it."""
    ahead = [os.getpid()]
    while ahead:
        pid = ahead.pop()
        yield pid
        with suppress(OSError):  # a process that ends while its threads are listed
            for children in (root / f"proc/{pid}/task").glob("*/children"):
                ahead += map(int, text_if_readable(children).split())


def _of_process(root: Path, pid: int) -> float:
    """Seconds of processors that a process has had, with its children that have ended; 0 for one that is gone."""
    fields = text_if_readable(root / f"proc/{pid}/stat").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK") if len(fields) > 15 else 0.0
