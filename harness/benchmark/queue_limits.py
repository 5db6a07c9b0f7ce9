"""What the harness itself costs: LoadGen, queue and postprocessor around simulated devices."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.loadgen.log import DETAIL_LOG, read_detail
from harness.loadgen.plan import Plan
from harness.loadgen.process import run_test
from harness.model.registry import load_model
from harness.pipeline.devices import parse_devices, place
from harness.rounds import load_round
from harness.scenarios import Scenario
from harness.settings import BackendSettings, ModelSettings, ScenarioSettings

LOADED = 64
ZERO_LATENCY_SAMPLES = 300_000
SLOWER = 10
LATENCY_MS = 12.5
"""Of FuriosaAI's Warboy in MLPerf v1.1, about."""


@dataclass(frozen=True)
class Case:
    """One measurement.

    Attributes:
        latency_ms: of each simulated device; 0: it answers at once.
        decode: the native postprocessor runs on canned int8 outputs; else every answer is empty.
        one_slow: the first device takes `SLOWER` times as long; it should cost its own share and no more.
    """

    scenario: Scenario
    devices: int
    latency_ms: float
    decode: bool
    one_slow: bool = False

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
    Case("offline", 256, LATENCY_MS, decode=False),
)


@dataclass(frozen=True)
class Limit:
    """What came out.

    Attributes:
        samples_per_second: LoadGen's own figure; in SingleStream of its mean latency.
        share_of_ideal: of what the devices could do without a harness; None for devices of no latency.
        added_us: what a sample took of its device beyond the device's time, or of the whole harness where the device
            takes none: "mean", and in SingleStream "p50", "p90" and "p99".
        peak_memory_mib: of the process that ran the test.
    """

    case: Case
    samples_per_second: float
    share_of_ideal: float | None
    added_us: dict[str, float]
    peak_memory_mib: float


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
        finished = run_test(plan, lambda progress: None, watchdog_s=60, startup_s=60)
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
        peak_memory_mib=round(finished.peak_memory_bytes / 2**20, 1),
    )


def bench_queue(
    seconds: float,
    progress: Callable[[int, int], None] = lambda done, total: None,
    cases: Sequence[Case] = CASES,
    model_name: str | None = None,
) -> list[Limit]:
    """Measures every case for about so many seconds, with made-up outputs of the model (none: the default one)."""
    limits = []
    for done, case in enumerate(cases):
        progress(done, len(cases))
        limits.append(measure(case, seconds, model_name))
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
