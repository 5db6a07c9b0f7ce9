"""Files: written whole or not at all, and named by their content."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BLOCK = 1 << 20
_TEMPORARY = ".tmp"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when the block ends well and is removed when it does not.

    Raises:
        OSError: as writing does, e.g. no space left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=_TEMPORARY)
    except OSError as error:
        error.filename = str(path)  # a person knows this name
        raise
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes files that only the owner may read
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def unfinished(folder: Path) -> set[Path]:
    """What `replacing` left directly in a folder when its process was killed."""
    return set(folder.glob(f".*{_TEMPORARY}"))


def remove_unfinished(folder: Path) -> None:
    """Removes such files from a folder and from all below it."""
    for path in folder.rglob(f".*{_TEMPORARY}"):
        path.unlink(missing_ok=True)


def text_if_readable(path: Path) -> str:
    """A file's text; empty where it cannot be read, as what a kernel does not have, or shows to root only."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically; half a character, as a file's name may have it, is written as its escape."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path, data: Any) -> None:
    """Writes a JSON file atomically; NaN and infinities are refused with a ValueError."""
    write_text(path, json.dumps(data, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def sha256_file(path: Path) -> str:
    """The sha256 of the file's bytes, as lower-case hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
