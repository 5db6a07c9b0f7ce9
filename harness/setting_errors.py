"""A wrong setting in a person's words: which key, what was expected, what was found, and the nearest known key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, get_origin

from pydantic import BaseModel, ValidationError

from harness.errors import UsageError
from harness.suggestions import did_you_mean, nearest
from harness.yaml_text import shortened

NAME = "[A-Za-z0-9][A-Za-z0-9._-]*"
"""What a run, an organisation or a system may be called: it becomes the name of a folder."""
CLUSTER_ADDRESS = r"^(auto|local:[1-9]\d*|(ray://)?[^\s/:]+:\d+)$"
"""Where a cluster is."""
PATTERNS = {
    rf"^{NAME}$": "may hold letters, digits, . _ and -, the first one a letter or a digit",
    CLUSTER_ADDRESS: "is none of local:N, auto, HOST:PORT and ray://HOST:PORT",
}
"""Pattern of a text → what is said of one that does not fit."""
PHOTOGRAPHS_MISSING, ONE_OF_TWO, SUBMISSION_MISSING = "photographs_missing", "one_of_two", "submission_missing"
SUBMISSION_UNASKED, PERFORMANCE_ONLY = "submission_unasked", "performance_only"
"""Rules about several keys that a command line says in its own words, by what pydantic calls the type of an error."""
LONGEST_FOUND = 100
"""Characters of a wrong value that a message shows."""


class SettingError(UsageError):
    """A wrong value of a key.

    Attributes:
        key: the dotted key; empty where it is about several.
        problem: what is wrong with it, without its name.
        rule: which rule it breaks, as pydantic calls the type of the error.
    """

    def __init__(self, key: str, problem: str, rule: str, *, where: str) -> None:
        super().__init__(f"{key or 'configuration'}: {problem}", where=where, hint=_way_out(key, rule))
        self.key = key
        self.problem = problem
        self.rule = rule


def setting_error(kind: type[BaseModel], error: ValidationError, where: str) -> UsageError:
    """The first complaint of a validation.

    Args:
        kind: the section that was validated.
        error: what pydantic raised.
        where: the file that it is about.
    """
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known, name = list(_section_at(kind, first["loc"]).model_fields), str(first["loc"][-1])
        elsewhere = [key for key in _keys(kind) if nearest(name, [key.rpartition(".")[2]])]
        hint = f"did you mean {elsewhere[0]!r}?" if elsewhere else f"known here: {', '.join(known)}"
        hint = did_you_mean(name, known, hint)
        return UsageError(f"unknown key {key!r}", where=where, hint=hint)
    what = first["msg"].removeprefix("Value error, ")
    what = PATTERNS.get(str(first.get("ctx", {}).get("pattern")), what)
    if first["type"] == "missing":
        what = "is missing"
    found = "" if isinstance(first["input"], dict) else f", found {shortened(repr(first['input']), LONGEST_FOUND)}"
    return SettingError(key, f"{what}{found}", str(first["type"]), where=where)


def _way_out(key: str, rule: str) -> str | None:
    if rule == PHOTOGRAPHS_MISSING:
        return "set dataset.images and dataset.annotations; dataset.photographs=false takes synthetic images instead"
    if not key:
        return None
    # every scenario has the same keys, which are listed once
    listed = "tests" if key.startswith("tests.") else key
    return f"`ssd-harness config keys {listed}` shows what it takes"


def _section_at(kind: type[BaseModel], location: Sequence[str | int]) -> type[BaseModel]:
    """The section that the last part of ``location`` is a key of."""
    for part in location[:-1]:
        field = kind.model_fields.get(str(part))
        if field is not None:  # else a free key, as those of `tests`: the section is the same for each
            kind = _section_in(field.annotation) or kind
    return kind


def _keys(kind: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The dotted keys of a section and of those in it, but for sections with free keys."""
    for name, field in kind.model_fields.items():
        section = _section_in(field.annotation)
        if section is None:
            yield prefix + name
        elif get_origin(field.annotation) is not dict:
            yield from _keys(section, f"{prefix}{name}.")


def _section_in(annotation: Any) -> type[BaseModel] | None:
    return next((kind for kind in _types_in(annotation) if issubclass(kind, BaseModel)), None)


def _types_in(annotation: Any) -> list[type]:
    if arguments := getattr(annotation, "__args__", ()):  # before Python 3.11 dict[str, int] counts as a type too
        return [t for argument in arguments for t in _types_in(argument)]
    return [annotation] if isinstance(annotation, type) else []
