"""A benchmark harness in the style of MLPerf Inference for SSD-ResNet34 on NPUs and CPUs."""

from harness.version import __version__

__all__ = ["__version__"]
