"""The documentation holds together: links, the index, commands, and what comes from the code."""

from __future__ import annotations

import ast
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from harness import cli
from harness.command_line.parser import Parser, add_command

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
GENERATED = "<!-- written by scripts/reference.py"

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def prose(page: Path) -> Iterator[tuple[int, str]]:
    """(number, line) outside of fenced blocks."""
    fenced = False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced:
            yield number, line


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """(language, text) of the fenced blocks."""
    yield from re.findall(r"^ *```(\w*)\n(.*?)^ *```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def links(page: Path) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", "\n".join(re.sub(r"`[^`]*`", "", line) for _, line in prose(page)))


def anchors(page: Path) -> set[str]:
    headings = [line.lstrip("# ") for _, line in prose(page) if line.startswith("#")]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_there_are_pages() -> None:
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"} <= {page.name for page in PAGES}
    assert len(PAGES) > 30


@pages
def test_links_lead_to_pages_and_headings_that_are_there(page: Path) -> None:
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        if anchor:
            assert anchor in anchors(target), link


def test_every_page_is_reached_from_the_index() -> None:
    reached, ahead = set(), [DOCS / "README.md"]
    while ahead:
        page = ahead.pop()
        if page not in reached and page.suffix == ".md" and page.is_relative_to(DOCS):
            reached.add(page)
            ahead += [(page.parent / link.partition("#")[0]).resolve() for link in links(page) if ":" not in link]
    assert reached == {page for page in PAGES if page.is_relative_to(DOCS)}


@pages
def test_lines_are_wrapped(page: Path) -> None:
    if page.read_text(encoding="utf-8").startswith(GENERATED):
        return
    for number, line in prose(page):
        assert len(line) <= 120 or line.startswith("|") or " " not in line.strip(), f"line {number}"


def shell_commands(page: Path) -> Iterator[str]:
    """The lines of a page that call ssd-harness, joined where a backslash continues them."""
    for _, text in blocks(page):
        for line in re.sub(r"\\\n\s*", " ", text).splitlines():
            command = re.match(r"^\s*(?:\$ )?(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?(ssd-harness .*)", line)
            if command:
                yield command[1]


def parser() -> Parser:
    root = Parser(prog="ssd-harness")
    root.add_argument("--version", action="store_true")
    root.add_argument("--debug", action="store_true")
    subparsers = root.add_subparsers(dest="command", required=False)
    for name in cli.COMMANDS:
        add_command(subparsers, name, import_module(f"harness.commands.{name}"))
    return root


@pages
def test_commands_have_only_options_that_exist(page: Path) -> None:
    known = parser()
    for command in shell_commands(page):
        words = shlex.split(command, comments=True)[1:]
        ends = [k for k, word in enumerate(words) if word in {"|", ">", "&&", "||", ";", "2>", "&"} or word == "…"]
        if (words and words[0].isupper()) or "--help" in words:
            continue  # `ssd-harness COMMAND --help`: a form, not a command
        known.parse_args(words[: min(ends)] if ends else words)


@pages
def test_python_examples_are_python(page: Path) -> None:
    for language, text in blocks(page):
        if language == "python":
            ast.parse(text)


def test_what_comes_from_the_code_is_current() -> None:
    script = [sys.executable, str(ROOT / "scripts" / "reference.py"), "--check"]
    done = subprocess.run(script, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_environment_variable_of_ours_is_documented() -> None:
    text = (DOCS / "reference" / "environment.md").read_text(encoding="utf-8")
    sources = [*(ROOT / "harness").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    named = {name for path in sources for name in re.findall(r"SSD_HARNESS_[A-Z_]+", path.read_text(encoding="utf-8"))}
    assert {name for name in named if not name.endswith("_") and f"`{name}`" not in text} == set()


def test_no_message_points_to_a_page_that_an_installed_package_lacks() -> None:
    for path in (ROOT / "harness").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        notes = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in notes:
                assert not re.search(r"docs/[\w/-]+\.md", node.value), f"{path}: {node.value}"


def test_figures_name_a_folder_that_is_there() -> None:
    for page in PAGES:
        for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / picture).resolve().stat().st_size > 1000


def test_messages_that_are_explained_are_messages_of_the_program() -> None:
    """Each part between … and N of a message in the table of troubleshooting stands in the code, or is the system's."""
    sources = [*(ROOT / "harness").rglob("*.py"), ROOT / "scripts" / "install"]
    code = re.sub(r'"\s*f?"', "", "\n".join(path.read_text(encoding="utf-8") for path in sources))
    page = (DOCS / "explanation" / "troubleshooting.md").read_text(encoding="utf-8")
    table = page.split("## By message")[1].split("## Questions")[0]
    messages = [
        message
        for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
        for message in re.findall(r"`([^`]+)`", row)
    ]
    assert len(messages) > 12
    for message in messages:
        for part in re.split(r"…|\bN\b|\(signal.*|failed, not", message.replace("No space left on device", "")):
            assert part.strip() in code, message


def test_the_site_shows_every_page() -> None:
    shown = set(re.findall(r"[\w/.-]+\.md$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE))
    there = {str(page.relative_to(DOCS)) for page in PAGES if page.is_relative_to(DOCS)}
    assert shown | {name for name in there if re.match(r"decisions/\d", name)} == there


def test_a_package_index_shows_the_readme_without_links_that_lead_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, object] = {}
    monkeypatch.setattr("setuptools.setup", given.update)
    helpers = ModuleType("pybind11.setup_helpers")
    helpers.__dict__.update(Pybind11Extension=lambda *_, **__: None, build_ext=None)
    monkeypatch.setitem(sys.modules, "pybind11", ModuleType("pybind11"))
    monkeypatch.setitem(sys.modules, "pybind11.setup_helpers", helpers)
    monkeypatch.chdir(ROOT)
    runpy.run_path(str(ROOT / "setup.py"))
    text = str(given["long_description"])
    assert text.startswith((ROOT / "README.md").read_text(encoding="utf-8").split("[")[0][:40])
    targets = re.findall(r"\]\(([^)]*)\)", text)
    assert [target for target in targets if not target.startswith("https:")] == []
    assert "step by step" in text
