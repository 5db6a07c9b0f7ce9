"""Tables as data, and as what people and programs read: text, CSV, Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, TypeAlias

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

ROOMY = 100
"""Columns of a terminal from which on a table has a frame."""

A_WORD = 14
"""Characters of a word that is not broken in two, as long as something else can be."""

Cell: TypeAlias = "str | int | float | None"


@dataclass(frozen=True)
class Table:
    """A table with a title.

    Attributes:
        columns: their headings, with units.
        rows: a cell for every column; None where there is nothing.
        note: a sentence below it.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""

    @property
    def to_the_right(self) -> list[bool]:
        """Per column, whether it holds nothing but numbers, with or without units."""
        return [all(_is_number(row[place]) for row in self.rows) for place in range(len(self.columns))]

    def records(self) -> list[dict[str, Cell]]:
        """One object a row, by column, for JSON."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


def text_of_cell(cell: Cell) -> str:
    """A cell for people: a dash for nothing, numbers without needless digits."""
    if cell is None:
        return "–"
    if isinstance(cell, float):
        return f"{cell:.6g}" if abs(cell) < 1e6 else f"{cell:.0f}"
    return str(cell)


def _is_number(cell: Cell) -> bool:
    return not isinstance(cell, str) or cell == "–" or cell.lstrip("+-")[:1].isdigit()


def print_table(table: Table, console: Console) -> None:
    """Prints a table in the terminal; text from files is shown as it is."""
    shown = RichTable(title=Text(table.title))
    if console.width < ROOMY:
        shown.box, shown.pad_edge, shown.collapse_padding = SIMPLE_HEAD, False, True
    for place, (column, right) in enumerate(zip(table.columns, table.to_the_right, strict=True)):
        texts = [text_of_cell(row[place]) for row in table.rows]
        short = place > 0 and all(len(text) <= A_WORD for text in texts)
        whole = (right or short) and all(" " not in text for text in texts)
        shown.add_column(Text(column), justify="right" if right else "left", overflow="fold", no_wrap=whole)
    for row in table.rows:
        shown.add_row(*(Text(text_of_cell(cell)) for cell in row))
    if table.rows:
        console.print(shown)
    if table.note:
        console.print(table.note, markup=False, highlight=False)


def as_csv(table: Table) -> str:
    """Headings and rows; nothing is an empty field, numbers have all their digits."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows(["" if cell is None else cell for cell in row] for row in table.rows)
    return text.getvalue()


def as_markdown(table: Table) -> str:
    """A heading and a pipe table, numbers to the right."""
    lines = [f"### {_escaped(table.title)}", ""] if table.title else []
    if table.rows:
        lines += _pipe_table(table)
    if table.note:
        lines += [""] * bool(table.rows) + [_escaped(table.note)]
    return "\n".join(lines) + "\n"


def as_html(table: Table) -> str:
    """An HTML table for a notebook; every text is escaped."""
    caption = f"<caption>{escape(table.title)}</caption>" if table.title else ""
    head = "".join(f"<th>{escape(column)}</th>" for column in table.columns)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(text_of_cell(cell))}</td>" for cell in row) + "</tr>" for row in table.rows
    )
    note = f"<p>{escape(table.note)}</p>" if table.note else ""
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{note}"


def _pipe_table(table: Table) -> list[str]:
    lines = ["| " + " | ".join(map(_escaped, table.columns)) + " |"]
    lines.append("|" + "|".join("---:" if right else "---" for right in table.to_the_right) + "|")
    lines += ["| " + " | ".join(_escaped(text_of_cell(cell)) for cell in row) + " |" for row in table.rows]
    return lines


def _escaped(text: str) -> str:
    for mark in ("\\", "|", "<", "`", "*", "_", "["):
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())


def json_ready(value: Any) -> Any:
    """NaN has no JSON: it becomes None."""
    if isinstance(value, float) and value != value:
        return None
    if isinstance(value, dict):
        return {key: json_ready(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_ready(item) for item in value]
    return value
