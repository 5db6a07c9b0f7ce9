"""What a command with ``--json`` found: for a program on standard output, or for a person and, if asked, in a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.files import write_json
from harness.terminal import Terminal


def show_or_write(document: Mapping[str, Any], json_to: Path | None, show: Callable[[], None]) -> None:
    """Shows a document to a person, or writes it as JSON.

    Args:
        document: what was found.
        json_to: the argument of ``--json``: ``-`` is standard output, which then holds nothing else.
        show: prints it for a person.

    Raises:
        OSError: the file cannot be written.
    """
    if json_to is not None and str(json_to) == "-":
        Terminal().result(json.dumps(document, indent=2))
        return
    show()
    if json_to is not None:
        write_json(json_to, document)
