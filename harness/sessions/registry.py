"""Backends by name.

These are our own, those that other packages offer by the entry point ``ssd_harness.backends``, and, for one that is
still being written, any module by its dotted name.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import Protocol, cast

from harness.errors import BackendError, UsageError
from harness.sessions.protocol import Session, SessionRequest
from harness.suggestions import did_you_mean

ENTRY_POINT = "ssd_harness.backends"

OWN = {
    "furiosa": "harness.sessions.furiosa",
    "onnxruntime": "harness.sessions.onnxruntime",
    "openvino": "harness.sessions.openvino",
    "simulated": "harness.sessions.simulated",
}
_RUNTIMES = {"furiosa": "furiosa-runtime", "openvino": "openvino"}
"""Of our own: those whose runtime is not installed with the harness, and the package that brings it."""
_IMPORT_FAILS = (ImportError, OSError, RuntimeError)
"""What importing a runtime raises when it, its library or its driver is missing."""


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
        """For the manifest and the list of backends, quick: "version" and "devices", and what else is worth keeping."""
        ...


@dataclass(frozen=True)
class BackendInfo:
    """One line of the list of backends.

    Attributes:
        installed: its runtime can be imported here.
        version: of the runtime, where it has one.
        devices: that it can drive here.
        missing: why it is not installed; None when it is.
        remedy: what installs it; None when it is.
    """

    name: str
    installed: bool
    simulated: bool = False
    version: str | None = None
    devices: tuple[str, ...] = ()
    missing: str | None = None
    remedy: str | None = None


def backend_names() -> list[str]:
    """All that can be named, installed or not."""
    return sorted({*OWN, *(point.name for point in entry_points(group=ENTRY_POINT))})


def list_backends() -> list[BackendInfo]:
    """Every backend that can be named; imports each."""
    return [_info(name) for name in backend_names()]


def check_backend_name(name: str) -> None:
    """Whether a backend may be called so; nothing is imported.

    Raises:
        UsageError: no such backend; says which there are and what installs them.
    """
    if "." not in name and name not in (known := backend_names()):
        otherwise = f"there are: {_all_with_remedies()}; a module of yours is named PACKAGE.MODULE"
        raise UsageError(f"no such backend: {name}", where="backend", hint=did_you_mean(name, known, otherwise))


def load_backend(name: str) -> Backend:
    """The backend of that name.

    Raises:
        UsageError: as `check_backend_name` does.
        BackendError: its runtime is not installed.
    """
    check_backend_name(name)
    points = {point.name: point for point in entry_points(group=ENTRY_POINT)}
    try:
        # our own come first: a package cannot take their names
        if name not in OWN and name in points:
            return cast(Backend, points[name].load())
        return cast(Backend, import_module(OWN.get(name, name)))
    except _IMPORT_FAILS as error:
        raise BackendError(
            f"its runtime cannot be imported: {error}", where=f"backend {name}", hint=_remedy(name)
        ) from error


def open_session(name: str, request: SessionRequest) -> Session:
    """Opens a session of the named backend; raises what `load_backend` and the backend raise."""
    return load_backend(name).open_session(request)


def _info(name: str) -> BackendInfo:
    try:
        backend = load_backend(name)
        described = backend.describe()
    except BackendError as error:
        return BackendInfo(name, installed=False, missing=error.what, remedy=error.hint or _remedy(name))
    version, devices = described.get("version"), described.get("devices")
    return BackendInfo(
        name,
        installed=True,
        simulated=backend.SIMULATED,
        version=None if version is None else str(version),
        devices=tuple(map(str, devices)) if isinstance(devices, (list, tuple)) else (),
    )


def _remedy(name: str) -> str:
    return f"pip install {_RUNTIMES[name]}" if name in _RUNTIMES else "install its package and what that needs"


def _all_with_remedies() -> str:
    return ", ".join(f"{name} ({_remedy(name)})" if name in _RUNTIMES else name for name in backend_names())
