"""A terminal in memory with a program in it: what a person would see."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType

import pyte


class Terminal(pyte.Screen):
    """pyte knows no dim text: it is kept as italics, which we do not use."""

    def select_graphic_rendition(self, *attributes: int, private: bool = False) -> None:
        super().select_graphic_rendition(
            *(3 if attribute == 2 and len(attributes) < 3 else attribute for attribute in attributes)
        )


class Screen:
    """Runs a command in a pseudo-terminal of that size.

    Attributes:
        terminal: pyte's screen: `display` is its lines, `buffer` its characters with their colours.
        process: the command.
    """

    def __init__(
        self, command: Sequence[str], *, columns: int = 80, lines: int = 24, env: Mapping[str, str] | None = None
    ) -> None:
        self.terminal = Terminal(columns, lines)
        self._stream = pyte.ByteStream(self.terminal)
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        environment = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR")}
        environment |= {"TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": str(lines)}
        self.process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment | dict(env or {}),
            start_new_session=True,
        )
        os.close(theirs)

    @property
    def text(self) -> str:
        """All lines."""
        return "\n".join(self.terminal.display)

    def until(self, seen: Callable[[str], bool], timeout_s: float = 60) -> bool:
        """Reads on until the text fulfils the condition (True), or the program ends or the time is over (False)."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self._read(0.1):
                continue
            if seen(self.text):  # between two pictures
                return True
            if self.process.poll() is not None and not self._read(0):
                break
        return seen(self.text)

    def _read(self, wait_s: float) -> bool:
        """Takes what there is; False when nothing came."""
        if not select.select([self._ours], [], [], wait_s)[0]:
            return False
        try:
            data = os.read(self._ours, 65536)
        except OSError:  # the other side is closed
            return False
        self._stream.feed(data)
        return bool(data)

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def __enter__(self) -> Screen:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._ours)
