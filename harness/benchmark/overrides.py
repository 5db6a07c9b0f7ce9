"""What is laid over a configuration file, where it is of another backend or model than the file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.settings import default_model_name, read_yaml, run_config


def with_replaced_parts(config: Path, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The overrides, before them what empties the parts of the file that are of another backend or model than theirs.

    Args:
        config: as `load_run` takes it.
        overrides: dotted key → value.

    Raises:
        UsageError: the file cannot be read.
    """
    whole = dict(overrides)
    file = read_yaml(run_config(config))
    if whole.get("backend.name") not in (None, (file.get("backend") or {}).get("name")):
        whole = {"backend.options": {}, "backend.devices": None} | whole
    if whole.get("model.name") not in (None, (file.get("model") or {}).get("name", default_model_name())):
        whole = {"round": "", "model": {}} | whole
    return whole
