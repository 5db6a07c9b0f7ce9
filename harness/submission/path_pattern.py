"""Paths of a submission tree as a round's data write them: ``measurements/{system}/{benchmark}/{scenario}``."""

from __future__ import annotations

import functools
import re

_TOKEN = re.compile(r"\{(\w+)\}|\{([^{}]*,[^{}]*)\}|(\*\*)|(\*)")


def match_path(pattern: str, path: str) -> dict[str, str] | None:
    """The fields of a path, or None where it does not fit.

    Args:
        pattern: ``{name}`` is a field, at least one character of one name; ``{one,two}`` is either word; ``*`` any part
            of a name; ``**`` any number of names. A field that comes twice has the same value.
        path: with slashes.
    """
    match = _compiled(pattern).fullmatch(path)
    return None if match is None else match.groupdict()


def fits(pattern: str, path: str) -> bool:
    """Whether a path fits a pattern."""
    return match_path(pattern, path) is not None


def fill(pattern: str, **fields: str) -> str:
    """A pattern's path; fields that are not given stay."""
    return _TOKEN.sub(lambda token: fields.get(token[1] or "", token[0]), pattern)


@functools.lru_cache(1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    seen: set[str] = set()
    parts, at = [], 0
    for token in _TOKEN.finditer(pattern):
        parts.append(re.escape(pattern[at : token.start()]))
        at = token.end()
        if token[1]:
            parts.append(f"(?P={token[1]})" if token[1] in seen else f"(?P<{token[1]}>[^/]+?)")
            seen.add(token[1])
        elif token[2]:
            parts.append("(?:" + "|".join(re.escape(word.strip()) for word in token[2].split(",")) + ")")
        else:
            parts.append(".+" if token[3] else "[^/]*")
    parts.append(re.escape(pattern[at:]))
    return re.compile("".join(parts))
