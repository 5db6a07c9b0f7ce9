"""``systems/SYSTEM.json``, the description of what was measured: the fields of a round, and what may be in them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StrictInt, StringConstraints, ValidationError, create_model

from harness.errors import UsageError
from harness.rounds import SubmissionRules
from harness.settings import Section, SubmissionSettings

_Text = Annotated[str, StringConstraints(pattern=r"^[\x20-\x7e\t\r\n]*$")]
"""The official checker opens the file in the machine's own encoding, so only ASCII is read the same everywhere."""
_NonEmpty = Annotated[str, StringConstraints(pattern=r"^[\x20-\x7e]*[\x21-\x7e][\x20-\x7e]*$")]
_Count = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*$")]

_KINDS: dict[str, tuple[Any, str]] = {
    "submitter": (_NonEmpty, "a text, not empty, in ASCII"),
    "system_name": (_NonEmpty, "a text, not empty, in ASCII"),
    "number_of_nodes": (Annotated[StrictInt, Field(ge=1)] | _Count, "a number from 1"),
    "host_processor_model_name": (_NonEmpty, "a text, not empty, in ASCII"),
    "host_processors_per_node": (StrictInt | _Text, "a number or a text in ASCII"),
    "host_processor_core_count": (StrictInt | _Text, "a number or a text in ASCII"),
    "accelerators_per_node": (StrictInt | _Text, "a number or a text in ASCII"),
    "framework": (_NonEmpty, "a text, not empty, in ASCII"),
    "operating_system": (_NonEmpty, "a text, not empty, in ASCII"),
}
"""Field → what may be in it, and that in words, where that is more than any text."""
_ANY = (_Text, "a text in ASCII")


@dataclass(frozen=True)
class FieldError:
    """One field that is not as the round wants it.

    Attributes:
        found: its value as JSON; "nothing" where it is missing.
    """

    field: str
    found: str
    required: str
    unknown: bool = False
    """The round has no such field, which the official checkers take."""


def system_errors(data: Mapping[str, Any], rules: SubmissionRules) -> list[FieldError]:
    """Everything that is wrong with a description; empty when nothing is."""
    status = data.get("status")
    lowered = {"status": status.lower()} if isinstance(status, str) else {}  # "Available" is taken too
    try:
        _model(rules).model_validate({**data, **lowered})
    except ValidationError as error:
        kinds = {str(each["loc"][0]): each["type"] for each in error.errors()}
        found = [_field_error(field, kind, data, rules) for field, kind in kinds.items()]
    else:
        found = []
    named = {each.field for each in found}
    for field in rules.system_fields_not_empty:
        if field in data and field not in named and not data[field]:
            found.append(FieldError(field, json.dumps(data[field]), "a value: a text with something in it"))
    return [each for each in found if not (each.unknown and each.field in rules.system_fields_of_power)]


def read_system(settings: SubmissionSettings, rules: SubmissionRules) -> dict[str, Any]:
    """The description that a run is told of, with division and submitter filled in where they are "".

    Raises:
        UsageError: it cannot be read, is another submitter's or division's, or a field is missing, unknown or not as it
            must be; names all of them.
    """
    path, where = settings.system, str(settings.system)
    try:
        data = read_json_object(path)
    except UsageError as error:
        error.hint = f"`ssd-harness doctor system --output {path}` writes one, where there is none"
        raise
    for field, wanted in (("division", settings.division), ("submitter", settings.submitter)):
        if data.get(field, "") not in ("", wanted):
            hint = f'write {wanted}, or "" to have it filled in'
            raise UsageError(f"{field} is {data[field]!r}, the run's is {wanted!r}", where=where, hint=hint)
    data = {**data, "division": settings.division, "submitter": settings.submitter}
    require_sound(data, rules, where)
    return data


def require_sound(data: Mapping[str, Any], rules: SubmissionRules, where: str) -> None:
    """Checks a system description against the fields that the round asks for.

    Raises:
    UsageError: a field is missing, unknown or not as it must be; names all of them.
    """
    errors = system_errors(data, rules)
    if errors:
        what = "; ".join(f"{each.field}: found {each.found}, required {each.required}" for each in errors)
        raise UsageError(what, where=where, hint="`ssd-harness doctor system` writes one with every field")


def read_json_object(path: Path) -> dict[str, Any]:
    """A JSON object of a file.

    Raises:
        UsageError: it cannot be read, is not JSON or not an object, or has a key twice.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_unique)
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"cannot be read: {reason}", where=str(path)) from error
    if not isinstance(data, dict):
        raise UsageError(f"expected an object, found a {type(data).__name__}", where=str(path))
    return data


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        twice = next(key for k, (key, _) in enumerate(pairs) if key in dict(pairs[:k]))
        raise ValueError(f"the key {twice!r} is there twice")
    return data


def _kinds(rules: SubmissionRules) -> dict[str, tuple[Any, str]]:
    choices = {"division": rules.divisions, "status": rules.statuses, "system_type": rules.system_types}
    chosen = {name: (Literal[values], "one of " + " | ".join(values)) for name, values in choices.items()}
    return {name: {**_KINDS, **chosen}.get(name, _ANY) for name in rules.system_fields}


def _model(rules: SubmissionRules) -> type[Section]:
    fields: dict[str, Any] = {name: (kind, ...) for name, (kind, _) in _kinds(rules).items()}
    return create_model("System", __base__=Section, **fields)


def _field_error(field: str, kind: str, data: Mapping[str, Any], rules: SubmissionRules) -> FieldError:
    if kind == "missing":
        return FieldError(field, "nothing", 'the field, if only as ""')
    if kind == "extra_forbidden":
        return FieldError(field, json.dumps(data[field]), "no such field", unknown=True)
    return FieldError(field, json.dumps(data[field]), _kinds(rules)[field][1])
