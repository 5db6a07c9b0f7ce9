"""The figures of a running test as a picture for a terminal of any size, in the terminal's own colours."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from harness.live.figures import Device, Figures, Node, busy_range
from harness.terminal import duration_text

MOST_COLUMNS = 110
LABEL = 12
BUSY_COLUMNS = 10
OTHER_COLUMNS, FEWER_COLUMNS = 64, 38
"""What a device's row takes beside its name, with all of its figures and with the fewer of a narrow terminal."""
MOST_WARNINGS = 3
SLOWEST = 3
"""Devices shown one by one where there is no room for all."""
STAGE_COLUMNS = 20


@dataclass(frozen=True)
class Glyphs:
    """What bars are drawn with."""

    steps: str
    full: str
    rest: str
    warning: str
    none: str
    cut: str


UNICODE = Glyphs(steps="▁▂▃▄▅▆▇", full="━", rest="─", warning="⚠", none="–", cut="…")
ASCII = Glyphs(steps="_.:-=+#", full="=", rest="-", warning="!", none="-", cut="~")


class LiveView:
    """A test now. Fits the width and the height of where it is drawn."""

    def __init__(self, figures: Figures, subtitle: str = "") -> None:
        self._figures = figures
        self._subtitle = subtitle

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        figures = self._figures
        width = min(options.max_width, MOST_COLUMNS)
        glyphs = ASCII if options.ascii_only else UNICODE
        inner = width - 4
        parts: list[RenderableType] = [_progress(figures)]
        warnings = _warnings(figures, inner, glyphs)
        if figures.done:
            table = _figures(figures, inner, glyphs)
            parts.append(table)
            # beside those: the bar, the panel's two lines, the one before the devices, and the cursor's
            room = options.size.height - table.row_count - len(warnings) - 5
            nodes, lines = _nodes(figures.nodes, room, inner, glyphs)
            parts += nodes
            parts += _devices(figures.devices, room - lines, inner, glyphs)
        yield Panel(
            Group(*parts, *warnings),
            title=Text(f" {figures.title} ", "not dim bold"),
            title_align="left",
            subtitle=Text(f" {self._subtitle} ", "dim") if self._subtitle else None,
            subtitle_align="right",
            border_style="dim",
            width=width,
        )


def _progress(figures: Figures) -> RenderableType:
    """The bar, the share, the times."""
    if figures.phase != "running" or not figures.done:
        what = "waiting for the first answer" if figures.phase == "running" else figures.phase
        return Text.assemble((f"{what} ", "cyan"), (duration_text(figures.elapsed_s), "dim"), no_wrap=True)
    share = figures.share or 0.0
    times = duration_text(figures.elapsed_s)
    if figures.remaining_s is not None:
        times += f", {duration_text(figures.remaining_s)} left"
    row = Table.grid(padding=(0, 2), expand=True)
    row.add_column(ratio=1)
    row.add_column(justify="right", no_wrap=True)
    row.add_column(justify="right", no_wrap=True)
    bar = ProgressBar(total=1.0, completed=share, complete_style="cyan", finished_style="cyan", style="dim")
    row.add_row(bar, Text(f"{share * 100:.0f} %", "bold"), Text(times, "dim"))
    return row


def _figures(figures: Figures, width: int, glyphs: Glyphs) -> Table:
    """Rows of one line each."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", width=LABEL, no_wrap=True)
    grid.add_column(no_wrap=True, overflow="crop", max_width=width - LABEL - 2)
    grid.add_row("", "")
    grid.add_row("samples", Text(count_text_grouped(figures.done, figures.samples), "bold"))
    grid.add_row("samples/s", _rate(figures, width - LABEL - 2, glyphs))
    if figures.latency_ms:
        label = "device time" if figures.latency_from == "start" else "latency"
        grid.add_row(label, _pairs({name: f"{number_text(value)} ms" for name, value in figures.latency_ms.items()}))
    # in Offline the time in the queue says how long the test has been going, and nothing of the devices
    shown = {name: ms for name, ms in figures.stages_ms.items() if name != "queue" or figures.latency_from == "issue"}
    for label, stage in zip(("stages", "", "", ""), _stages(shown, glyphs), strict=False):
        grid.add_row(label, stage)
    at_work = sum(device.at_sample is not None for device in figures.devices)
    grid.add_row(
        "queue",
        Text.assemble(
            (f"{figures.waiting:,}", "bold"), " waiting, ", (f"{at_work} of {len(figures.devices)}", "bold"), " at work"
        ),
    )
    if figures.accuracy is not None:
        value, images = figures.accuracy
        grid.add_row("mAP so far", Text.assemble((f"{value * 100:.2f} %", "bold"), (f" on {images:,} images", "dim")))
    return grid


def _rate(figures: Figures, width: int, glyphs: Glyphs) -> Text:
    whole, recent = figures.samples_per_second, figures.recent_per_second
    text = Text.assemble((number_text(whole) if whole else glyphs.none, "bold"))
    if recent is not None:
        text.append(f"  now {number_text(recent)}  ", "dim")
    room = width - len(text)
    history = figures.history[-room:] if room > 0 else ()
    most = max(history, default=0.0)
    if most > 0:
        text.append("".join(glyphs.steps[round(rate / most * (len(glyphs.steps) - 1))] for rate in history), "cyan")
    return text


def _pairs(pairs: dict[str, str]) -> Text:
    return Text("   ").join(Text.assemble((f"{name} ", "dim"), (value, "bold")) for name, value in pairs.items())


def _stages(stages_ms: dict[str, float], glyphs: Glyphs) -> list[Text]:
    total = sum(stages_ms.values())
    return [
        Text.assemble(
            f"{name:12}", (f"{number_text(ms):>7} ms", "bold"), "  ", _bar(ms / total, STAGE_COLUMNS, "blue", glyphs)
        )
        for name, ms in stages_ms.items()
        if total > 0
    ]


def _bar(share: float, columns: int, colour: str, glyphs: Glyphs) -> Text:
    filled = min(round(share * columns), columns)
    return Text.assemble(
        (glyphs.full * filled, colour), (glyphs.rest * (columns - filled), "dim"), f" {share * 100:3.0f} %"
    )


def _nodes(nodes: Sequence[Node], room: int, width: int, glyphs: Glyphs) -> tuple[list[RenderableType], int]:
    """A line each, or where there is no room for all, one of how many there are; and the lines that it takes."""
    if not nodes or room < 2:
        return [], 0
    lost = sum(node.lost for node in nodes)
    if len(nodes) + 2 > room:
        return [Text.assemble((f"{len(nodes)} nodes", "bold"), (f", {lost} lost" if lost else "", "bold red"))], 1
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    wide = width >= OTHER_COLUMNS
    table.add_column("node", no_wrap=True)
    for name in ("samples", "samples/s") if wide else ("samples",):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("busy", no_wrap=True)
    table.add_column("way", justify="right", no_wrap=True)
    name_room = max(width - (OTHER_COLUMNS if wide else FEWER_COLUMNS), 4)
    for node in nodes:
        busy = Text(glyphs.none) if node.busy is None else _bar(node.busy, BUSY_COLUMNS, "green", glyphs)
        cells: list[RenderableType] = [
            Text(_tail(node.name, name_room, glyphs)),
            f"{node.samples:,}",
            glyphs.none if node.per_second is None else number_text(node.per_second),
            Text("lost", "bold red") if node.lost else busy,
            glyphs.none if node.way_share is None or node.lost else f"{node.way_share * 100:.1f} %",
        ]
        table.add_row(*(cells if wide else [*cells[:2], *cells[3:]]))
    return [Text(), table], len(nodes) + 2


def _devices(devices: Sequence[Device], room: int, width: int, glyphs: Glyphs) -> list[RenderableType]:
    if room < 3:
        return []
    if len(devices) + 2 <= room:
        return [Text(), _device_table(devices, width, glyphs)]
    strip = _strip(devices, width, glyphs)
    parts: list[RenderableType] = [Text(), _spread(devices, glyphs)]
    room -= 2
    if len(strip) <= room:
        parts += strip
        room -= len(strip)
    if room >= 3:
        slowest = sorted(devices, key=lambda device: (-device.at_it_s, -(device.inference_ms or 0)))
        parts += [Text(), _device_table(slowest[: min(SLOWEST, room - 2)], width, glyphs, "slowest")]
    return parts


def _device_table(devices: Sequence[Device], width: int, glyphs: Glyphs, title: str = "device") -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    wide = width >= OTHER_COLUMNS + len(title) + 2
    table.add_column(title, no_wrap=True)
    for name, shown in (("samples", True), ("samples/s", wide)):
        if shown:
            table.add_column(name, justify="right", no_wrap=True)
    table.add_column("busy", no_wrap=True)
    table.add_column("inference", justify="right", no_wrap=True)
    if wide:
        table.add_column("at sample", justify="right", no_wrap=True)
    room = max(width - (OTHER_COLUMNS if wide else FEWER_COLUMNS), 4)
    for device in devices:
        cells: list[RenderableType] = [
            Text(_tail(device.name, room, glyphs)),
            f"{device.samples:,}",
            glyphs.none if device.per_second is None else number_text(device.per_second),
            Text(glyphs.none) if device.busy is None else _bar(device.busy, BUSY_COLUMNS, "green", glyphs),
            glyphs.none if device.inference_ms is None else f"{number_text(device.inference_ms)} ms",
            _at_sample(device),
        ]
        table.add_row(*(cells if wide else [*cells[:2], *cells[3:5]]))
    return table


def _tail(name: str, room: int, glyphs: Glyphs) -> str:
    """Sessions of one device differ at the end."""
    return name if len(name) <= room else glyphs.cut + name[len(name) - room + 1 :]


def _at_sample(device: Device) -> Text:
    if device.at_sample is None:
        return Text("idle", "dim")
    return Text(f"{device.at_sample}" + (f" for {duration_text(device.at_it_s)}" if device.at_it_s >= 2 else ""))


def _spread(devices: Sequence[Device], glyphs: Glyphs) -> Text:
    text = Text.assemble((f"{len(devices)} devices", "bold"))
    shares = busy_range(devices)
    if shares:
        least, median, most = (f"{share * 100:.0f}" for share in shares)
        text.append_text(
            Text.assemble("   busy ", (f"{median} %", "bold"), (f" median, {least} least, {most} most", "dim"))
        )
    return text


def _strip(devices: Sequence[Device], width: int, glyphs: Glyphs) -> list[Text]:
    """One column a device: how busy it is."""
    steps = glyphs.steps
    marks = "".join(" " if d.busy is None else steps[round(d.busy * (len(steps) - 1))] for d in devices)
    return [Text(marks[k : k + width], "green", no_wrap=True) for k in range(0, len(marks), width)]


def _warnings(figures: Figures, width: int, glyphs: Glyphs) -> list[Text]:
    """The latest ones, two lines each at most; the rest is said after the test."""
    latest = figures.warnings[-MOST_WARNINGS:]
    lines = []
    for warning in latest:
        first, *more = textwrap.wrap(warning, max(width - 2, 8), max_lines=2, placeholder=glyphs.cut)
        lines.append(Text.assemble((f"{glyphs.warning} ", "bold red"), first))
        lines += [Text(f"  {text}") for text in more]
    earlier = len(figures.warnings) - len(latest)
    if earlier:
        lines.append(Text(f"  and {earlier} earlier", "dim"))
    return [Text(), *lines] if lines else []


def number_text(value: float) -> str:
    """``6,234``, ``251``, ``12.6``, ``5.30``, ``0.061``: as much as is worth reading of milliseconds, or of a rate."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.{2 if value >= 1 else 3}f}"


def count_text_grouped(done: int, total: int | None) -> str:
    """``2,612 of 5,045``."""
    return f"{done:,}" if total is None else f"{done:,} of {total:,}"
