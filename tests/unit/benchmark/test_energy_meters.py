"""Counters of energy: RAPL's folder made up, and a made-up NVML."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from harness.benchmark.energy_meters import Meters, Rapl


def zone(root: Path, place: str, name: str, energy_uj: int | None) -> Path:
    folder = root / "sys/class/powercap" / f"intel-rapl:{place}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "max_energy_range_uj").write_text("9999999\n")
    if energy_uj is not None:
        (folder / "energy_uj").write_text(f"{energy_uj}\n")
    return folder


def test_zones_are_named_and_counted_from_the_first_look(tmp_path: Path) -> None:
    zone(tmp_path, "0", "package-0", 5_000_000)
    zone(tmp_path, "0:0", "core", 1_000_000)
    zone(tmp_path, "1", "package-1", None)  # for root only
    rapl = Rapl(tmp_path)
    zone(tmp_path, "0", "package-0", 7_500_000)
    assert rapl.read().energy_j == {"package-0": 2.5, "package-0/core": 0.0}


def test_a_counter_that_went_round_goes_on(tmp_path: Path) -> None:
    zone(tmp_path, "0", "package-0", 9_000_000)
    rapl = Rapl(tmp_path)
    zone(tmp_path, "0", "package-0", 1_000_000)
    assert rapl.read().energy_j == {"package-0": 2.0}


def test_a_zone_that_cannot_be_read_any_more_is_absent(tmp_path: Path) -> None:
    folder = zone(tmp_path, "0", "package-0", 1)
    rapl = Rapl(tmp_path)
    (folder / "energy_uj").unlink()
    assert rapl.read().energy_j == {}


class NvmlError(Exception):
    """NVML's own."""


def nvml(**replaced: Any) -> ModuleType:
    """A made-up pynvml of one device."""
    module = ModuleType("pynvml")

    def unsupported(_: object) -> float:
        raise NvmlError

    given = {
        "NVMLError": NvmlError,
        "NVML_CLOCK_SM": 1,
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlDeviceGetCount": lambda: 1,
        "nvmlDeviceGetHandleByIndex": lambda index: SimpleNamespace(index=index),
        "nvmlDeviceGetName": lambda handle: b"H100",
        "nvmlDeviceGetTotalEnergyConsumption": lambda handle: 12_500,
        "nvmlDeviceGetClockInfo": lambda handle, kind: 1980,
        "unsupported": unsupported,
    }
    for name, value in (given | replaced).items():
        setattr(module, name, value)
    return module


def test_nvidias_devices_are_read_where_pynvml_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", nvml())
    with Meters(tmp_path) as meters:
        reading = meters.read()
    assert reading.energy_j == {"GPU 0: H100": 12.5}
    assert reading.clocks_mhz == {"GPU 0: H100": 1980.0}


def test_what_a_device_does_not_count_is_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = nvml()
    module.nvmlDeviceGetTotalEnergyConsumption = module.unsupported  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pynvml", module)
    with Meters(tmp_path) as meters:
        assert meters.read().energy_j == {}


def test_a_machine_without_a_driver_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_driver() -> None:
        raise NvmlError

    monkeypatch.setitem(sys.modules, "pynvml", nvml(nvmlInit=no_driver))
    with Meters(tmp_path) as meters:
        assert meters.read().clocks_mhz == {}
