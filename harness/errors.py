"""Every error the harness raises on purpose; each class owns its exit status.

HarnessError                  4  the run failed
├── UsageError                2  wrong usage or configuration
├── DataError                 3  data or environment not usable
│   ├── DatasetError          3  images, annotations
│   ├── ModelError            3  the model file
│   ├── LogError              3  a LoadGen log
│   └── BackendError          3  a runtime or device that cannot be used here
├── RunFailed                 4  a test began and could not be finished
│   ├── SampleFailed          4  one sample failed; carries the image's name
│   └── Stalled               4  no sign of life from the child for too long
├── InternalError             5  an error of the harness itself
└── Interrupted             130  Ctrl-C, SIGTERM or SIGHUP
"""

from __future__ import annotations

from typing import ClassVar

LONGEST_LINE = 300


def first_line(error: BaseException) -> str:
    """What a library's error says first, for a message of ours; its type's name where it says nothing."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:LONGEST_LINE] if lines else type(error).__name__


def named_line(error: BaseException) -> str:
    """A library's error in one line, with its type's name."""
    return f"{type(error).__name__}: {first_line(error)}" if str(error).strip() else type(error).__name__


class HarnessError(Exception):
    """What is wrong, where, and what to do next.

    Args:
        what: one sentence, without a full stop at its end.
        where: the file, key, tensor or sample it is about.
        hint: what the person can do next.
    """

    exit_status: ClassVar[int] = 4

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        lines = [self.what if self.where is None else f"{self.where}: {self.what}"]
        if self.hint is not None:
            lines.append(f"  next: {self.hint}")
        return "\n".join(lines)


class UsageError(HarnessError):
    """Wrong usage or configuration."""

    exit_status = 2


class DataError(HarnessError):
    """Data or environment not usable."""

    exit_status = 3


class DatasetError(DataError):
    """Images or annotations that cannot be used."""


class ModelError(DataError):
    """A model file that cannot be used."""


class LogError(DataError):
    """A LoadGen log that cannot be used."""


class BackendError(DataError):
    """A runtime or a device that cannot be used on this machine."""


class RunFailed(HarnessError):
    """A test began and could not be finished."""


class SampleFailed(RunFailed):
    """One sample failed. ``where`` names its image and its device."""


class Stalled(RunFailed):
    """The child gave no sign of life for longer than the watchdog allows."""


class InternalError(HarnessError):
    """An error of the harness itself, which nobody foresaw."""

    exit_status = 5


class Interrupted(HarnessError):
    """Ended by Ctrl-C, SIGTERM or SIGHUP."""

    exit_status = 130
