"""A whole run, made by ``benchmark(...)``: what it needs, its tests, and what they leave in the run directory.

The package can be called, which is how Python programs and notebooks make a run: `harness.benchmark.measured` says how.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.benchmark.measured import BenchmarkResult


class _CallablePackage(ModuleType):
    """`from harness import benchmark` gives this package, whatever of it has been imported; ``benchmark()`` runs."""

    def __call__(self, *args: Any, **settings: Any) -> BenchmarkResult:
        """See `harness.benchmark.measured.benchmark`."""
        from harness.benchmark.measured import benchmark

        return benchmark(*args, **settings)


sys.modules[__name__].__class__ = _CallablePackage
