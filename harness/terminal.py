"""What a person sees while something runs, on stderr: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

PLAIN_LINE_EVERY_S = 10.0


class Report(Protocol):
    """Told how far a task is: done, of how many (None: unknown), and what it is doing now."""

    def __call__(
        self, done: int, total: int | None = None, doing: str = "", remaining_s: float | None = None
    ) -> None: ...


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
        shown = _LiveTask(self._console, title, unit) if self._live else _PlainTask(self.say, title, unit)
        try:
            yield shown.report
        except BaseException:
            shown.end("stopped")
            raise
        shown.end("done")


class _PlainTask:
    def __init__(self, say: object, title: str, unit: str) -> None:
        self._say = say
        self._title = title
        self._unit = unit
        self._began = self._said = monotonic()
        self._doing = ""
        self._done = 0
        self._print(f"{title} ...")

    def _print(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - this is the place that prints

    def report(self, done: int, total: int | None = None, doing: str = "", remaining_s: float | None = None) -> None:
        self._done = done
        now = monotonic()
        if doing == self._doing and now - self._said < PLAIN_LINE_EVERY_S:
            return
        self._said, self._doing = now, doing
        parts = [doing] if doing else []
        if done or not doing:
            parts.append(count_text(done, total, self._unit))
        if done:
            parts.append(rate_text(done / max(now - self._began, 1e-9)))
        if remaining_s is None and done and total:
            remaining_s = (now - self._began) / done * (total - done)
        if remaining_s is not None and done:
            parts.append(f"{duration_text(remaining_s)} left")
        self._print(f"{self._title}: {', '.join(parts)}")

    def end(self, how: str) -> None:
        elapsed = monotonic() - self._began
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
            _RemainingColumn(),
            TextColumn("[dim]{task.fields[doing]}"),
            console=console,
            refresh_per_second=4,
        )
        self._unit = unit
        self._began = monotonic()
        self._task = self._progress.add_task(title, total=None, count="", doing="", remaining_s=None)
        self._progress.start()

    def report(self, done: int, total: int | None = None, doing: str = "", remaining_s: float | None = None) -> None:
        elapsed = monotonic() - self._began
        if remaining_s is None and done and total:
            remaining_s = elapsed / done * (total - done)
        count = count_text(done, total, self._unit) if done or total else ""
        self._progress.update(
            self._task, completed=done, total=total, count=count, doing=doing, remaining_s=remaining_s if done else None
        )

    def end(self, how: str) -> None:
        task = self._progress.tasks[0]
        total = max(task.completed, 1)
        done = how == "done"
        self._progress.update(
            self._task, doing="" if done else how, remaining_s=None, total=total, completed=total if done else 0
        )
        self._progress.stop()


class _RemainingColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        remaining_s = task.fields["remaining_s"]
        return Text("" if remaining_s is None else f"{duration_text(remaining_s)} left", style="dim")


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
