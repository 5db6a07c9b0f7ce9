"""What a run measured, read from its directory alone: `load_run` for those who analyse further."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.runs.recorded_run import Run, Test, load_run

__all__ = ["Run", "Test", "load_run"]


def __getattr__(name: str) -> Any:
    """pandas is imported when somebody asks for its tables, not with every part of this package."""
    if name not in __all__:
        raise AttributeError(f"module 'harness.report' has no attribute {name!r}")
    from harness.runs import recorded_run

    return getattr(recorded_run, name)
