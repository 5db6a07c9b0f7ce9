"""How a running test is shown, by the terminal's style: a live picture, lines, JSON lines, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from time import monotonic, thread_time
from typing import Any, Protocol

from rich.live import Live
from rich.text import Text

from harness.live.figures import Figures, Meter, RunningAccuracy
from harness.live.view import LiveView, number_text
from harness.loadgen.plan import Plan
from harness.loadgen.process import Progress
from harness.terminal import JSON_LINE_EVERY_S, PLAIN_LINE_EVERY_S, Terminal, count_text, duration_text, emit, rate_text

REDRAW_EVERY_S = 0.25
REDRAW_AT_LEAST_EVERY_S = 1.0
SHARE_OF_A_CORE = 0.01
"""What drawing may take at most: on a machine whose cores are the device, a picture takes time from the test."""


class Display(Protocol):
    """Shows one test."""

    def show(self, progress: Progress) -> None:
        """Takes the progress of this moment, several times a second."""
        ...

    def end(self, how: str) -> None:
        """The last word: "done" or "stopped"."""
        ...


@contextmanager
def shown(
    plan: Plan,
    terminal: Terminal,
    *,
    title: str | None = None,
    subtitle: str = "",
    accuracy: RunningAccuracy | None = None,
) -> Iterator[Callable[[Progress], None]]:
    """Shows a test while the block runs; gives what is to be told of its progress.

    Args:
        title: none: the plan's.
        subtitle: what it runs on, beside the picture.
        accuracy: gives the running mAP of an accuracy test.
    """
    title = title or plan.title
    meter = Meter(plan, title, accuracy)
    display: Display
    if terminal.style == "live":
        display = _Picture(terminal, title, subtitle, meter)
    elif terminal.style == "json":
        display = _JsonLines(title, meter)
    else:
        display = _Lines(terminal, title, meter) if terminal.style == "lines" else _Nothing()
    try:
        yield display.show
    except BaseException:
        display.end("stopped")
        raise
    display.end("done")


class _Nothing:
    def show(self, progress: Progress) -> None:
        """Shows nothing."""

    def end(self, how: str) -> None:
        """Ends without a word."""


class _Picture:
    """Gone at the end, but for one line and the warnings. Drawn from `show` alone: there is no second thread."""

    def __init__(self, terminal: Terminal, title: str, subtitle: str, meter: Meter) -> None:
        self._console, self._title, self._subtitle, self._meter = terminal.console, title, subtitle, meter
        self._began = monotonic()
        self._next_draw = 0.0
        self._last: Progress | None = None
        self._live = Live(console=self._console, auto_refresh=False, transient=True, vertical_overflow="crop")
        self._live.start()

    def show(self, progress: Progress) -> None:
        now, began, self._last = monotonic(), thread_time(), progress
        if now < self._next_draw:
            return
        self._live.update(LiveView(self._meter.read(progress), self._subtitle), refresh=True)
        took_s = thread_time() - began
        self._next_draw = now + min(max(REDRAW_EVERY_S, took_s / SHARE_OF_A_CORE), REDRAW_AT_LEAST_EVERY_S)

    def end(self, how: str) -> None:
        self._live.stop()
        marks = ("+", "x") if self._console.options.ascii_only else ("✓", "✗")
        mark, colour = (marks[0], "green") if how == "done" else (marks[1], "red")
        last = self._meter.read(self._last) if self._last else None
        samples = f", {last.done:,} samples" if last and last.done else ""
        what = f"{how} in {duration_text(monotonic() - self._began)}{samples}"
        self._console.print(Text.assemble((mark, colour), " ", (self._title, "bold"), f": {what}"))
        for warning in last.warnings if last else ():
            self._console.print(Text.assemble("  ", ("warning", "bold red"), f": {warning}"))


class _Lines:
    """One at each new phase, one every `PLAIN_LINE_EVERY_S`, and every warning when it comes."""

    def __init__(self, terminal: Terminal, title: str, meter: Meter) -> None:
        self._say, self._title, self._meter = terminal.say, title, meter
        self._began = self._said = monotonic()
        self._phase = ""
        self._done = self._warned = 0
        self._say(f"{title} ...")

    def show(self, progress: Progress) -> None:
        self._done = progress.done
        figures = self._meter.read(progress)
        for warning in figures.warnings[self._warned :]:
            self._say(f"{self._title}: warning: {warning}")
        self._warned = len(figures.warnings)
        now = monotonic()
        if progress.phase != self._phase:
            self._phase, self._said = progress.phase, now
            if progress.phase != "running":
                self._say(f"{self._title}: {progress.phase}")
        elif now - self._said >= PLAIN_LINE_EVERY_S:
            self._said = now
            self._say(f"{self._title}: {line(figures)}")

    def end(self, how: str) -> None:
        what = f", {self._done} samples" if self._done else ""
        self._say(f"{self._title}: {how} in {duration_text(monotonic() - self._began)}{what}")


class _JsonLines:
    """One a second, and one at each new phase and warning."""

    def __init__(self, title: str, meter: Meter) -> None:
        self._title, self._meter = title, meter
        self._said = -JSON_LINE_EVERY_S
        self._key: tuple[str, int] = ("", 0)
        self._began, self._done = monotonic(), 0
        emit("test", title=title, state="began")

    def show(self, progress: Progress) -> None:
        self._done = progress.done
        now = monotonic()
        figures = self._meter.read(progress)
        key = figures.phase, len(figures.warnings)
        if key == self._key and now - self._said < JSON_LINE_EVERY_S:
            return
        self._said, self._key = now, key
        fields = _rounded(asdict(figures))
        del fields["history"]
        emit("test", state="running", **fields)

    def end(self, how: str) -> None:
        emit("test", title=self._title, state=how, elapsed_s=round(monotonic() - self._began, 3), done=self._done)


def _rounded(value: Any) -> Any:
    """The same with its numbers rounded: microseconds are enough."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_rounded(item) for item in value]
    return round(value, 6) if isinstance(value, float) else value


def line(figures: Figures) -> str:
    """The figures in one line: ``2612 of 5045 samples, 407/s, p50 12.6, p90 12.7, p99 13.4 ms, 11 s left``."""
    if not figures.done:
        return f"waiting for the first answer for {duration_text(figures.elapsed_s)}"
    parts = [f"{count_text(figures.done, figures.samples, 'samples')}"]
    if figures.samples_per_second:
        parts.append(rate_text(figures.samples_per_second))
    if figures.latency_ms:
        of = " of device time" if figures.latency_from == "start" else ""
        parts.append(", ".join(f"{name} {number_text(ms)}" for name, ms in figures.latency_ms.items()) + f" ms{of}")
    if figures.accuracy is not None:
        parts.append(f"mAP so far {figures.accuracy[0] * 100:.2f} % on {figures.accuracy[1]} images")
    if figures.remaining_s is not None:
        parts.append(f"{duration_text(figures.remaining_s)} left")
    return ", ".join(parts)
