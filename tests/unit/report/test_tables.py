"""Tables keep their text whole in every format."""

from __future__ import annotations

import io

from rich.console import Console

from harness.report.tables import Table, as_csv, as_markdown, json_ready, print_table

TABLE = Table("Runs", ("name", "ms"), [("a|b [red] <x>", 1.25), ("c", None)], "A note.")


def test_csv_has_every_digit_and_empty_fields() -> None:
    assert as_csv(TABLE) == "name,ms\na|b [red] <x>,1.25\nc,\n"


def test_markdown_escapes_what_it_would_read() -> None:
    text = as_markdown(TABLE)
    assert "| a\\|b \\[red] \\<x> | 1.25 |" in text
    assert "|---|---:|" in text
    assert text.endswith("A note.\n")
    assert as_markdown(Table("Nothing", ("a",), [], "None.")) == "### Nothing\n\nNone.\n"


def test_the_terminal_shows_brackets_as_they_are() -> None:
    console = Console(file=io.StringIO(), width=100)
    print_table(TABLE, console)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "a|b [red] <x>" in shown
    assert "–" in shown
    assert "A note." in shown


def test_columns_of_numbers_stand_to_the_right() -> None:
    assert Table("", ("a", "b", "c"), [("x", 1, "2.5 ms"), ("y", None, "-3 ms")]).to_the_right == [False, True, True]


def test_nan_has_no_json() -> None:
    assert json_ready({"a": [float("nan"), 1.0]}) == {"a": [None, 1.0]}
