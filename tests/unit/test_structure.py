"""The tree keeps its shape: imports go downward, and heavy libraries have one home each."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.accuracy.accuracy_txt import ACCURACY_TXT
from harness.loadgen.log import ACCURACY_LOG, DETAIL_LOG, SUMMARY_LOG, TRACE_LOG
from harness.loadgen.sample_records import SAMPLES_NAME
from harness.runs import layout
from harness.settings import configs_dir, read_yaml

PACKAGE = Path(__file__).resolve().parents[2] / "harness"

LAYERS = [
    {"version", "errors", "records"},
    {
        "scenarios",
        "stages",
        "child_process",
        "download",
        "locks",
        "files",
        "accuracy_record",
        "output_quantization",
        "signals",
        "streams",
        "suggestions",
        "system_errors",
        "yaml_text",
    },
    {"cpu_quota", "setting_errors", "setting_paths", "source_code", "system"},
    {"settings", "rounds", "terminal"},
    {"native", "model", "dataset", "sessions", "quantization", "published"},
    {"pipeline", "ssd_resnet34"},
    {"cluster"},
    {"loadgen"},
    {"accuracy", "live"},
    {"doctor", "runs"},
    {"report", "submission"},
    {"benchmark", "command_line"},
    {"commands"},
    {"cli"},
    {"__main__"},
]
"""From the bottom: a part imports parts below it, and of its own layer only itself unless `SIDEWAYS` says so."""

SIDEWAYS = {
    ("scenarios", "suggestions"),
    ("download", "locks"),
    ("rounds", "settings"),
    ("errors", "version"),
    ("model", "native"),
    ("sessions", "native"),
    # the default INT8 model is quantized when it is first asked for; quantization knows no model
    ("model", "quantization"),
}

HOMES = {
    "mlperf_loadgen": {"loadgen"},
    "pandas": {"runs", "report"},
    "onnxruntime": {"sessions", "quantization"},
    "openvino": {"sessions"},
    "furiosa": {"sessions"},
    "onnx": {"model", "quantization", "sessions"},
    "pycocotools": {"accuracy"},
    "requests": {"download"},
    "plotly": {"report"},
    "jinja2": {"report"},
    "scipy": {"report"},
    "ray": {"cluster"},
}
"""Library → the parts that may import it."""


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module == "harness")


def layer(part: str) -> int:
    return next(k for k, parts in enumerate(LAYERS) if part in parts)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_downward_and_heavy_libraries_stay_home(path: Path) -> None:
    here = part_of(path)
    for name in imports(path):
        first, *rest = name.split(".")
        if first == "harness" and rest and here != "__init__":
            there = rest[0]
            if not (PACKAGE / there).is_dir() and not (PACKAGE / f"{there}.py").is_file():
                continue  # a name, not a module: `from harness import __version__`
            assert there == here or layer(there) < layer(here) or (here, there) in SIDEWAYS, f"{here} imports {name}"
        elif first in HOMES:
            assert here in HOMES[first], f"{here} imports {name}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_is_one_noun_and_not_long(path: Path) -> None:
    assert path.stem not in {"utils", "util", "helpers", "common", "core", "base", "misc"}
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 330


def test_the_command_line_starts_without_heavy_libraries() -> None:
    heavy = {"onnxruntime", "onnx", "pandas", "cv2", "mlperf_loadgen", "pycocotools", "requests"}
    heavy |= {"plotly", "jinja2", "scipy", "ray"}
    code = f"import sys, harness.cli; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


PUBLIC_NAMES = {"__init__.py", "ssd_resnet34.py", "model/__init__.py"}
"""Where users import a model's objects from: these may name it."""


def written_names(path: Path) -> Iterator[str]:
    """The identifiers, module names and texts of a module, without its docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.value
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.alias):
            yield node.name
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield node.name


def published_files() -> list[str]:
    """The names of the models to be downloaded."""
    return list(read_yaml(configs_dir() / "downloads.yaml")["models"])


def plain(text: str) -> str:
    return "".join(character for character in text.lower() if character.isalnum())


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_a_models_own_folder_names_it(path: Path) -> None:
    models = sorted(file.parent.name for file in (PACKAGE / "model").glob("*/model.py"))
    assert models
    where = path.relative_to(PACKAGE)
    if str(where) in PUBLIC_NAMES:
        return
    others = [name for name in [*models, *published_files()] if where.parts[:2] != ("model", name)]
    texts = [plain(text) for text in written_names(path)]
    assert [name for name in others if any(plain(name) in text for text in texts)] == []


def names_bound(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg


@pytest.mark.parametrize("folder", ["harness", "tests", "scripts"])
def test_no_variable_is_called_it(folder: str) -> None:
    paths = (PACKAGE.parent / folder).rglob("*.py")
    assert [str(path) for path in paths if "it" in names_bound(path)] == []


def test_no_variable_of_a_template_is_called_it() -> None:
    templates = list(PACKAGE.rglob("*.j2"))
    assert templates
    named = re.compile(r"\{%-?\s*(?:for|set)\s+(?:\w+\s*,\s*)*it\b")
    assert [str(path) for path in templates if named.search(path.read_text(encoding="utf-8"))] == []


EVERYDAY_WORDS = {"GALLERY", "ACCURACY_PART"}
RUN_NAMES = {
    value
    for name, value in vars(layout).items()
    if name.isupper() and isinstance(value, str) and not name.startswith("_") and name not in EVERYDAY_WORDS
} | {SAMPLES_NAME, DETAIL_LOG, SUMMARY_LOG, ACCURACY_LOG, TRACE_LOG, ACCURACY_TXT, "run_1"}
"""File and folder names of a run, but for those that are everyday words."""

DOCUMENTS = {"manifest", "test_record", "summary", "evaluation"}
SPELLED_BY_THEIR_READERS = {"loadgen/log.py", "loadgen/sample_records.py", "accuracy/accuracy_txt.py"}
"""Below runs/: the names that LoadGen and MLPerf give, which runs/layout.py gives on."""


def strings(path: Path) -> Iterator[ast.Constant]:
    """The string constants of a module that are no docstrings, parts of f-strings included."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_runs_spells_the_names_of_a_runs_files(path: Path) -> None:
    if part_of(path) == "runs" or str(path.relative_to(PACKAGE)) in SPELLED_BY_THEIR_READERS:
        return
    for node in strings(path):
        # a sentence may name a file; what has no space is a path
        text = str(node.value)
        named = {text, *text.split("/")} & RUN_NAMES
        assert not named or " " in text, f"{path.name}:{node.lineno} spells {node.value!r}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_runs_documents_are_objects_wherever_they_go(path: Path) -> None:
    """Manifest, record and summary are no dictionaries: not as a parameter, an attribute or a variable."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        name, annotation = "", None
        if isinstance(node, ast.arg):
            name, annotation = node.arg, node.annotation
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name, annotation = node.target.id, node.annotation
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            name, annotation = node.name, node.returns
        if annotation is not None and name.removeprefix("read_") in {
            "manifest",
            "test_record",
            "summary",
            "evaluation",
        }:
            assert "dict[" not in ast.unparse(annotation), f"{path.name} has a dictionary as {name}"
