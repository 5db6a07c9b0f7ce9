"""A hook of mkdocs: links that lead out of docs/, which the site does not have, become their text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1] / "docs"
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s#]+)(#[^)\s]*)?\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The page's text without those links."""
    folder = (DOCS / page.file.src_path).parent

    def kept(link: re.Match[str]) -> str:
        outside = ":" not in link[2] and not (folder / link[2]).resolve().is_relative_to(DOCS)
        return link[1] if outside else link[0]

    return LINK.sub(kept, markdown)
