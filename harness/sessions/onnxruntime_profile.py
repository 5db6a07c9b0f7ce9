"""ONNX Runtime's profile: a JSON file of events, added up."""

from __future__ import annotations

import json
from pathlib import Path

from harness.errors import RunFailed
from harness.sessions.profile import COMPUTE, TRANSFER_IN, TRANSFER_OUT, LayerTimes, SessionProfile

PARTS = {"MemcpyFromHost": TRANSFER_IN, "MemcpyToHost": TRANSFER_OUT}
"""Operators that ONNX Runtime puts in where a device has a memory of its own; all others compute."""
KERNEL = "_kernel_time"
"""How the names of the events end that say how long a node's kernel ran."""


def read_profile(path: Path, source: str) -> SessionProfile:
    """The profile in a file that `InferenceSession.end_profiling` has written.

    Raises:
        RunFailed: it cannot be read, as when the disk is full.
    """
    try:
        events = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunFailed(f"ONNX Runtime's profile cannot be read: {error}", where=str(path)) from error
    times = LayerTimes()
    for event in events:
        if event.get("name") == "model_run":
            times.add_inference()
        elif event.get("cat") == "Node" and str(event.get("name")).endswith(KERNEL):
            kind = str(event.get("args", {}).get("op_name", ""))
            times.add(str(event["name"]).removesuffix(KERNEL), kind, round(event["dur"] * 1000))
    layers = times.layers()
    parts = dict.fromkeys((TRANSFER_IN, COMPUTE, TRANSFER_OUT), 0)
    for layer in layers:
        parts[PARTS.get(layer.kind, COMPUTE)] += layer.total_ns
    return SessionProfile(source, times.inferences, {name: ns for name, ns in parts.items() if ns}, layers)
