"""A system's description: the JSON file of ``systems/`` in a submission."""

from __future__ import annotations

import json
import re
from typing import Any

from harness.errors import UsageError
from harness.rounds import SubmissionRules
from harness.settings import SubmissionSettings

SHOWN = 6  # missing fields that a message names


def read_system(settings: SubmissionSettings, rules: SubmissionRules) -> dict[str, Any]:
    """The description, as it is in the file.

    Raises:
        UsageError: it cannot be read, lacks a field of the round, has a type or status that the round does not know, or
            is another submitter's or division's.
    """
    path, where = settings.system, str(settings.system)
    try:
        system = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        hint = "ssd-harness doctor system writes a first one; configs/systems has examples"
        raise UsageError(f"cannot be read: {error.strerror}", where=where, hint=hint) from error
    except ValueError as error:
        raise UsageError(f"is not JSON: {error}", where=where) from error
    if not isinstance(system, dict):
        raise UsageError("is not a JSON object", where=where)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", path.stem):
        raise UsageError("its name, the system's, has other than letters, digits, dots and hyphens", where=where)
    missing = [field for field in rules.system_fields if field not in system]
    if missing:
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        hint = 'every field must be there; "" where there is nothing to say'
        raise UsageError(f"lacks {', '.join(missing[:SHOWN])}{more}", where=where, hint=hint)
    for field, known in (("system_type", rules.system_types), ("status", rules.statuses)):
        if system[field] not in known:
            raise UsageError(f"{field} is {system[field]!r}", where=where, hint=f"one of: {'; '.join(known)}")
    for field, wanted in (("division", settings.division), ("submitter", settings.submitter)):
        if system[field] not in ("", wanted):
            hint = f'write {wanted}, or "" to have it filled in'
            raise UsageError(f"{field} is {system[field]!r}, the run's is {wanted!r}", where=where, hint=hint)
    return system
