"""Runs of one configuration are found and named."""

from __future__ import annotations

from typing import Any

from harness.report.configurations import by_configuration
from harness.runs.records import Manifest
from tests.support.made_runs import made_manifest


def manifest(devices: str, **settings: Any) -> Manifest:
    given = made_manifest()["settings"] | {"backend": {"devices": devices}} | settings
    return Manifest.model_validate(made_manifest(settings=given))


def test_runs_of_other_devices_are_not_joined() -> None:
    runs = [manifest("simulated*2"), manifest("simulated*8"), manifest("simulated*2", name="other")]
    assert by_configuration(runs) == {
        "simulated, backend.devices simulated*2": [0, 2],
        "simulated, backend.devices simulated*8": [1],
    }


def test_runs_that_are_alike_are_named_by_their_backend() -> None:
    assert by_configuration([manifest("a"), manifest("a")]) == {"simulated": [0, 1]}


def test_a_long_list_of_differences_is_cut() -> None:
    more = manifest("b", watchdog_s=5, startup_s=6, trace=True)
    names = list(by_configuration([manifest("a"), more]))
    assert names == ["simulated, backend.devices a", "simulated, backend.devices b, watchdog_s 5, startup_s 6, 1 more"]
