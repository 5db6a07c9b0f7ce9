"""``machine.csv.gz``: what the machine did over the time of a test, and the energy that it took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd

from harness.files import replacing
from harness.runs.samples import read_table

AT, BUSY, OWN, FREQUENCY = "at_s", "busy_s", "own_s", "frequency_mhz"
ENERGY, CLOCK = "energy_j ", "clock_mhz "
"""What the columns of a counter of energy, and of a clock, begin with; its name follows."""


MachineTable: TypeAlias = pd.DataFrame
"""The table of `read_machine_load`."""


def machine_table(rows: Sequence[Mapping[str, float | None]]) -> MachineTable:
    """The table of these rows, each with its columns; what a row lacks, or is None in it, is NaN."""
    return pd.DataFrame(rows).astype(float)


def write_machine_load(path: Path, table: pd.DataFrame) -> None:
    """Writes the table of `read_machine_load`."""
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, compression="gzip", float_format="%.6f")


def read_machine_load(path: Path) -> pd.DataFrame:
    """One row a moment, in ascending order; NaN is what could not be read.

    ``at_s`` is in seconds since the first sample was issued, and negative before. ``busy_s`` and ``own_s`` are counters
    in seconds of all cores together: of anybody here, and of this run. ``frequency_mhz`` is the cores' mean. Then a
    column ``energy_j NAME`` for each counter of energy in joules, and ``clock_mhz NAME`` for each accelerator.

    Raises:
        LogError: the file is missing or damaged.
    """
    return read_table(path, (AT, BUSY, OWN, FREQUENCY))


def busy_cores(table: pd.DataFrame) -> pd.DataFrame:
    """Cores that were busy between two moments: ``at_s`` (the middle), ``busy`` and ``own``, NaN where not known."""
    spans = np.diff(table[AT].to_numpy(np.float64))
    middles = table[AT].to_numpy(np.float64)[:-1] + spans / 2
    cores = {"busy": BUSY, "own": OWN}
    rates = {name: np.diff(table[column].to_numpy(np.float64)) / spans for name, column in cores.items()}
    return pd.DataFrame({AT: middles, **rates})


def energy_joules(table: pd.DataFrame, end_s: float) -> dict[str, float]:
    """Counter → joules between the first issue and ``end_s``, interpolated between readings.

    Empty where the counters were not read before the one and after the other, or only once between them: an energy is
    measured, or it is not there.
    """
    at = table[AT].to_numpy(np.float64)
    if not len(at) or at[0] > 0 or at[-1] < end_s or np.count_nonzero((at > 0) & (at < end_s)) < 2:
        return {}
    found = {}
    for column in table.columns:
        values = table[column].to_numpy(np.float64)
        if str(column).startswith(ENERGY) and not np.isnan(values).any():
            before, after = np.interp((0.0, end_s), at, values)
            found[str(column).removeprefix(ENERGY)] = round(float(after - before), 3)
    return found


def clocks_mhz(table: pd.DataFrame, end_s: float) -> dict[str, float]:
    """Processor or accelerator → mean clock between the first issue and ``end_s``, where it could be read."""
    during = table[(table[AT] >= 0) & (table[AT] <= end_s)]
    named = {"processor": FREQUENCY}
    named |= {str(name).removeprefix(CLOCK): str(name) for name in table.columns if str(name).startswith(CLOCK)}
    means = {name: float(during[column].mean()) for name, column in named.items()}
    return {name: round(mean, 1) for name, mean in means.items() if mean == mean}
