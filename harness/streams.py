"""Standard output and standard error that do not end a program: their reader may go, and they can write any text.

A reader that goes away (``| head``, a closed terminal), a full disk under a redirection, or a stream that was closed
from the start costs the text and nothing else. What got lost is kept, so that a program whose text was its work can
say so with its exit status.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

READER_IS_GONE = frozenset({errno.EPIPE, errno.EIO, errno.ENXIO})
"""A pipe without a reader, and a terminal that was hung up."""

_PLAIN = {"–": "-", "—": "-", "−": "-", "…": "...", "×": "x", "µ": "u", "→": "->", "≤": "<=", "≥": ">=", "±": "+/-"}
_PLAIN |= {"✓": "ok", "✗": "x", "·": "-", "‘": "'", "’": "'", "“": '"', "”": '"', "≈": "~"}
_ERRORS = "ssd-harness-plain"


def printable(text: str) -> str:
    r"""The text without anything that a terminal would obey.

    Control characters other than line feed and tab, lone surrogates and the marks that turn the direction of a line
    around are written as ``\x1b`` and the like.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in "\n\t" or char in _HARMLESS else ascii(char)[1:-1] for char in text
    )


_HARMLESS = frozenset("\u00a0\u00ad\u2002\u2003\u2009\u200a\u202f\u3000")
"""Spaces and the soft hyphen: not "printable" for Python, but nothing that a terminal obeys."""


class LastingStream(io.TextIOBase):
    """A text stream whose failure to write is no error.

    Attributes:
        lost: the first error of writing; None while all was written.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self.lost: OSError | None = None

    def write(self, text: str) -> int:
        """Writes the text, or drops it where that cannot be."""
        try:
            self._stream.write(text)
        except OSError as error:
            self._lose(error)
        except ValueError as error:  # somebody has closed it
            self._lose(OSError(errno.EBADF, str(error)))
        return len(text)

    def flush(self) -> None:
        """Writes what is held back, or drops it."""
        try:
            self._stream.flush()
        except OSError as error:
            self._lose(error)
        except ValueError as error:
            self._lose(OSError(errno.EBADF, str(error)))

    def isatty(self) -> bool:
        """Whether a person looks at it."""
        with suppress(ValueError):
            return self.lost is None and self._stream.isatty()
        return False

    def fileno(self) -> int:
        """The descriptor below."""
        return self._stream.fileno()

    def writable(self) -> bool:
        """Always true."""
        return True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream below."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """What the stream below does with characters that its encoding does not have."""
        return getattr(self._stream, "errors", None)

    def _lose(self, error: OSError) -> None:
        """What is in the buffers, and what comes, goes nowhere: else the interpreter complains at its end."""
        if self.lost is not None:
            return
        self.lost = error
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


@contextmanager
def lasting_streams() -> Iterator[LastingStream]:
    """Standard output and standard error are lasting ones while the block runs; gives standard output."""
    _open_standard_descriptors()
    before = sys.stdout, sys.stderr
    output, errors = (_lasting(stream, number) for number, stream in ((1, sys.stdout), (2, sys.stderr)))
    sys.stdout, sys.stderr = cast(TextIO, output), cast(TextIO, errors)
    try:
        yield output
    finally:
        output.flush()
        errors.flush()
        sys.stdout, sys.stderr = before


def write_any_text(stream: TextIO) -> None:
    """Characters that the stream's encoding does not have are written in a plain way, instead of raising."""
    codecs.register_error(_ERRORS, _plain)
    if isinstance(stream, io.TextIOWrapper):
        with suppress(OSError, ValueError):
            stream.reconfigure(errors=_ERRORS)


def _lasting(stream: TextIO | None, descriptor: int) -> LastingStream:
    if stream is None:  # closed from the start, as under some daemons
        stream = os.fdopen(descriptor, "w", encoding="utf-8", closefd=False)
    write_any_text(stream)
    return LastingStream(stream)


def _open_standard_descriptors() -> None:
    """Lets descriptors 0 to 2 that were closed lead to nowhere.

    Else the next files that are opened get their numbers, and what libraries print lands in them.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != descriptor:
                os.dup2(nowhere, descriptor)
                os.close(nowhere)
            os.set_inheritable(descriptor, True)


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    found = error.object[error.start : error.end]
    return "".join(_PLAIN.get(char) or ascii(char)[1:-1] for char in found), error.end
