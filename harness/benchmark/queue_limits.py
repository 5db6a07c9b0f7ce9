"""What the harness itself costs: LoadGen, queue and postprocessor around simulated devices."""

from __future__ import annotations

import functools
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.benchmark.machine_watch import MachineWatch
from harness.loadgen.log import DETAIL_LOG, read_detail
from harness.loadgen.plan import Plan
from harness.loadgen.process import run_test
from harness.model.registry import load_model
from harness.pipeline.devices import parse_devices, place
from harness.rounds import load_round
from harness.runs.records import MachineRecord
from harness.scenarios import Scenario
from harness.settings import BackendSettings, ModelSettings, ScenarioSettings

LOADED = 64
ZERO_LATENCY_SAMPLES = 300_000
SLOWER = 10
LATENCY_MS = 12.5
"""About the latency of FuriosaAI's Warboy in MLPerf v1.1."""


@dataclass(frozen=True)
class Case:
    """One measurement.

    Attributes:
        latency_ms: of each simulated device; 0: it answers at once.
        decode: the native postprocessor runs on canned int8 outputs; else every answer is empty.
        one_slow: the first device takes `SLOWER` times as long; it should cost its own share and no more.
        one_busy: another process keeps a processor busy meanwhile.
    """

    scenario: Scenario
    devices: int
    latency_ms: float
    decode: bool
    one_slow: bool = False
    one_busy: bool = False

    @property
    def ideal_samples_per_second(self) -> float | None:
        """What the devices could do without a harness; None for devices of no latency."""
        if not self.latency_ms:
            return None
        worth = self.devices - (1 - 1 / SLOWER) * self.one_slow
        return worth / self.latency_ms * 1e3


CASES = (
    Case("single_stream", 1, 0, decode=False),
    Case("single_stream", 1, LATENCY_MS, decode=True),
    *(Case("offline", devices, 0, decode=False) for devices in (1, 8, 64)),
    *(Case("offline", devices, 0, decode=True) for devices in (1, 8, 64)),
    *(Case("offline", devices, LATENCY_MS, decode=True) for devices in (1, 8, 16, 64)),
    Case("offline", 8, LATENCY_MS, decode=False, one_slow=True),
    *(Case("offline", devices, LATENCY_MS, decode=False) for devices in (256, 1024)),
    Case("offline", 64, LATENCY_MS, decode=True, one_busy=True),
)

LEAST_ROUNDS, MOST_ROUNDS = 3, 7
STABLE = 0.005
"""A median is stable when leaving out the last round changes it by less than this share."""


@dataclass(frozen=True)
class Limit:
    """What came out.

    Attributes:
        samples_per_second: LoadGen's own figure; in SingleStream of its mean latency.
        share_of_ideal: of what the devices could do without a harness; None for devices of no latency.
        added_us: what a sample took of its device beyond the device's time, or of the whole harness where the device
            takes none: "mean", and in SingleStream "p50", "p90" and "p99".
        cpu_us_per_sample: user and system time of the process that ran the test, without its beginning and its end.
        peak_memory_mib: of the process that ran the test.
        machine: what else the machine did meanwhile.
        rounds: how often it was measured; these are the figures of the round with the median rate.
        stable: whether another round would hardly change that: the last one changed the median by less than `STABLE`.
    """

    case: Case
    samples_per_second: float
    share_of_ideal: float | None
    added_us: dict[str, float]
    cpu_us_per_sample: float
    peak_memory_mib: float
    machine: MachineRecord
    rounds: int = 1
    stable: bool = False

    def as_json(self) -> dict[str, Any]:
        """All of it, for programs."""
        return asdict(self) | {"machine": self.machine.as_json()}


@dataclass(frozen=True)
class _SameTensor:
    """Every sample is the same zeros."""

    shape: tuple[int, ...]

    def load(self, indices: Sequence[int]) -> Sequence[npt.NDArray[np.uint8]]:
        tensor = np.zeros(self.shape, np.uint8)
        return [tensor] * len(indices)


def measure(case: Case, seconds: float, model_name: str | None = None) -> Limit:
    """Runs one LoadGen test of about that length in a process of its own, with made-up outputs of the model.

    Raises:
        HarnessError: as `run_test` does.
    """
    with tempfile.TemporaryDirectory() as name:
        plan = plan_of(case, Path(name), seconds, model_name)
        with busy_processor() if case.one_busy else nullcontext():
            watch = MachineWatch()
            finished = run_test(plan, lambda progress: None, watchdog_s=60, startup_s=60)
            machine = watch.record()
        values = read_detail(Path(name) / DETAIL_LOG).values
    device_us = case.latency_ms * 1e3
    percentiles: dict[str, float] = {}
    if case.scenario == "single_stream":
        mean_us = values["result_mean_latency_ns"] / 1e3
        for p in (50, 90, 99):
            percentiles[f"p{p}"] = round(values[f"result_{p}.00_percentile_latency_ns"] / 1e3 - device_us, 3)
        per_second = 1e6 / mean_us
    else:
        per_second = values["result_samples_per_second"]
        mean_us = 1e6 / per_second * ((case.ideal_samples_per_second or 1) * device_us / 1e6 or 1)
    ideal = case.ideal_samples_per_second
    return Limit(
        case=case,
        samples_per_second=round(per_second, 3),
        share_of_ideal=round(per_second / ideal, 4) if ideal else None,
        added_us={"mean": round(mean_us - device_us, 3)} | percentiles,
        cpu_us_per_sample=round(finished.cpu_s * 1e6 / sum(finished.samples_per_session.values()), 1),
        peak_memory_mib=round(finished.peak_memory_bytes / 2**20, 1),
        machine=machine,
    )


@contextmanager
def busy_processor() -> Iterator[None]:
    """Another process computes meanwhile, as much as one processor can."""
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        busy.kill()
        busy.wait()


def median_of(measure_once: Callable[[], Limit], most_rounds: int = MOST_ROUNDS) -> Limit:
    """Measures until the median rate is stable, `most_rounds` times at the most."""
    limits: list[Limit] = []
    stable = False
    while len(limits) < most_rounds and not stable:
        limits.append(measure_once())
        if len(limits) >= LEAST_ROUNDS:
            rates = [limit.samples_per_second for limit in limits]
            stable = abs(median(rates) / median(rates[:-1]) - 1) < STABLE
    middle = sorted(limits, key=lambda limit: limit.samples_per_second)[(len(limits) - 1) // 2]
    return replace(middle, rounds=len(limits), stable=stable)


def bench_queue(
    seconds: float,
    progress: Callable[[int, int], None] = lambda done, total: None,
    cases: Sequence[Case] = CASES,
    model_name: str | None = None,
    most_rounds: int = MOST_ROUNDS,
) -> list[Limit]:
    """Measures every case for about so many seconds, with made-up outputs of the model (none: the default one).

    Each is repeated until its median is stable, or `most_rounds` times.
    """
    limits = []
    for done, case in enumerate(cases):
        progress(done, len(cases))
        limits.append(median_of(functools.partial(measure, case, seconds, model_name), most_rounds))
    return limits


def plan_of(case: Case, folder: Path, seconds: float, model_name: str | None = None) -> Plan:
    """The LoadGen test that measures the case for about that many seconds."""
    settings = ModelSettings(decoder="native" if case.decode else "none")
    if model_name is not None:
        settings = settings.model_copy(update={"name": model_name})
    model = load_model(settings.name)
    round_ = load_round(model.round)
    benchmark = round_.benchmark_of(model.benchmarks)
    per_second = case.ideal_samples_per_second or ZERO_LATENCY_SAMPLES / seconds
    if not case.latency_ms and (case.decode or case.scenario == "single_stream"):
        per_second /= 10
    samples = max(LOADED, int(per_second * seconds))
    rules = round_.benchmark(benchmark).scenario(case.scenario)
    options: dict[str, Any] = {"latency_ms": case.latency_ms}
    if case.one_slow:
        options["fault"] = {"kind": "slow", "device": 0, "factor": SLOWER}
    return Plan(
        folder=folder,
        scenario=case.scenario,
        mode="performance",
        benchmark=benchmark,
        seeds=round_.seeds,
        rules=rules.model_copy(update={"min_duration_s": 0.001, "min_queries": samples}),
        performance_sample_count=LOADED,
        scenario_settings=ScenarioSettings(expected_qps=1, expected_latency_ms=1000),
        model=settings,
        model_file=None,
        backend=BackendSettings(name="simulated", warmup=2, options=options),
        slots=tuple(place(parse_devices(f"simulated*{case.devices}"))),
        source=_SameTensor(model.input.shape),
        sample_names=tuple(f"{k}" for k in range(LOADED)),
        image_sizes=((640, 480),) * LOADED if model.needs_image_size else (),
    )
