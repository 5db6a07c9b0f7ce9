"""The harness's own limits: LoadGen, queue and native postprocessor around simulated devices, instant or of 12.5 ms.

Every line is one LoadGen test in its own process. "of ideal" is against what the devices could do without a harness.
"added" is what a sample takes of its device beyond the device's own time (of the whole harness where that is 0), on
average, and in SingleStream at the 50th, 90th and 99th percentile. Every line is measured until its median is stable,
which a line marked ~ is not; "load" is the machine's load average of a minute, "stolen" the share of its processors'
time that a hypervisor gave to others meanwhile.
"""

from __future__ import annotations

import argparse

from rich.table import Table

from harness.benchmark.queue_limits import CASES, MOST_ROUNDS, SLOWER, Case, Limit, bench_queue
from harness.command_line.argument_types import one_or_more
from harness.command_line.json_output import add_json_option, show_or_write
from harness.command_line.model_argument import add_model_name
from harness.errors import UsageError
from harness.scenarios import TITLES
from harness.terminal import Terminal, output

SUMMARY = "the harness's own limits, with simulated devices"
EXAMPLES = """\
  ssd-harness bench queue
  ssd-harness bench queue --seconds 5 --devices 16,64 --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `bench queue`."""
    add_model_name(parser)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement (default: %(default)g)")
    parser.add_argument(
        "--rounds",
        type=one_or_more,
        default=MOST_ROUNDS,
        help="of each measurement, at the most (default: %(default)s)",
    )
    parser.add_argument("--devices", help="only the lines with so many devices, e.g. 16,64")
    add_json_option(parser, "the figures")


def run(args: argparse.Namespace) -> int:
    """Measures the cases that were asked for and prints the figures."""
    if not 0 < args.seconds <= 600:
        raise UsageError("expected above 0 and at most 600", where="--seconds")
    cases = CASES
    if args.devices:
        cases = tuple(case for case in CASES if str(case.devices) in args.devices.replace(" ", "").split(","))
        if not cases:
            known = ", ".join(str(n) for n in sorted({case.devices for case in CASES}))
            raise UsageError("no line has that many devices", where="--devices", hint=f"some of: {known}")
    terminal = Terminal()
    with terminal.task("Queue", "measurements") as report:
        limits = bench_queue(args.seconds, report, cases, args.model_name, args.rounds)
        report(len(limits), len(limits))
    show_or_write([limit.as_json() for limit in limits], args.json, lambda: output().print(table_of(limits)))
    return 0


def table_of(limits: list[Limit]) -> Table:
    """What is printed."""
    table = Table(title="The harness around simulated devices")
    table.add_column("scenario")
    for column in ("devices", "device ms", "decode", "samples/s", "of ideal", "added µs", "p50", "p90", "p99"):
        table.add_column(column, justify="right")
    for column in ("CPU µs", "MiB", "rounds", "load", "others", "stolen"):
        table.add_column(column, justify="right")
    for limit in limits:
        case, added, machine = limit.case, limit.added_us, limit.machine
        table.add_row(
            TITLES[case.scenario],
            _devices(case),
            f"{case.latency_ms:g}",
            "native" if case.decode else "none",
            f"{limit.samples_per_second:,.0f}",
            "–" if limit.share_of_ideal is None else f"{limit.share_of_ideal * 100:.2f} %",
            f"{added['mean']:.1f}",
            *(f"{added[p]:.1f}" if p in added else "–" for p in ("p50", "p90", "p99")),
            f"{limit.cpu_us_per_sample:.1f}",
            f"{limit.peak_memory_mib:.0f}",
            f"{limit.rounds}{'' if limit.stable else ' ~'}",
            "–" if machine.load_after is None else f"{machine.load_after:.1f}",
            "–" if machine.others_cores is None else f"{machine.others_cores:.2f}",
            "–" if machine.steal_percent is None else f"{machine.steal_percent:.1f} %",
        )
    return table


def _devices(case: Case) -> str:
    if case.one_slow:
        return f"{case.devices}, one {SLOWER}× slower"
    return f"{case.devices}, a busy processor" if case.one_busy else str(case.devices)
