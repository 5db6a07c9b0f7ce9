"""Progress is a bar on a terminal and plain lines elsewhere."""

from __future__ import annotations

import pytest
from rich.table import Table

from harness import terminal
from harness.terminal import Terminal, duration_text, output, rate_text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (9.94, "9.9 s"), (38.2, "38 s"), (725, "12 min 05 s"), (-1, "0.0 s")]
)
def test_durations_read_as_a_person_says_them(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_rates_have_three_digits() -> None:
    assert [rate_text(r) for r in (1.6789, 123.4, 71234.5)] == ["1.68/s", "123/s", "71,234/s"]


def test_plain_lines_say_what_is_done_and_how_long_it_took(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "PLAIN_LINE_EVERY_S", 0.0)
    with Terminal().task("Offline", "samples") as report:
        report(0, None, "opening sessions")
        report(32, 64)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Offline ..."
    assert lines[1] == "Offline: opening sessions"
    assert lines[2].startswith("Offline: 32 of 64 samples, ")
    assert lines[2].endswith(" left")
    assert lines[3] == "Offline: done in 0.0 s, 32 samples"


def test_a_task_that_fails_does_not_say_done(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OSError), Terminal().task("Cache"):
        raise OSError
    assert "Cache: stopped in" in capsys.readouterr().err


def test_a_terminal_gets_a_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "160")
    shown = Terminal()
    shown.say("hello [bold]")
    with shown.task("Offline", "samples") as report:
        report(1, 2, "", 3.0)
        report(2, 2)
    with pytest.raises(OSError), shown.task("Broken") as report:
        raise OSError
    text = capsys.readouterr().err
    assert "hello [bold]" in text
    assert "2 of 2 samples" in text
    assert "stopped" in text


def test_names_are_neither_markup_nor_commands_to_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    table = Table("name [/]", "\x1b]0;title\a")
    table.add_row("[bold]a[/bold]", "b\x1b[2J")
    console = output()
    console.print(table)
    console.print("[link=x]c[/nothing]", style="red")
    text = capsys.readouterr().out
    assert "[bold]a[/bold]" in text
    assert "[link=x]c[/nothing]" in text
    assert r"b\x1b[2J" in text
    assert "\x1b[2J" not in text
    assert "\x1b]" not in text


def test_lines_of_a_task_cannot_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Terminal("lines").task("a\x1b[2J") as report:
        report(0, None, "b\x1b[3J")
    Terminal("lines").say("[c]\x1b[4J")
    shown = capsys.readouterr().err
    assert "\x1b" not in shown
    assert r"[c]\x1b[4J" in shown
