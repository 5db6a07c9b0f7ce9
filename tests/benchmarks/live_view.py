"""Does a run with the live view differ from one without it? The same LoadGen tests with and without, in turns.

    .venv/bin/python tests/benchmarks/live_view.py [--rounds 5] [--seconds 4] [--devices 8,64]

With: the picture is drawn for a terminal of 100 columns and thrown away. Without: nothing is shown. Simulated devices
of 12.5 ms with the native postprocessor, and one of no latency, whose every microsecond is the harness's own. The
figures are medians, the last column the median of the rounds' ratios; processor time is the child's, a sample.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from io import StringIO
from pathlib import Path
from statistics import median

from harness.benchmark.queue_limits import LATENCY_MS, Case, plan_of
from harness.live.display import shown
from harness.loadgen.log import read_detail
from harness.loadgen.process import run_test
from harness.terminal import Terminal, TextConsole


def terminal(drawn: bool) -> Terminal:
    shown = Terminal("live" if drawn else "quiet")
    shown.console = TextConsole(file=StringIO(), force_terminal=True, width=100, height=40)
    return shown


def measure(case: Case, seconds: float, drawn: bool) -> tuple[float, float]:
    """(samples/s, µs of the child's processor time a sample)."""
    with tempfile.TemporaryDirectory() as name:
        test = plan_of(case, Path(name), seconds)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with shown(test, terminal(drawn)) as show:
            run_test(test, show, watchdog_s=60, startup_s=60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        values = read_detail(Path(name) / "mlperf_log_detail.txt").values
    spent_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return values["result_samples_per_second"], spent_s / test.rules.min_queries * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--devices", default="8,64")
    args = parser.parse_args()
    cases = [Case("offline", 1, 0, decode=False)]
    cases += [Case("offline", int(count), LATENCY_MS, decode=True) for count in args.devices.split(",")]
    print(f"{'':30}{'samples/s':>22}{'processor µs a sample':>26}")
    print(f"{'':30}{'without':>11}{'with':>11}{'without':>13}{'with':>13}{'with / without':>17}")
    for case in cases:
        rounds = []
        for turn in range(args.rounds):
            order = (False, True) if turn % 2 else (True, False)
            found = {drawn: measure(case, args.seconds, drawn) for drawn in order}
            rounds.append((found[False], found[True]))
        name = f"{case.devices} device{'s' * (case.devices > 1)} of {case.latency_ms:g} ms"
        rates = [median(pair[k][0] for pair in rounds) for k in (0, 1)]
        spent = [median(pair[k][1] for pair in rounds) for k in (0, 1)]
        ratio = median(pair[1][0] / pair[0][0] for pair in rounds)
        print(f"{name:30}{rates[0]:11,.0f}{rates[1]:11,.0f}{spent[0]:13.2f}{spent[1]:13.2f}{ratio:17.4f}")


if __name__ == "__main__":
    main()
