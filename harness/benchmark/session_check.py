"""A session opened before the tests, to see that the model fits the device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from harness.child_process import enter_in_child, run_in_child
from harness.cluster.membership import Cluster
from harness.cluster.places import first_devices, place_sessions
from harness.cluster.ray_cluster import check_on_node
from harness.errors import BackendError, Stalled
from harness.pipeline.system_under_test import checked_session
from harness.scenarios import Scenario
from harness.sessions.registry import Backend, load_backend
from harness.settings import RunSettings


def devices_of(settings: RunSettings, backend: Backend, scenario: Scenario) -> str:
    """The devices of a scenario's tests as the settings name them, or those that the backend takes for it."""
    return settings.backend.devices or backend.default_devices(throughput=scenario != "single_stream")


def input_dtype(settings: RunSettings, model_file: Path | None, cluster: Cluster | None) -> str:
    """What the sessions take; asked of a node where this machine has no such device."""
    try:
        return enter_in_child(_any_session, settings, model_file, limit_s=settings.startup_s)
    except Stalled as error:
        error.where, error.hint = f"opening a session of {settings.backend.name}", "a slow one needs a larger startup_s"
        raise
    except BackendError:
        if cluster is None or settings.backend.devices is None:
            raise
        place = place_sessions(settings.backend.devices, cluster.find())[0]
        return run_in_child(check_on_node, cluster.address, place, settings.model, settings.backend, model_file)


@contextmanager
def _any_session(settings: RunSettings, model_file: Path | None) -> Iterator[str]:
    """Opens one session to see that the model fits; gives the dtype of its input.

    Where devices that fail are done without, it is one of the first that can be opened.
    """
    scenario = settings.scenarios[0]
    devices = first_devices(devices_of(settings, load_backend(settings.backend.name), scenario))
    if scenario == "single_stream" or settings.backend.on_device_failure == "stop":
        devices = devices[:1]
    with ExitStack() as opened:
        for index, device in enumerate(devices):
            session = checked_session(settings.model, settings.backend, device, model_file, index)
            try:
                dtype = opened.enter_context(session)
                break
            except Exception:
                if index + 1 == len(devices):
                    raise
        yield dtype
