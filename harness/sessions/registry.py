"""Backends by name: our own, those that other packages offer by the entry point ``ssd_harness.backends``, and, for one
that is still being written, any module by its dotted name."""

from __future__ import annotations

import difflib
from importlib import import_module
from importlib.metadata import entry_points
from typing import Protocol, cast

from harness.errors import BackendError, UsageError
from harness.sessions.protocol import Session, SessionRequest

ENTRY_POINT = "ssd_harness.backends"

OWN = {
    "onnxruntime": "harness.sessions.onnxruntime",
    "simulated": "harness.sessions.simulated",
}


class Backend(Protocol):
    """What a backend's module (or object) offers."""

    SIMULATED: bool
    """True: its figures are not of a real device, and no result of it can be submitted."""

    def open_session(self, request: SessionRequest) -> Session:
        """Loads the model on the device.

        Raises:
            UsageError: an unknown option or device.
            ModelError: a model that cannot be used.
            BackendError: the runtime or the device is not usable here.
        """
        ...

    def default_devices(self, *, throughput: bool) -> str:
        """The device specification when none is given: for throughput (Offline, Server) or for latency."""
        ...

    def describe(self) -> dict[str, object]:
        """Version and devices, for the manifest; quick."""
        ...


def backend_names() -> list[str]:
    """All that can be named, installed or not."""
    return sorted({*OWN, *(point.name for point in entry_points(group=ENTRY_POINT))})


def load_backend(name: str) -> Backend:
    """The backend of that name.

    Raises:
        UsageError: no such backend; says which there are.
        BackendError: its runtime is not installed.
    """
    points = {point.name: point for point in entry_points(group=ENTRY_POINT)}
    if name not in OWN and name not in points and "." not in name:
        near = difflib.get_close_matches(name, backend_names(), 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(backend_names())}"
        raise UsageError(f"no such backend: {name}", where="backend", hint=hint)
    try:
        return cast(Backend, points[name].load() if name in points else import_module(OWN.get(name, name)))
    except ImportError as error:
        hint = f"pip install 'ssd-harness[{name}]'" if name in OWN else "install its package and what that needs"
        raise BackendError(f"its runtime cannot be imported: {error}", where=f"backend {name}", hint=hint) from error


def open_session(name: str, request: SessionRequest) -> Session:
    """Opens a session of the named backend; raises what `load_backend` and the backend raise."""
    return load_backend(name).open_session(request)
