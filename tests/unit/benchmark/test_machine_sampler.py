"""The machine is looked at from the beginning of a block to its end."""

from __future__ import annotations

import os
from pathlib import Path
from time import monotonic_ns, sleep
from typing import NoReturn

import pytest

from harness.benchmark import machine_sampler
from harness.benchmark.machine_sampler import MachineSampler
from tests.unit.benchmark.test_energy_meters import zone
from tests.unit.benchmark.test_machine_watch import made_root


def test_a_block_has_a_look_before_and_after_it(tmp_path: Path) -> None:
    zone(made_root(tmp_path, busy=500), "0", "package-0", 0)
    began = monotonic_ns()
    with MachineSampler(tmp_path, every_s=60) as sampler:
        pass
    table = sampler.table(began)
    assert len(table) == 2
    assert table["at_s"].is_monotonic_increasing
    assert table["busy_s"].tolist() == [5.0, 5.0]
    assert table["frequency_mhz"].tolist() == [2500.0, 2500.0]
    assert table["energy_j package-0"].tolist() == [0.0, 0.0]
    assert table["own_s"].isna().all()  # this file system has no processes


def test_a_long_test_keeps_every_second_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_sampler, "MOST", 4)
    with MachineSampler(every_s=0.001) as sampler:
        while sampler.every_s < 0.004:
            sleep(0.001)
    assert len(sampler.table(0)) <= 6


def test_a_process_that_ends_while_its_threads_are_listed_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(folder: Path, pattern: str) -> NoReturn:
        raise FileNotFoundError(folder)

    monkeypatch.setattr(Path, "glob", gone)
    assert list(machine_sampler._own_processes(tmp_path)) == [os.getpid()]
