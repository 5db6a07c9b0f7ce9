"""``--mode find-peak``: the highest rate at which Server is valid, and the rate that Offline must expect.

Each try is a short LoadGen test. Server halves the interval between the highest valid and the lowest invalid rate;
Offline goes on until LoadGen's expectation is what it measures.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from harness.benchmark.inputs import Inputs
from harness.errors import UsageError
from harness.live.display import shown
from harness.loadgen.log import read_detail
from harness.loadgen.process import run_test
from harness.runs.directory import RunDirectory
from harness.runs.layout import TestFolder
from harness.runs.records import Peak, PeakTry
from harness.scenarios import TITLES, Scenario
from harness.terminal import Terminal

WITH_PEAK: tuple[Scenario, ...] = ("server", "offline")
TRY_S = 10.0
TRY_QUERIES = 1000  # a 99th percentile within its bound needs 662 (early stopping), and some room for late ones
CLOSE = 1.03  # the search ends when valid and invalid rates are within this ratio
STRIDE = 1.5  # upwards, until a rate is invalid
MOST_TRIES = 15
LOWEST = 1 / 16  # of the rate that was answered: queries hardly wait for each other any more, and still it is invalid


Attempt = Callable[[float | None], PeakTry]
"""A rate, or None for what calibration suggests → the test's outcome."""


def find_peaks(inputs: Inputs, run: RunDirectory, terminal: Terminal) -> dict[Scenario, Peak]:
    """For each scenario that has a rate: the peak (None: no rate was valid) and the table of tries.

    Raises:
        UsageError: neither Server nor Offline is among the scenarios.
        HarnessError: as `run_test` does.
    """
    scenarios = [scenario for scenario in WITH_PEAK if scenario in inputs.settings.scenarios]
    if not scenarios:
        raise UsageError("find-peak is for server and offline", where="scenarios", hint="--scenario server,offline")
    peaks: dict[Scenario, Peak] = {}
    for scenario in scenarios:
        tries: list[PeakTry] = []

        def attempt(qps: float | None, scenario: Scenario = scenario, tries: list[PeakTry] = tries) -> PeakTry:
            tries.append(_try(inputs, run, terminal, scenario, len(tries) + 1, qps))
            return tries[-1]

        given = inputs.settings.test(scenario)
        search, start = (bisect, given.target_qps) if scenario == "server" else (settle, given.expected_qps)
        best = search(attempt, start)
        if best is None:
            terminal.say(_no_peak(scenario, tries))
        peaks[scenario] = Peak(
            valid=best is not None,
            qps=None if best is None else best.qps if scenario == "server" else best.samples_per_second,
            tries=tuple(tries),
        )
    return peaks


def bisect(attempt: Attempt, start: float | None) -> PeakTry | None:
    """Server: the valid try with the highest rate; None when none was valid."""
    best, high, answered, qps = None, inf, 0.0, start
    for _ in range(MOST_TRIES):
        tried = attempt(qps)
        answered = max(answered, tried.samples_per_second)
        if tried.valid:
            best = tried
        else:
            high = tried.qps
        low = best.qps if best else 0.0
        if high <= low * CLOSE or (best is None and high <= answered * LOWEST):
            break
        qps = low * STRIDE if high == inf else (low + high) / 2
    return best


def _no_peak(scenario: Scenario, tries: list[PeakTry]) -> str:
    """Why the search ended without a valid rate."""
    last = min(tries, key=lambda tried: tried.qps)
    text = f"{TITLES[scenario]}: no rate down to {last.qps:.3g}/s is valid, and the search ends"
    if last.p99_ms is None or last.latency_bound_ms is None:
        return text
    return (
        f"{text}: there the 99th percentile is {last.p99_ms:.1f} ms and the bound {last.latency_bound_ms:g} ms. Either "
        "one inference takes too long for the bound, or other work on this machine does"
    )


def settle(attempt: Attempt, start: float | None) -> PeakTry | None:
    """Offline: the last try when LoadGen expected what it measured, or the fastest valid one."""
    best, expected = None, start
    for _ in range(4):
        tried = attempt(expected)
        if tried.valid and (best is None or tried.samples_per_second > best.samples_per_second):
            best = tried
        if tried.valid and 1 / CLOSE <= tried.qps / tried.samples_per_second <= CLOSE:
            break
        expected = tried.samples_per_second
    return best


def _try(
    inputs: Inputs, run: RunDirectory, terminal: Terminal, scenario: Scenario, number: int, qps: float | None
) -> PeakTry:
    given = inputs.settings.test(scenario)
    lengths = given.model_copy(
        update={
            "min_duration_s": given.min_duration_s if given.min_duration_s is not None else TRY_S,
            "min_queries": given.min_queries or TRY_QUERIES,
            "target_qps": qps,
            "expected_qps": qps,
        }
    )
    folder = run.try_folder(scenario, number)
    plan = inputs.plan(folder, scenario, "performance", lengths)
    title = f"{plan.title}, try {number}" + (f" at {qps:.3f}/s" if qps else "")
    with shown(plan, terminal, title=title, subtitle=inputs.subtitle) as show:
        finished = run_test(plan, show, watchdog_s=inputs.settings.watchdog_s, startup_s=inputs.settings.startup_s)
    log = read_detail(TestFolder(folder).detail_log)
    measured = "result_completed_samples_per_sec" if scenario == "server" else "result_samples_per_second"
    return PeakTry(
        qps=float(log.values["effective_target_qps"]),
        valid=log.valid and not finished.retired,
        samples_per_second=float(log.values[measured]),
        p50_ms=log.milliseconds("result_50.00_percentile_latency_ns") if scenario == "server" else None,
        p99_ms=log.milliseconds("result_99.00_percentile_latency_ns") if scenario == "server" else None,
        latency_bound_ms=plan.rules.latency_ms if scenario == "server" else None,
        folder=str(folder.relative_to(run.folder)),
    )
