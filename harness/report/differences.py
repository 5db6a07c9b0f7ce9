"""What differs between two runs before any figure is looked at."""

from __future__ import annotations

from typing import Any

from harness.runs.records import Manifest
from harness.runs.summary import flat

GROUPS = {
    "configuration": ("settings",),
    "system": ("system",),
    "model": ("model", "dataset", "backend"),
    "versions": ("versions",),
}
"""What a person looks for → the parts of the manifest."""
LEFT_OUT = ("settings.name", "backend.options")
"""A name changes nothing, and a backend's options are among the settings."""


def differences(baseline: Manifest, manifest: Manifest) -> list[tuple[str, str, Any, Any]]:
    """Group, key, the baseline's value and the run's; None where one does not have the key."""
    documents = [baseline.as_json(), manifest.as_json()]
    found = []
    for group, parts in GROUPS.items():
        one, other = (dict(flat({part: document.get(part) or {} for part in parts})) for document in documents)
        if group == "configuration":
            one["round"], other["round"] = baseline.round, manifest.round
        for key in dict.fromkeys([*one, *other]):
            if not key.startswith(LEFT_OUT) and one.get(key) != other.get(key):
                found.append((group, key.removeprefix("settings."), one.get(key), other.get(key)))
    return found
