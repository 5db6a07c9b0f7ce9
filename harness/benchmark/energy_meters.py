"""Counters of energy, and clocks of accelerators, that this system lets us read; what it does not is absent.

RAPL is read through Linux's powercap folder (often by root only), NVIDIA's devices through NVML by the package
``pynvml`` if it is installed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from harness.files import text_if_readable


@dataclass(frozen=True)
class Reading:
    """What the meters say at a moment.

    Attributes:
        energy_j: counter → joules since any moment in the past; it never falls.
        clocks_mhz: accelerator → its clock now.
    """

    energy_j: dict[str, float] = field(default_factory=dict)
    clocks_mhz: dict[str, float] = field(default_factory=dict)


class Meter(Protocol):
    """Something that can be read again and again, by one thread."""

    def read(self) -> Reading:
        """Its counters now, always under the same names; without those that cannot be read."""
        ...

    def close(self) -> None:
        """Gives back what it holds."""
        ...


@dataclass
class _Zone:
    """A counter of RAPL's, which begins again after ``round_uj``, and the microjoules that it has counted here."""

    counter: Path
    round_uj: int
    last_uj: int
    whole_uj: int = 0


class Rapl:
    """RAPL's zones: ``package-0``, ``package-0/core``, ``dram`` and so on. Each counter wraps at its own range.

    Args:
        root: of the file system with ``sys``.
    """

    def __init__(self, root: Path) -> None:
        self._zones: dict[str, _Zone] = {}
        for folder in sorted((root / "sys/class/powercap").glob("intel-rapl:*")):
            value, most = _number(folder / "energy_uj"), _number(folder / "max_energy_range_uj")
            if value is not None and most:
                self._zones[self._free_name(folder)] = _Zone(folder / "energy_uj", most + 1, value)

    def read(self) -> Reading:
        """Joules since it was made. It has to be read before a counter has gone round once (minutes at the least)."""
        for name, zone in list(self._zones.items()):
            value = _number(zone.counter)
            if value is None:
                del self._zones[name]
                continue
            zone.whole_uj += (value - zone.last_uj) % zone.round_uj
            zone.last_uj = value
        return Reading({name: zone.whole_uj / 1e6 for name, zone in self._zones.items()})

    def close(self) -> None:
        """Holds nothing."""

    def _free_name(self, folder: Path) -> str:
        own = text_if_readable(folder / "name").strip() or folder.name
        _, _, place = folder.name.partition(":")
        parent, inner, _ = place.rpartition(":")
        above = text_if_readable(folder.with_name(f"intel-rapl:{parent}") / "name").strip() if inner else ""
        name = f"{above}/{own}" if above else own
        return name if name not in self._zones else f"{name} ({place})"


class Nvml:
    """NVIDIA's devices by NVML: energy (Volta and later) and the clock of the multiprocessors.

    Args:
        library: the module ``pynvml``.

    Raises:
        Exception: NVML's own, where there is no driver.
    """

    def __init__(self, library: Any) -> None:
        self._nvml = library
        library.nvmlInit()
        self._devices: dict[str, Any] = {}
        for index in range(library.nvmlDeviceGetCount()):
            handle = library.nvmlDeviceGetHandleByIndex(index)
            name = library.nvmlDeviceGetName(handle)
            self._devices[f"GPU {index}: {name.decode() if isinstance(name, bytes) else name}"] = handle

    def read(self) -> Reading:
        """Joules since the driver was loaded, and clocks."""
        nvml, reading = self._nvml, Reading()
        for name, handle in self._devices.items():
            try:
                reading.energy_j[name] = nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3
            except nvml.NVMLError:
                reading.energy_j.pop(name, None)  # this device does not count it
            try:
                reading.clocks_mhz[name] = float(nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM))
            except nvml.NVMLError:
                reading.clocks_mhz.pop(name, None)
        return reading

    def close(self) -> None:
        """Gives NVML back."""
        self._nvml.nvmlShutdown()


class Meters:
    """Every meter that this system has, as one.

    Args:
        root: of the file system with ``sys``, for tests.
    """

    def __init__(self, root: Path) -> None:
        rapl = Rapl(root)
        self._meters: Sequence[Meter] = [rapl, *_nvidia()]

    def read(self) -> Reading:
        """What all of them say now."""
        whole = Reading()
        for meter in self._meters:
            reading = meter.read()
            whole.energy_j.update(reading.energy_j)
            whole.clocks_mhz.update(reading.clocks_mhz)
        return whole

    def __enter__(self) -> Meters:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for meter in self._meters:
            meter.close()


def _nvidia() -> list[Meter]:
    try:
        library = import_module("pynvml")
    except ImportError:
        return []
    try:
        return [Nvml(library)]
    except library.NVMLError:
        return []  # it is installed, but there is no driver


def _number(path: Path) -> int | None:
    text = text_if_readable(path).strip()
    return int(text) if text.isdigit() else None
