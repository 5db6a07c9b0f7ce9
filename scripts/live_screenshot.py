"""The terminal's pictures in docs/, from real runs: `.venv/bin/python scripts/live_screenshot.py`.

Each run is ``ssd-harness run`` in a terminal in memory. When the test is far enough the picture is kept as PNG, or as
SVG where there is no headless Chromium to make one. With ``--results DIR`` there is one picture, of ``ssd-harness
results DIR`` at 80 columns.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.style import Style
from rich.terminal_theme import DEFAULT_TERMINAL_THEME, MONOKAI, TerminalTheme
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.support.screen import Screen  # noqa: E402 - the tests are beside the package, not in it

SVG_SIZE = re.compile(r'viewBox="0 0 ([0-9.]+) ([0-9.]+)"')
COLOURS = {"brown": "yellow"}  # pyte's name of it


@dataclass(frozen=True)
class Shot:
    """One picture.

    Attributes:
        at_percent: of the test, when it is taken.
    """

    name: str
    arguments: str
    theme: TerminalTheme
    columns: int = 80
    lines: int = 24
    at_percent: int = 60


DEVICES = "--mode performance --set backend.options.latency_ms=20 --set backend.options.latency_std_ms=2 --duration 12"
DEATH = "--on-device-failure continue --set backend.options.fault.kind=death --set backend.options.fault.device=5"
SHOTS = (
    Shot(
        "live-view-dark",
        f"scenarios --scenario server --set tests.server.target_qps=200 {DEVICES} {DEATH}"
        " --set backend.options.fault.at=120",
        MONOKAI,
        lines=27,
    ),
    Shot("live-view-light", f"scenarios --scenario offline {DEVICES}", DEFAULT_TERMINAL_THEME),
    Shot(
        "live-view-256-devices",
        "scenarios --scenario offline --devices simulated*256 --mode performance --duration 12"
        " --set backend.options.latency_ms=200 --set backend.options.latency_std_ms=40",
        MONOKAI,
        columns=100,
        lines=30,
    ),
)


def take(shot: Shot, results: Path) -> str:
    """Runs it; gives the terminal as SVG."""
    command = [str(Path(sys.executable).parent / "ssd-harness"), "run", *shot.arguments.split()]
    command += ["--output", str(results / shot.name)]

    def far_enough(text: str) -> bool:
        percent = re.search(r"(\d+) %  .* left", text)
        return percent is not None and int(percent[1]) >= shot.at_percent

    with Screen(command, columns=shot.columns, lines=shot.lines) as screen:
        if not screen.until(far_enough, 300):
            raise SystemExit(f"{shot.name}: the picture never came; the terminal shows:\n{screen.text}")
        return svg(screen, shot)


def results_of(folder: Path) -> str:
    """``ssd-harness results`` at 80 columns as SVG."""
    shot = Shot("results", "", MONOKAI, lines=40)
    command = [str(Path(sys.executable).parent / "ssd-harness"), "results", str(folder)]
    with Screen(command, columns=shot.columns, lines=shot.lines) as screen:
        screen.until(lambda _: False, 60)  # to its end
        return svg(screen, shot, "ssd-harness results")


def svg(screen: Screen, shot: Shot, title: str = "ssd-harness run") -> str:
    """The terminal's characters with their colours."""
    console = Console(
        record=True,
        width=shot.columns,
        file=StringIO(),
        force_terminal=True,
        legacy_windows=False,
        color_system="standard",
    )
    rows = [line_of(screen, row, shot.columns) for row in range(shot.lines)]
    while rows and not rows[-1].plain.strip():
        rows.pop()
    for row in rows:
        console.print(row, no_wrap=True, overflow="crop")
    return console.export_svg(title=title, theme=shot.theme)


def line_of(screen: Screen, row: int, columns: int) -> Text:
    """One line of it."""
    text = Text()
    for column in range(columns):
        cell = screen.terminal.buffer[row][column]
        colour = None if cell.fg == "default" else COLOURS.get(cell.fg, cell.fg)
        if colour and re.fullmatch("[0-9a-f]{6}", colour):
            colour = f"#{colour}"
        text.append(cell.data, Style(color=colour, bold=cell.bold, dim=cell.italics))
    return text


def png(path: Path) -> None:
    """A PNG in the place of an SVG."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        print(f"{path.name}: no Chromium here, so there is no PNG of it")
        return
    size = SVG_SIZE.search(path.read_text())
    width, height = (round(float(number)) for number in size.groups()) if size else (1000, 700)
    page = f'<body style="margin:0"><img src="{path.resolve().as_uri()}" width="{width}" height="{height}"></body>'
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "page.html").write_text(page)
        options = ["--headless", "--no-sandbox", "--hide-scrollbars", "--allow-file-access-from-files"]
        subprocess.run(
            [
                chromium,
                *options,
                f"--screenshot={path.with_suffix('.png')}",
                f"--window-size={width},{height}",
                (Path(folder) / "page.html").as_uri(),
            ],
            check=True,
            capture_output=True,
            timeout=120,
        )
    path.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--only", help="a part of a picture's name")
    parser.add_argument("--results", type=Path, metavar="DIR", help="a picture of `ssd-harness results DIR` only")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    if args.results is not None:
        path = args.output / "results-80-columns.svg"
        path.write_text(results_of(args.results))
        png(path)
        return
    with tempfile.TemporaryDirectory() as results:
        for shot in SHOTS:
            if args.only and args.only not in shot.name:
                continue
            path = args.output / f"{shot.name}.svg"
            path.write_text(take(shot, Path(results)))
            png(path)
            print(args.output / shot.name)


if __name__ == "__main__":
    main()
