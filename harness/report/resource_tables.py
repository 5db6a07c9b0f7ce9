"""What a test took of the machine as a table: memory, energy, clocks, and how much others had of it."""

from __future__ import annotations

from harness.report.tables import Cell, Table
from harness.runs.recorded_run import Test


def resources_table(test: Test) -> Table | None:
    """One row a figure, only of what the system gave; None where it gave nothing."""
    record, samples = test.record, len(test.samples)
    rows: list[tuple[Cell, ...]] = []
    if record.peak_memory_bytes is not None:
        rows.append(("peak memory of the process", f"{record.peak_memory_bytes / 2**20:.0f} MiB"))
    machine = record.machine
    if machine is not None:
        duration_s = test.figures.duration_s
        for name, joules in machine.energy_joules.items():
            each = f", {joules / samples:.4g} J a sample" if samples else ""
            power = f", {joules / duration_s:.4g} W" if duration_s else ""
            rows.append((f"energy, {name}", f"{joules:.6g} J{power}{each}"))
        rows += [(f"mean clock, {name}", f"{mhz:.0f} MHz") for name, mhz in machine.clocks_mhz.items()]
        cores = "" if machine.cores is None else f" of {machine.cores}"
        load = [f"{value:g}" for value in (machine.load_before, machine.load_after) if value is not None]
        given = (
            ("cores that other programs used", machine.others_cores, cores),
            ("load before, after", ", ".join(load) or None, ""),
            ("time that the host gave to others (steal)", machine.steal_percent, " %"),
            ("stopped by the container's quota", machine.throttled_s, " s"),
            ("temperature at the end", machine.temperature_celsius, " °C"),
        )
        rows += [(what, f"{value}{unit}") for what, value, unit in given if value is not None]
    return Table("Resources", ("", ""), rows) if rows else None
