"""Shows, begins and explains configurations: what `ssd-harness run` would do, and every key that it knows."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from rich.table import Table

from harness.command_line.json_output import add_json_option, show_or_write
from harness.errors import UsageError
from harness.files import write_text
from harness.sessions.registry import check_backend_name
from harness.setting_paths import parse_assignment
from harness.settings import RunSettings, load_run, run_config
from harness.terminal import Terminal, output

SUMMARY = "show a configuration, begin one of your own, list every key"
EXAMPLES = """\
  ssd-harness config show coco --set dataset.photographs=false    what `run coco` would do, defaults included
  ssd-harness config new mine.yaml --like demo                    a copy of a shipped one, to be edited
  ssd-harness config keys                                         every key, what it takes and its default
  ssd-harness config keys tests --json                            those that begin with "tests", for a program
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds an action for each thing that can be done."""
    actions = parser.add_subparsers(dest="action", metavar="show|new|keys", required=True)
    show = _action(actions, "show", "the whole configuration, defaults included")
    show.add_argument("config", nargs="?", type=Path, default=Path("demo"), help="a YAML file, or a shipped one's name")
    show.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a key and its value")
    add_json_option(show)
    new = _action(actions, "new", "write a configuration to begin with")
    new.add_argument("file", type=Path, metavar="FILE", help="the file to write, a new one")
    new.add_argument("--like", type=Path, default=Path("demo"), metavar="CONFIG", help="the one to copy (demo)")
    keys = _action(actions, "keys", "every key, what it takes and its default")
    keys.add_argument("begin", nargs="?", default="", metavar="BEGIN", help="only keys that begin so")
    add_json_option(keys)


def _action(actions: Any, name: str, what: str) -> argparse.ArgumentParser:
    """The parser of an action, which says what it does here and in its own help."""
    parser: argparse.ArgumentParser = actions.add_parser(name, help=what, description=what)
    return parser


def run(args: argparse.Namespace) -> int:
    """Does what was asked for."""
    if args.action == "show":
        _show(args)
    elif args.action == "new":
        _new(args.file, args.like)
    else:
        _keys(args)
    return 0


def _show(args: argparse.Namespace) -> None:
    settings = load_run(args.config, dict(parse_assignment(text) for text in args.set))
    check_backend_name(settings.backend.name)
    document = settings.model_dump(mode="json")
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True).rstrip()
    show_or_write(document, args.json, lambda: Terminal().result(text))


def _new(file: Path, like: Path) -> None:
    if file.exists():
        raise UsageError("exists", where=str(file), hint="name a new file")
    text = run_config(like).read_text(encoding="utf-8")
    write_text(file, text)
    Terminal().result(f"{file}: a copy of {like}; `ssd-harness run {file}` runs it")


def _keys(args: argparse.Namespace) -> None:
    rows = [row for row in settings_keys(RunSettings) if row["key"].startswith(args.begin)]
    if not rows:
        raise UsageError(f"no key begins with {args.begin!r}", hint="ssd-harness config keys")

    def show() -> None:
        table = Table()
        for title in ("key", "takes", "default"):
            table.add_column(title, overflow="fold")
        for row in rows:
            table.add_row(row["key"], row["type"], row["default"])
        output().print(table)

    show_or_write({"keys": rows}, args.json, show)


def settings_keys(section: type[BaseModel], prefix: str = "") -> Iterator[dict[str, str]]:
    """Every key of a section and of the sections in it: "key", "type" and "default", as texts."""
    schema = section.model_json_schema()
    definitions = schema.get("$defs", {})
    yield from _keys_of(schema, definitions, prefix)


def _keys_of(schema: dict[str, Any], definitions: dict[str, Any], prefix: str) -> Iterator[dict[str, str]]:
    for name, field in schema.get("properties", {}).items():
        inner = _section_of(field, definitions)
        if inner is not None:
            yield from _keys_of(inner, definitions, f"{prefix}{name}.")
        elif name == "tests":
            of_each = _section_of(field.get("additionalProperties", {}), definitions) or {}
            yield from _keys_of(of_each, definitions, f"{prefix}tests.SCENARIO.")
        else:
            default = yaml.safe_dump(field.get("default"), default_flow_style=True).strip().removesuffix("\n...")
            yield {"key": f"{prefix}{name}", "type": _type_of(field, definitions), "default": default}


def _section_of(field: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any] | None:
    """The section that a field holds; None for a plain value."""
    for choice in (field, *field.get("anyOf", ()), *field.get("allOf", ())):
        name = str(choice.get("$ref", "")).rpartition("/")[2]
        if "properties" in definitions.get(name, {}):
            found: dict[str, Any] = definitions[name]
            return found
    return None


def _type_of(field: dict[str, Any], definitions: dict[str, Any]) -> str:
    """What a value may be, in words: the type, its choices, its range."""
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(_type_of(choice, definitions) for choice in field["anyOf"]))
    if "enum" in field:
        return ", ".join(map(str, field["enum"]))
    if field.get("type") == "array":
        return f"a list of: {_type_of(field.get('items', {}), definitions)}"
    limits = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    ranges = [f"{sign} {field[word]:g}" for word, sign in limits.items() if word in field]
    names = {"null": "none", "object": "keys and values", "string": "text", "path": "path"}
    kind = str(field.get("format") or field.get("type") or "anything")
    return " ".join([names.get(kind, kind), *ranges])
