"""JSON schemas of ``manifest.json`` and ``summary.json``, from the objects that read and write them.

``python -m harness.runs.schemas docs/reference`` writes the files that the documentation ships.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pydantic.json_schema import GenerateJsonSchema

from harness.files import write_text
from harness.runs.documents import Document
from harness.runs.figures import Summary
from harness.runs.records import Manifest

SCHEMAS: dict[str, type[Document]] = {"manifest.schema.json": Manifest, "summary.schema.json": Summary}
"""Name of the schema's file → what it describes."""


def json_schema(kind: type[Document]) -> str:
    """The JSON schema (draft 2020-12) of a document, as text."""
    schema = kind.model_json_schema(by_alias=True)
    return json.dumps({"$schema": GenerateJsonSchema.schema_dialect, **schema}, indent=2, ensure_ascii=False) + "\n"


def write_schemas(folder: Path) -> None:
    """Writes all schemas into a folder."""
    for name, kind in SCHEMAS.items():
        write_text(folder / name, json_schema(kind))


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1]))
