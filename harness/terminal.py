"""What a person sees while something runs, on stderr: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

PLAIN_LINE_EVERY_S = 10.0
PIPE_COLUMNS = 140


class Report(Protocol):
    """Told how far a task is: done, of how many (None: unknown), and what it is doing now."""

    def __call__(
        self, done: int, total: int | None = None, doing: str = "", remaining_s: float | None = None
    ) -> None: ...


def output() -> Console:
    """The console for a command's results, on stdout; a file or a pipe has no width of its own and gets a wide one."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = PIPE_COLUMNS
    return console


class Terminal:
    """Shows tasks and says lines."""

    def __init__(self) -> None:
        self._console = Console(file=sys.stderr, highlight=False, soft_wrap=True)
        self._live = self._console.is_terminal

    def say(self, text: str) -> None:
        """One line, as it is."""
        self._console.print(text, markup=False)

    def result(self, text: str) -> None:
        """One line of what a command was called for, on stdout."""
        print(text, flush=True)  # noqa: T201 - this is the place that prints

    @contextmanager
    def task(self, title: str, unit: str = "") -> Iterator[Report]:
        """A task with progress; its last line stays: what was done, how long it took, at what rate."""
        shown = _LiveTask(self._console, title, unit) if self._live else _PlainTask(title, unit)
        try:
            yield shown.report
        except BaseException:
            shown.end("stopped")
            raise
        shown.end("done")


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
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - this is the place that prints

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
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[count]}"),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[state]}"),
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
