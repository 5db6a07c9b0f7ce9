"""Dotted keys of a configuration, as ``--set`` has them."""

from __future__ import annotations

from typing import Any

from harness.errors import UsageError
from harness.yaml_text import YamlError, parse_yaml


def parse_assignment(text: str) -> tuple[str, Any]:
    """``KEY=VALUE`` of ``--set``; the value is YAML.

    Raises:
        UsageError: there is no ``=`` in it, or the value is not YAML.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"expected KEY=VALUE, found {text!r}", where="--set", hint="e.g. --set backend.warmup=2")
    try:
        return key.strip(), parse_yaml(value)
    except YamlError as error:
        raise UsageError(f"the value of {key} is not YAML: {error}", where="--set") from error


def put(data: dict[str, Any], dotted: str, value: Any) -> None:
    """Sets the value of a dotted key in nested mappings, which are made where they are missing.

    Raises:
        UsageError: a part of the key is a value.
    """
    *parents, last = dotted.split(".")
    for depth, key in enumerate(parents, 1):
        child = data.setdefault(key, {})
        if child is None:
            child = data[key] = {}
        if not isinstance(child, dict):
            raise UsageError(f"{'.'.join(parents[:depth])} is a value, not a group of keys", where=dotted)
        data = child
    data[last] = value
