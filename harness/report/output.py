"""Where a command's tables go: the terminal, standard output or a file, in the format that was asked for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from harness.files import write_text
from harness.report.tables import Table, as_csv, as_markdown, print_table
from harness.terminal import PIPE_COLUMNS, Terminal, TextConsole, output


def write_out(what: str | Sequence[Table], target: Path | None, format_: str | None = None) -> None:
    """Text as it is, or tables as "table" (the default), "csv", "markdown" or "json"; to stdout without a target."""
    if isinstance(what, str):
        text = what
    elif format_ == "csv":
        text = "\n".join(as_csv(table) for table in what)
    elif format_ == "markdown":
        text = "\n".join(as_markdown(table) for table in what)
    elif format_ == "json":
        text = json.dumps([row for table in what for row in table.records()], indent=2, ensure_ascii=False) + "\n"
    elif target is None:
        console = output()
        for table in what:
            print_table(table, console)
        return
    else:
        with target.open("w", encoding="utf-8") as file:
            console = TextConsole(file=file, width=PIPE_COLUMNS)
            for table in what:
                print_table(table, console)
        return
    if target is None:
        Terminal().result(text.removesuffix("\n"))
    else:
        write_text(target, text)
