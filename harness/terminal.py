"""What is shown while something runs, on stderr.

To a person: a live picture on a terminal, plain lines elsewhere. To a program: JSON lines (see --json-progress).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from time import monotonic, time
from typing import Any, Literal, Protocol

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.segment import Segment

from harness.streams import printable

PLAIN_LINE_EVERY_S = 10.0
JSON_LINE_EVERY_S = 1.0
JSON_SCHEMA = 1
PIPE_COLUMNS = 140

Style = Literal["live", "lines", "quiet", "json"]


class Report(Protocol):
    """Takes how far a task is: done, of how many (None: unknown), and what it is doing now."""

    def __call__(self, done: int, total: int | None = None, doing: str = "", remaining_s: float | None = None) -> None:
        """Reports that `done` of `total` is done, and what is being done."""


class TextConsole(Console):
    """A console that shows texts as they are: brackets are no markup, and what a terminal would obey is spelled out.

    Names in it come from files that others made.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"highlight": False, "markup": False, "emoji": False} | kwargs)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The pieces that make up the picture, without control characters of their own."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(printable(segment.text), segment.style)


def output() -> Console:
    """The console for a command's results, on stdout; a file or a pipe has no width of its own and gets a wide one."""
    console = TextConsole()
    if not console.is_terminal:
        console.width = PIPE_COLUMNS
    return console


class Terminal:
    """Shows tasks and says lines.

    Args:
        style: None: a live picture on a terminal, lines elsewhere. "quiet" shows results and errors only.
    """

    def __init__(self, style: Style | None = None) -> None:
        self.console = TextConsole(file=sys.stderr, soft_wrap=True)
        """The console that writes to stderr."""
        can_draw = self.console.is_terminal and not self.console.is_dumb_terminal
        self.style: Style = style or ("live" if can_draw else "lines")

    def say(self, text: str) -> None:
        """One line, as it is."""
        if self.style == "json":
            emit("message", text=text)
        elif self.style != "quiet":
            self.console.print(text)

    def result(self, text: str) -> None:
        """One line of what a command was called for, on stdout."""
        print(printable(text), flush=True)  # noqa: T201 - this is the place that prints

    def tell(self, event: str, **fields: Any) -> None:
        """An event for a program that drives us; a person has the results or the error."""
        if self.style == "json":
            emit(event, **fields)

    @contextmanager
    def task(self, title: str, unit: str = "") -> Iterator[Report]:
        """A task with progress; its last line stays: what was done, how long it took, at what rate."""
        shown = self._shown(title, unit)
        try:
            yield shown.report
        except BaseException:
            shown.end("stopped")
            raise
        shown.end("done")

    def _shown(self, title: str, unit: str) -> _Shown:
        if self.style == "live":
            return _LiveTask(self.console, title, unit)
        if self.style == "json":
            return _JsonTask(title, unit)
        return _PlainTask(title, unit) if self.style == "lines" else _QuietTask()


def emit(event: str, **fields: Any) -> None:
    """One JSON line on stderr, with the time in seconds since 1970."""
    line = json.dumps({"event": event, "time": round(time(), 3), **fields})
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - this is the place that prints


class _Shown(Protocol):
    def report(
        self, done: int, total: int | None = None, doing: str = "", remaining_s: float | None = None
    ) -> None: ...

    def end(self, how: str) -> None: ...


class _QuietTask:
    def report(self, done: int, total: int | None = None, doing: str = "", remaining_s: float | None = None) -> None:
        """Reports nothing."""

    def end(self, how: str) -> None:
        """Ends without a word."""


class _JsonTask:
    def __init__(self, title: str, unit: str) -> None:
        self._what = {"task": title, "unit": unit}
        self._said, self._doing, self._done = monotonic(), "", 0
        emit("task", **self._what, state="began", done=0)

    def report(self, done: int, total: int | None = None, doing: str = "", remaining_s: float | None = None) -> None:
        self._done = done
        now = monotonic()
        if doing == self._doing and now - self._said < JSON_LINE_EVERY_S:
            return
        self._said, self._doing = now, doing
        emit("task", **self._what, state="running", done=done, total=total, doing=doing, remaining_s=remaining_s)

    def end(self, how: str) -> None:
        emit("task", **self._what, state=how, done=self._done)


class _Pace:
    """Rate and remaining time of a task, counted from the moment it stopped preparing."""

    def __init__(self) -> None:
        self.began = self._counting_since = monotonic()

    def texts(self, done: int, total: int | None, doing: str, remaining_s: float | None) -> list[str]:
        """What is known of: the rate, the remaining time."""
        now = monotonic()
        if doing:
            self._counting_since = now
        elapsed_s = now - self._counting_since
        if not done or not elapsed_s:
            return []
        if remaining_s is None and total:
            remaining_s = elapsed_s / done * (total - done)
        rate = rate_text(done / elapsed_s)
        return [rate] if remaining_s is None else [rate, f"{duration_text(remaining_s)} left"]


class _PlainTask:
    def __init__(self, title: str, unit: str) -> None:
        self._title = title
        self._unit = unit
        self._pace = _Pace()
        self._said = monotonic()
        self._doing = ""
        self._done = 0
        self._print(f"{title} ...")

    def _print(self, text: str) -> None:
        print(printable(text), file=sys.stderr, flush=True)  # noqa: T201 - this is the place that prints

    def report(self, done: int, total: int | None = None, doing: str = "", remaining_s: float | None = None) -> None:
        self._done = done
        pace = self._pace.texts(done, total, doing, remaining_s)
        now = monotonic()
        if doing == self._doing and now - self._said < PLAIN_LINE_EVERY_S:
            return
        self._said, self._doing = now, doing
        what = doing or count_text(done, total, self._unit)
        self._print(f"{self._title}: {', '.join([what, *pace])}")

    def end(self, how: str) -> None:
        elapsed = monotonic() - self._pace.began
        what = f", {self._done}{' ' + self._unit if self._unit else ''}" if self._done else ""
        self._print(f"{self._title}: {how} in {duration_text(elapsed)}{what}")


class _LiveTask:
    def __init__(self, console: Console, title: str, unit: str) -> None:
        self._progress = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[count]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("{task.fields[state]}", style="dim", markup=False),
            console=console,
            refresh_per_second=4,
        )
        self._unit = unit
        self._pace = _Pace()
        self._task = self._progress.add_task(title, total=None, count="", state="")
        self._progress.start()

    def report(self, done: int, total: int | None = None, doing: str = "", remaining_s: float | None = None) -> None:
        pace = self._pace.texts(done, total, doing, remaining_s)
        count = count_text(done, total, self._unit) if done or total else ""
        self._progress.update(self._task, completed=done, total=total, count=count, state=doing or ", ".join(pace))

    def end(self, how: str) -> None:
        task = self._progress.tasks[0]
        total = max(task.completed, 1)
        done = how == "done"
        self._progress.update(self._task, state="" if done else how, total=total, completed=total if done else 0)
        self._progress.stop()


def count_text(done: int, total: int | None, unit: str) -> str:
    """``12 of 64 samples``."""
    text = str(done) if total is None else f"{done} of {total}"
    return f"{text} {unit}" if unit else text


def rate_text(per_second: float) -> str:
    """``1.68/s``: three significant digits."""
    return f"{per_second:,.0f}/s" if per_second >= 1000 else f"{per_second:.3g}/s"


def duration_text(seconds: float) -> str:
    """``0.4 s``, ``38 s``, ``12 min 05 s``."""
    if seconds < 10:
        return f"{max(seconds, 0):.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60:02d} s"
