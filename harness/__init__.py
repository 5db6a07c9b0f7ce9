"""A benchmark harness in the style of MLPerf Inference for SSD-ResNet34 on NPUs and CPUs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.version import __version__

if TYPE_CHECKING:
    from harness.benchmark.measured import BenchmarkResult, benchmark
    from harness.model.ssd_resnet34.description import Platform
    from harness.model.ssd_resnet34.results import LtrbBoundingBox, ObjectDetectionResult
    from harness.ssd_resnet34 import SSDResNet34

__all__ = [
    "BenchmarkResult",
    "LtrbBoundingBox",
    "ObjectDetectionResult",
    "Platform",
    "SSDResNet34",
    "__version__",
    "benchmark",
]

_HOMES = {
    "BenchmarkResult": "harness.benchmark.measured",
    "SSDResNet34": "harness.ssd_resnet34",
    "Platform": "harness.model.ssd_resnet34.description",
    "ObjectDetectionResult": "harness.model.ssd_resnet34.results",
    "LtrbBoundingBox": "harness.model.ssd_resnet34.results",
}


def __getattr__(name: str) -> Any:
    """Imports what the model object needs when it is asked for: the command line starts without it."""
    from importlib import import_module

    if name == "benchmark":
        return import_module("harness.benchmark")
    if name not in _HOMES:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
