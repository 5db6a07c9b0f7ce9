"""The machine and the versions a run was made with, as far as they can be asked quickly."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import JsonValue

from harness.version import __version__

PACKAGES = ("mlcommons-loadgen", "numpy", "onnx", "onnxruntime", "openvino", "opencv-python-headless", "pycocotools")


def versions() -> dict[str, str]:
    """The versions of this package, of Python and of the installed packages that figures depend on."""
    found = {"ssd-harness": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def system() -> dict[str, JsonValue]:
    """Processor, cores, memory and operating system."""
    return {
        "processor": _processor(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "operating_system": platform.platform(),
    }


def _processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    try:
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()
