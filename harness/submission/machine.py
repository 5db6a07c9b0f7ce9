"""What this machine says of itself, as a first ``systems/SYSTEM.json``: a person corrects and completes it."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from harness.rounds import SubmissionRules
from harness.sessions.registry import BackendInfo, list_backends
from harness.version import __version__

FRAMEWORKS = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO", "furiosa-runtime": "FuriosaAI SDK"}
"""Package → the name a reader knows."""
STACK = ("mlcommons-loadgen", "numpy", "onnx", "opencv-python-headless")
NETWORKS = Path("/sys/class/net")
DISKS = Path("/sys/block")
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def describe_machine(rules: SubmissionRules, **fields: str) -> dict[str, Any]:
    """A description with every field of the round; what cannot be asked for is "", as the division and the submitter.

    Args:
        rules: the round's.
        fields: laid over what was found.
    """
    backends = list_backends()
    found = {
        "status": "rdi",
        "system_name": platform.node() or "unnamed",
        "system_type": rules.system_types[0],
        "number_of_nodes": 1,
        **_processor(),
        **_memory(),
        **_storage(),
        "host_networking": _networking(),
        **_accelerators(backends),
        "framework": ", ".join(_versions(FRAMEWORKS)) or f"ssd-harness {__version__}",
        "operating_system": _operating_system(),
        "other_software_stack": ", ".join(
            [
                f"kernel {platform.release()}",
                f"Python {platform.python_version()}",
                f"ssd-harness {__version__}",
                *_versions({name: name for name in STACK}),
            ]
        ),
        "hw_notes": _virtual(),
    }
    return {name: fields.get(name, found.get(name, "")) for name in rules.system_fields}


_ENGLISH = os.environ | {"LC_ALL": "C"}
"""lscpu translates the names of its lines."""


def _lscpu() -> dict[str, str]:
    """lscpu's lines; empty where there is no lscpu."""
    try:
        done = subprocess.run(("lscpu", "--json"), env=_ENGLISH, capture_output=True, text=True, check=True, timeout=10)
        rows: list[dict[str, Any]] = json.loads(done.stdout)["lscpu"]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError):
        return {}
    found: dict[str, str] = {}
    while rows:
        row = rows.pop(0)
        found[row["field"].rstrip(":")] = row["data"] or ""
        rows += row.get("children", [])
    return found


def _processor() -> dict[str, Any]:
    cpu = _lscpu()
    cores = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    sockets = int(text) if (text := cpu.get("Socket(s)", "")).isdigit() else 1
    frequency = psutil.cpu_freq()
    mhz = (frequency.max or frequency.current) if frequency else 0
    caches = (f"{name} {cpu[key]}" for name in ("L1d", "L1i", "L2", "L3") if (key := f"{name} cache") in cpu)
    return {
        "host_processor_model_name": cpu.get("Model name") or platform.processor() or platform.machine(),
        "host_processors_per_node": sockets,
        "host_processor_core_count": max(cores // sockets, 1),
        "host_processor_frequency": f"{mhz / 1000:.2f} GHz" if mhz else "",
        "host_processor_caches": ", ".join(caches),
    }


def _memory() -> dict[str, str]:
    return {"host_memory_capacity": _size(psutil.virtual_memory().total)}


def _storage() -> dict[str, str]:
    """Of the disks that are not loop, RAM or swap devices."""
    kinds: dict[str, int] = {}
    for disk in sorted(DISKS.glob("*")) if DISKS.is_dir() else ():
        if re.match(r"(loop|ram|zram|sr|fd|dm-|md)", disk.name):
            continue
        try:
            size = int((disk / "size").read_text()) * 512  # the kernel counts in sectors of 512 bytes, always
            rotates = (disk / "queue" / "rotational").read_text().strip() == "1"
        except (OSError, ValueError):
            continue
        kind = "NVMe SSD" if disk.name.startswith("nvme") else "HDD" if rotates else "SSD"
        kinds[kind] = kinds.get(kind, 0) + size
    total = sum(kinds.values()) or psutil.disk_usage("/").total
    return {"host_storage_capacity": _size(total), "host_storage_type": ", ".join(kinds)}


def _networking() -> str:
    """The physical interfaces that are up, by their speed."""
    speeds = [
        f"{stats.speed} Mbit/s"
        for name, stats in sorted(psutil.net_if_stats().items())
        if stats.isup and stats.speed and (NETWORKS / name / "device").exists()
    ]
    return ", ".join(speeds)


def _accelerators(backends: list[BackendInfo]) -> dict[str, Any]:
    """The NVIDIA GPUs that nvidia-smi names, or else the devices that a backend can drive and that are no processor."""
    names, memories = _nvidia()
    if not names:
        names = [
            device
            for backend in backends
            if backend.installed and not backend.simulated
            for device in backend.devices
            if not re.match(r"cpu\b", device, re.IGNORECASE)
        ]
    kinds = list(dict.fromkeys(names))
    return {
        "accelerators_per_node": len(names),
        "accelerator_model_name": ", ".join(kinds) or "N/A",
        "accelerator_memory_capacity": ", ".join(dict.fromkeys(memories)),
    }


def _nvidia() -> tuple[list[str], list[str]]:
    query = ("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader")
    try:
        done = subprocess.run(query, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return [], []
    rows = [line.split(", ") for line in done.stdout.splitlines() if line.count(", ") == 1]
    return [name for name, _ in rows], [memory for _, memory in rows]


def _operating_system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.platform()


def _virtual() -> str:
    hypervisor = _lscpu().get("Hypervisor vendor")
    return f"virtual machine ({hypervisor})" if hypervisor else ""


def _versions(packages: dict[str, str]) -> list[str]:
    found = []
    for package, name in packages.items():
        try:
            found.append(f"{name} {version(package)}")
        except PackageNotFoundError:
            continue
    return found


def _size(count: float) -> str:
    for unit in _UNITS[:-1]:
        if count < 1024:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} {_UNITS[-1]}"
