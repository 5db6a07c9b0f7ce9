"""The machine over the time of a test, and its energy."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from harness.errors import LogError
from harness.runs.machine_load import busy_cores, clocks_mhz, energy_joules, read_machine_load, write_machine_load


def table(**columns: list[float]) -> pd.DataFrame:
    at = [-1.0, 0.0, 1.0, 2.0, 3.0]
    none = [float("nan")] * 5
    return pd.DataFrame({"at_s": at, "busy_s": none, "own_s": none, "frequency_mhz": none} | columns)


def test_energy_is_that_of_the_measured_part() -> None:
    load = table(**{"energy_j package-0": [0.0, 10.0, 30.0, 50.0, 80.0]})
    assert energy_joules(load, 2.5) == {"package-0": pytest.approx(55.0)}


def test_an_energy_that_was_not_measured_is_not_there() -> None:
    counters = {"energy_j package-0": [0.0, 10.0, 30.0, 50.0, 80.0]}
    assert energy_joules(table(), 2.5) == {}
    assert energy_joules(table(**counters), 3.5) == {}  # not read after the end
    assert energy_joules(table(**counters)[2:], 2.5) == {}  # nor before the beginning
    assert energy_joules(table(**counters), 1.5) == {}  # once between the two
    gap = {"energy_j package-0": [0.0, 10.0, float("nan"), 50.0, 80.0]}
    assert energy_joules(table(**gap), 2.5) == {}


def test_clocks_are_means_of_the_measured_part() -> None:
    load = table(frequency_mhz=[100.0, 1000.0, 2000.0, 3000.0, 9000.0], **{"clock_mhz GPU 0: X": [1.0] * 5})
    assert clocks_mhz(load, 2.5) == {"processor": 2000.0, "GPU 0: X": 1.0}
    assert clocks_mhz(table(), 2.5) == {}


def test_busy_cores_lie_between_two_moments() -> None:
    cores = busy_cores(table(busy_s=[0.0, 1.0, 3.0, 5.0, 5.0]))
    assert cores["at_s"].tolist() == [-0.5, 0.5, 1.5, 2.5]
    assert cores["busy"].tolist() == [1.0, 2.0, 2.0, 0.0]
    assert cores["own"].isna().all()


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "machine.csv.gz"
    load = table(busy_s=[0.0, 1.0, 3.0, 5.0, 5.0], **{"energy_j dram": [0.0, 0.5, 1.0, 1.5, 2.0]})
    write_machine_load(path, load)
    pd.testing.assert_frame_equal(read_machine_load(path), load)
    path.write_bytes(b"x")
    with pytest.raises(LogError, match="cannot be read"):
        read_machine_load(path)
