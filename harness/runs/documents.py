"""JSON files of a run as frozen objects: one reader, one writer, and one error for a damaged file.

A key that this version does not know is kept as it is, so that a run of a later version can be read; a key that is
needed and missing, or of another type, is damage.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.errors import LogError
from harness.files import write_text

SCHEMA = 1
"""Of ``manifest.json``, ``summary.json`` and ``compliance.json``; a change that old readers cannot bear raises it."""


class Document(BaseModel):
    """A part of a JSON file of a run: frozen, and written as it was given.

    ``document["key"]`` and ``"key" in document`` are there for those who analyse a run by the keys of its files.
    """

    model_config = ConfigDict(
        frozen=True, extra="allow", populate_by_name=True, protected_namespaces=(), ser_json_inf_nan="constants"
    )

    def as_json(self) -> dict[str, Any]:
        """The keys that were given or read, in the order of the class, as JSON has them."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    if not TYPE_CHECKING:  # the harness itself goes by attributes, whose types are checked

        def __getitem__(self, key: str) -> Any:
            """The value of a key of the file.

            Raises:
                KeyError: the file does not have it.
            """
            if key not in self:
                raise KeyError(key)
            return getattr(self, _field(key))

        def __contains__(self, key: object) -> bool:
            """Whether the file has the key."""
            return isinstance(key, str) and _field(key) in self.model_fields_set


def _field(key: str) -> str:
    return "schema_" if key == "schema" else key


DocumentT = TypeVar("DocumentT", bound=Document)


def read_document(kind: type[DocumentT], path: Path) -> DocumentT:
    """Reads a JSON file of a run.

    Raises:
        LogError: it is missing or damaged, or of a later version that this one cannot read.
    """
    data = _read_json(path)
    schema = data.get("schema", SCHEMA) if isinstance(data, dict) else SCHEMA
    if isinstance(schema, int) and schema > SCHEMA:
        raise LogError(f"has schema {schema}; this harness reads {SCHEMA}", where=str(path), hint="use a later version")
    return checked(kind, data, path)


def read_documents(kind: type[DocumentT], path: Path) -> list[DocumentT]:
    """Reads a JSON file of a run that holds a list.

    Raises:
        LogError: it is missing or damaged.
    """
    data = _read_json(path)
    if not isinstance(data, list):
        raise LogError(f"is damaged: a {type(data).__name__} instead of a list", where=str(path))
    return [checked(kind, entry, path) for entry in data]


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LogError(f"cannot be read: {error.strerror}", where=str(path)) from error
    except (ValueError, RecursionError) as error:
        raise LogError(f"is damaged: {error}", where=str(path)) from error


def checked(kind: type[DocumentT], data: object, path: Path) -> DocumentT:
    """Parsed JSON as a document.

    Raises:
        LogError: a key is missing or of another type; the message names the first.
    """
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise LogError(f"is damaged: {f'{key}: ' if key else ''}{first['msg']}", where=str(path)) from error


def write_document(path: Path, document: Document, *, room: int = 0) -> None:
    """Writes a JSON file of a run atomically.

    Args:
        room: spaces after it, in whose place `write_over` can write more although the disk is full.

    Raises:
        OSError: as writing does, e.g. no space left.
        ValueError: a figure is not a finite number.
    """
    write_text(path, _text(document) + " " * room)


def write_over(path: Path, document: Document) -> None:
    """Writes a JSON file in the place of the one that is there, as far as that has room for it; takes no more space.

    Raises:
        OSError: it cannot be written.
    """
    content = _text(document).encode(errors="backslashreplace")
    with path.open("r+b") as file:
        file.write(content)
        file.truncate()


def _text(document: Document) -> str:
    return json.dumps(document.as_json(), indent=2, allow_nan=False, ensure_ascii=False) + "\n"
