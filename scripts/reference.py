"""Writes the pages of docs/reference that come from the code, and the diagram in docs/architecture.md.

`.venv/bin/python scripts/reference.py` writes them; with `--check` it says which are not current, and exits with 1.
"""

from __future__ import annotations

import argparse
import ast
import configparser
import inspect
import re
import sys
import textwrap
import types
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from harness import cli, errors, settings
from harness.command_line.parser import Parser, add_command

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "harness"
REFERENCE = ROOT / "docs" / "reference"
HEAD = "<!-- written by scripts/reference.py: change the code, then run it -->\n"
WIDTH = 120

LIMITS = {"gt": "above", "ge": "from", "lt": "below", "le": "up to"}


def escaped(text: str) -> str:
    """Text for a cell of a table."""
    return re.sub(r"\s+", " ", text.replace("``", "`")).replace("|", "\\|").strip()


# --- settings -----------------------------------------------------------------------------------------------------


def attribute_docstrings(kind: type) -> dict[str, str]:
    """The strings that stand under the attributes of a class."""
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for here, below in zip(body.body, body.body[1:], strict=False):
        if isinstance(here, ast.AnnAssign) and isinstance(here.target, ast.Name) and isinstance(below, ast.Expr):
            found[here.target.id] = str(ast.literal_eval(below.value))
    return found


def type_words(annotation: Any) -> str:
    """A type in words: ``one of: a, b``, ``list of number``, ``path``."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_words(args[0])
    if origin is Literal:
        return "one of: " + ", ".join(f"`{arg}`" for arg in args)
    if origin in (Union, types.UnionType):
        return " or ".join(type_words(arg) for arg in args if arg is not type(None))
    if origin is tuple:
        return f"list of {type_words(args[0])}"
    if origin is dict:
        return f"mapping of {type_words(args[0])} to {type_words(args[1])}"
    names = {"int": "whole number", "float": "number", "str": "text", "bool": "true or false", "Path": "path"}
    name = getattr(annotation, "__name__", str(annotation))
    return names.get(name, "anything" if name == "Any" else name)


def limits(metadata: list[Any], annotation: Any) -> str:
    """The range of a field, from its own constraints and those inside its annotation."""
    inner = [part for arg in get_args(annotation) for part in getattr(arg, "__metadata__", ())]
    words = []
    for part in [*metadata, *inner]:
        for one in getattr(part, "metadata", None) or [part]:
            words += [f"{word} {getattr(one, name)}" for name, word in LIMITS.items() if hasattr(one, name)]
    return ", ".join(words)


def section_of(annotation: Any) -> type[BaseModel] | None:
    """The section that a field holds, if it holds one."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := section_of(arg))), None)


def default_words(field: FieldInfo) -> str:
    """The default as YAML writes it."""
    value = field.default
    if value is PydanticUndefined:
        return "required" if field.default_factory is None else "–"
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return "`[" + ", ".join(map(str, value)) + "]`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def settings_of(kind: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """A row for each key of a section and of the sections in it."""
    notes = attribute_docstrings(kind)
    for name, field in kind.model_fields.items():
        inner = section_of(field.annotation)
        if inner is not None:
            free = get_origin(field.annotation) is dict
            yield from settings_of(inner, f"{prefix}{name}.{'<scenario>.' if free else ''}")
            continue
        span = limits(list(field.metadata), field.annotation)
        what = type_words(field.annotation) + (f", {span}" if span else "")
        cells = [f"`{prefix}{name}`", escaped(what), escaped(default_words(field)), escaped(notes.get(name, ""))]
        yield "| " + " | ".join(cells) + " |"


def settings_page() -> str:
    """Every key of a run configuration."""
    return (
        HEAD + "# Settings of a run\n\nEvery key of a configuration file, which `--set KEY=VALUE` sets too.\n"
        "Times are in the unit that ends the key. A key that is not here is an error that names the nearest one.\n\n"
        "| key | type and range | default | meaning |\n|---|---|---|---|\n"
        + "\n".join(settings_of(settings.RunSettings))
        + "\n"
    )


# --- command line ---------------------------------------------------------------------------------------------------


def commands() -> Iterator[Parser]:
    """The parser of each command, those of its subcommands after it."""
    root = Parser(prog="ssd-harness")
    subparsers = root.add_subparsers(dest="command")
    for name in cli.COMMANDS:
        yield from with_subcommands(add_command(subparsers, name, import_module(f"harness.commands.{name}")))


def with_subcommands(parser: Parser) -> Iterator[Parser]:
    """A parser, then those of its subcommands."""
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not inner:
        yield parser
    for action in inner:
        for below in action.choices.values():
            yield from with_subcommands(below)


def option_row(parser: Parser, action: argparse.Action) -> str:
    """One option: how it is written, and what it does."""
    if action.option_strings:
        value = "" if action.nargs == 0 else " " + metavar_of(action)
        written = ", ".join(f"`{option}{value}`" for option in action.option_strings)
    else:
        written = f"`{metavar_of(action)}`"
    values = {**vars(action), "prog": parser.prog}
    return f"| {escaped(written)} | {escaped((action.help or '') % values)} |"


def metavar_of(action: argparse.Action) -> str:
    """What stands for an option's value."""
    if action.metavar is not None:
        return action.metavar if isinstance(action.metavar, str) else " ".join(action.metavar)
    if action.choices is not None:
        return "{" + ",".join(map(str, action.choices)) + "}"
    return action.dest.upper()


def command_line_page() -> str:
    """Every command and option."""
    page = (
        HEAD
        + "# Command line\n\n`ssd-harness COMMAND --help` shows the same with examples. `--debug` shows tracebacks.\n"
    )
    for parser in commands():
        page += f"\n## {parser.prog}\n\n{escaped((parser.description or '').splitlines()[0])}\n\n| | |\n|---|---|\n"
        rows = [option_row(parser, action) for action in parser._actions if action.help != argparse.SUPPRESS]
        page += "\n".join(row for row in rows if "`--help`" not in row) + "\n"
    return page


# --- environment, exit status, extras, Python -----------------------------------------------------------------------

VARIABLES = {
    "SSD_HARNESS_CACHE": "the folder of models, tensors and synthetic data; none: the user's cache folder",
    "SSD_HARNESS_NODE_IMAGES": "on a node of a cluster: its own folder of the images; none: the host's path",
    "SSD_HARNESS_NODE_MODEL": "on a node of a cluster: its own model file; none: the host's path",
    "SSD_HARNESS_SIMD": "`baseline`, `avx2` or `avx512`: the instruction set of the native decoder; none: the fastest",
    "SSD_HARNESS_TEST_DATA": "tests: the folder of real images, logs and published postprocessors",
    "SSD_HARNESS_PUBLISHED_TREES": "tests: the published results of MLPerf, `results_v1.1` and `results_v2.0` in it; "
    "for the official figures also mlcommons/inference as `inference_r1.1` and `inference_v2.0`",
    "SSD_HARNESS_CASES": "tests: how many random cases the decoders' agreement is tried on",
    "SSD_HARNESS_TEST_MARK": "tests: marks the processes of a test, to find those that it left",
    "SSD_HARNESS_TEST_INTERRUPTIONS": "tests: how often the submission run is interrupted",
    "SSD_HARNESS_ALL_FAULTS": "tests: all injected faults, not the quick part of them (`scripts/test-faults` sets it)",
    "TRACE_PROCESSOR": "tests: Perfetto's `trace_processor_shell`",
    "PYTHON": "scripts: the Python that `.venv` is made with",
    "NO_COLOR": "no colours in the terminal",
}
"""Of the environment: those of other programs (HTTPS_PROXY, XDG_CACHE_HOME, …) work as everywhere."""


def error_classes(kind: type[errors.HarnessError] = errors.HarnessError) -> Iterator[type[errors.HarnessError]]:
    """The tree of errors, each class before those below it."""
    yield kind
    for below in kind.__subclasses__():
        if below.__module__ == "harness.errors":
            yield from error_classes(below)


def environment_page() -> str:
    """Environment variables, exit statuses, errors, extras, the Python API."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    extras = config["options.extras_require"]
    page = HEAD + "# Environment, exit status, extras, Python\n\n## Environment variables\n\n| | |\n|---|---|\n"
    page += "\n".join(f"| `{name}` | {escaped(what)} |" for name, what in VARIABLES.items())
    page += "\n\n## Exit status\n\n| | |\n|---|---|\n| 0 | done and valid |\n"
    page += "| 1 | done, but a test is INVALID, a check has failed, or a gate asked for was missed |\n"
    page += "| 2 | wrong usage or configuration |\n| 3 | data or environment not usable |\n| 4 | the run failed |\n"
    page += "| 130 | interrupted |\n\nFrom Python the same are exceptions of `harness.errors`:\n\n"
    page += "| class | status | |\n|---|---|---|\n"
    page += "\n".join(
        f"| `{kind.__name__}` | {kind.exit_status} | {escaped((kind.__doc__ or '').splitlines()[0])} |"
        for kind in error_classes()
    )
    page += "\n\n## Extras\n\n`pip install 'ssd-harness[NAME]'`, or `-e '.[NAME]'` in a checkout.\n\n"
    page += "| | installs |\n|---|---|\n"
    for name in extras:
        packages = [
            line.strip() for line in extras[name].splitlines() if line.strip() and not line.strip().startswith("#")
        ]
        page += f"| `{name}` | {escaped(', '.join(packages))} |\n"
    page += "\n## Python\n\nWhat a program may rely on. Everything else may change.\n\n| | |\n|---|---|\n"
    return page + "\n".join(f"| `{name}` | {escaped(what)} |" for name, what in public_names()) + "\n"


PUBLIC = (
    "harness",
    "harness.model:NativeDecoder,NumpyDecoder",
    "harness.sessions",
    "harness.report",
    "harness.errors:HarnessError",
    "harness.records:Detections,QuantizedTensor,TensorSpec,TiledLayout",
    "harness.accuracy.log:read_accuracy_log",
    "harness.accuracy.ground_truth:read_ground_truth",
    "harness.accuracy.coco_results:results_of_log",
    "harness.accuracy.evaluate:evaluate",
)


def public_names() -> Iterator[tuple[str, str]]:
    """(dotted name, first line of its docstring) of what is public."""
    for entry in PUBLIC:
        module_name, _, names = entry.partition(":")
        module = import_module(module_name)
        for name in names.split(",") if names else sorted(module.__all__):
            member = getattr(module, name)
            described = inspect.isclass(member) or callable(member)
            note = (inspect.getdoc(member) or "").splitlines() if described else []
            yield f"{module_name}.{name}", note[0] if note else ""


# --- the diagram ------------------------------------------------------------------------------------------------------


def parts() -> list[str]:
    """The folders of the package, which the diagram shows."""
    return sorted(folder.parent.name for folder in PACKAGE.glob("*/__init__.py"))


def imports() -> dict[str, set[str]]:
    """Folder → the folders that it imports."""
    shown = parts()
    found: dict[str, set[str]] = {part: set() for part in shown}
    for part in shown:
        for path in (PACKAGE / part).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and node.module == "harness":
                    names = [f"harness.{alias.name}" for alias in node.names]
                else:
                    names = [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
                found[part] |= {name.split(".")[1] for name in names if name.startswith("harness.")} & set(shown)
        found[part].discard(part)
    return found


def reduced(edges: dict[str, set[str]]) -> dict[str, set[str]]:
    """Without the arrows that a way of several arrows stands for."""

    def reach(part: str) -> set[str]:
        return edges[part] | {far for near in edges[part] for far in reach(near)}

    return {part: near - {far for one in near for far in reach(one)} for part, near in edges.items()}


def diagram() -> str:
    """The imports as a Mermaid diagram: an arrow from who imports to who is imported."""
    edges = reduced(imports())
    lines = [f"    {part} --> {other}" for part in sorted(edges) for other in sorted(edges[part])]
    return "```mermaid\nflowchart TD\n" + "\n".join(lines) + "\n```\n"


def with_diagram(page: str) -> str:
    """The page with its diagram replaced by today's."""
    return re.sub(r"```mermaid\nflowchart TD\n.*?```\n", lambda _: diagram(), page, count=1, flags=re.DOTALL)


def pages() -> dict[Path, str]:
    """Path → content of everything that comes from the code."""
    architecture = ROOT / "docs" / "architecture.md"
    return {
        REFERENCE / "settings.md": settings_page(),
        REFERENCE / "command-line.md": command_line_page(),
        REFERENCE / "environment.md": environment_page(),
        architecture: with_diagram(architecture.read_text(encoding="utf-8")),
    }


def main() -> int:
    """Writes the pages, or says which are not current."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when a page is not current")
    check = parser.parse_args().check
    stale = [
        path for path, content in pages().items() if not path.is_file() or path.read_text(encoding="utf-8") != content
    ]
    for path in stale:
        if not check:
            path.write_text(pages()[path], encoding="utf-8")
        print(("not current: " if check else "written: ") + str(path.relative_to(ROOT)))
    if check and stale:
        print("  next: .venv/bin/python scripts/reference.py")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
