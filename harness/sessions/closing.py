"""The context manager of what has a `close`."""

from __future__ import annotations

from types import TracebackType
from typing import TypeVar

T = TypeVar("T", bound="Closing")


class Closing:
    """Gives a class with `close` the two ends of a ``with`` block, which closes the object itself."""

    def close(self) -> None:
        """Gives back what the object holds. May be called twice."""
        raise NotImplementedError

    def __enter__(self: T) -> T:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
