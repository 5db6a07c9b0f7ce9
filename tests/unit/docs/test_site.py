"""The documentation as a site: it is built without a warning, and its links lead somewhere."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


class Anchors(HTMLParser):
    """The links of a page, and what they may lead to in it."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("id"):
            self.ids.add(str(given["id"]))
        self.links += [str(given[name]) for name in ("href", "src") if given.get(name)]


def read(page: Path) -> Anchors:
    found = Anchors()
    found.feed(page.read_text(encoding="utf-8"))
    return found


def test_the_site_is_built_and_its_links_lead_somewhere(tmp_path: Path) -> None:
    pytest.importorskip("material", reason="the extra docs is not installed: pip install -e '.[docs]'")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {page: read(page) for page in tmp_path.rglob("*.html") if page.name != "404.html"}
    assert len(pages) > 40
    for page, anchors in pages.items():
        for link in anchors.links:
            path, _, anchor = link.partition("#")
            if ":" in path or path.startswith("//"):
                continue
            target = (page.parent / path.partition("?")[0]).resolve() if path else page
            target = target / "index.html" if target.is_dir() else target
            assert target.is_file(), f"{page.relative_to(tmp_path)}: {link}"
            if anchor and target in pages:
                assert anchor in pages[target].ids, f"{page.relative_to(tmp_path)}: {link}"
