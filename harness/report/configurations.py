"""Runs of one configuration found among many, and named by what tells them from the others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from harness.report.differences import LEFT_OUT
from harness.runs.records import Manifest
from harness.runs.summary import flat

CHANGES_NOTHING = (*LEFT_OUT, "settings.repeat", "settings.expected_map_percent", "settings.min_map_percent")
"""What may differ between runs of one configuration."""
OF_FILES = ("model.sha256", "dataset.sha256", "dataset.images", "backend.name", "round")
"""What counts beside the settings."""
MOST_NAMED = 3
"""The most keys that the name of a configuration has."""


def by_configuration(manifests: Sequence[Manifest | None]) -> dict[str, list[int]]:
    """Name of a configuration → the places of its manifests, in their order.

    The name is the backend's, with the settings that are not the same everywhere; versions and the system are no part
    of a configuration, as their change is what a chart over time is to show.
    """
    settings = [_settings(manifest) for manifest in manifests]
    keys = dict.fromkeys(key for of_run in settings for key in of_run)
    differing = [key for key in keys if len({json.dumps(of_run.get(key), default=str) for of_run in settings}) > 1]
    groups: dict[str, list[int]] = {}
    for place, of_run in enumerate(settings):
        groups.setdefault(json.dumps(of_run, sort_keys=True, default=str), []).append(place)
    named: dict[str, list[int]] = {}
    for places in groups.values():
        name = _name(settings[places[0]], differing)
        count = sum(known == name or known.startswith(f"{name} #") for known in named)
        named[f"{name} #{count + 1}" if count else name] = places
    return named


def _settings(manifest: Manifest | None) -> dict[str, Any]:
    if manifest is None:
        return {}
    document = manifest.as_json()
    parts = {part: document.get(part) or {} for part in ("settings", "model", "dataset", "backend")}
    found = dict(flat(parts)) | {"round": manifest.round}
    return {
        key: value
        for key, value in found.items()
        if key in OF_FILES or (key.startswith("settings.") and not key.startswith(CHANGES_NOTHING))
    }


def _name(settings: dict[str, Any], differing: Sequence[str]) -> str:
    told = [key for key in differing if key != "backend.name" and settings.get(key) is not None]
    shown = [f"{key.removeprefix('settings.')} {_short(settings[key])}" for key in told[:MOST_NAMED]]
    more = [f"{len(told) - MOST_NAMED} more"] if len(told) > MOST_NAMED else []
    return ", ".join([str(settings.get("backend.name", "?")), *shown, *more])


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 24 else f"{text[:12]}…"
