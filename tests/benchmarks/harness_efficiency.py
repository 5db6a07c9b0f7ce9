"""What the harness costs: the same sessions under LoadGen and the harness, and driven by a bare loop.

    .venv/bin/python tests/benchmarks/harness_efficiency.py [--rounds 3] [--samples 32] [--precision int8]

Bare and harness take turns in one call, each in a process of its own, because timings drift. The bare loop is
``session.run`` and nothing else: no decoding, no LoadGen, no records. Prints medians and the ratio; the aims are at
least 0.98 of the bare Offline samples/s, and a SingleStream p90 at most 1 ms above the bare one.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from time import monotonic_ns
from typing import Any

import numpy as np

from harness.benchmark.inputs import Inputs, find_inputs
from harness.loadgen.log import read_detail
from harness.loadgen.plan import Plan
from harness.loadgen.process import run_test
from harness.model.registry import load_model
from harness.pipeline.devices import pin
from harness.scenarios import Scenario
from harness.sessions import SessionRequest, open_session
from harness.settings import load_run
from harness.terminal import Terminal

WARM_UP = 2


def plan_of(inputs: Inputs, scenario: Scenario, folder: Path, samples: int) -> Plan:
    rules = inputs.rules.scenario(scenario).model_copy(update={"min_duration_s": 0.001, "min_queries": samples})
    return Plan(
        folder=folder,
        scenario=scenario,
        mode="performance",
        benchmark=inputs.benchmark,
        seeds=inputs.round.seeds,
        rules=rules,
        performance_sample_count=min(64, len(inputs.dataset)),
        scenario_settings=inputs.settings.test(scenario),
        model=inputs.settings.model,
        model_file=inputs.model_file,
        backend=inputs.settings.backend.model_copy(update={"warmup": WARM_UP}),
        slots=tuple(inputs.slots(scenario)),
        source=inputs.source,
        sample_names=tuple(image.file_name for image in inputs.dataset.images),
        image_sizes=inputs.plan(folder, scenario, "performance").image_sizes,
    )


def bare(plan: Plan, result: Connection) -> None:
    """Sends (samples/s of all sessions, ms of every run)."""
    model = load_model(plan.model.name, plan.model_file)
    tensors = list(plan.source.load(range(plan.performance_sample_count)))
    take = iter(range(plan.rules.min_queries))
    lock, barrier = threading.Lock(), threading.Barrier(len(plan.slots) + 1)
    milliseconds: list[float] = []

    def work(slot: Any) -> None:
        pin(slot.cores)
        request = SessionRequest.of(
            model,
            plan.model_file,
            device=slot.device,
            threads=max(1, len(slot.cores)),
            options=plan.backend.options,
        )
        with open_session(plan.backend.name, request) as session:
            for _ in range(WARM_UP):
                session.run(tensors[0])
            barrier.wait()
            while True:
                with lock:
                    k = next(take, None)
                if k is None:
                    return
                began = monotonic_ns()
                session.run(tensors[k % len(tensors)])
                milliseconds.append((monotonic_ns() - began) / 1e6)

    threads = [threading.Thread(target=work, args=(slot,)) for slot in plan.slots]
    for thread in threads:
        thread.start()
    barrier.wait()
    began = monotonic_ns()
    for thread in threads:
        thread.join()
    result.send((plan.rules.min_queries / ((monotonic_ns() - began) / 1e9), milliseconds))


def run_bare(plan: Plan) -> tuple[float, list[float]]:
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=bare, args=(plan, sender))
    process.start()
    sender.close()
    found: tuple[float, list[float]] = receiver.recv()
    process.join()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--config", type=Path, default=Path("demo"))
    args = parser.parse_args()
    settings = load_run(args.config, {"model.precision": args.precision, "dataset.synthetic.images": 16})
    inputs = find_inputs(settings, Terminal())
    rows: dict[str, list[tuple[float, float]]] = {"offline": [], "single_stream": []}
    for turn in range(args.rounds):
        for scenario in ("offline", "single_stream"):
            with tempfile.TemporaryDirectory() as name:
                plan = plan_of(inputs, scenario, Path(name), args.samples)
                per_second, milliseconds = run_bare(plan)
                run_test(plan, lambda progress: None, watchdog_s=600, startup_s=600)
                values = read_detail(Path(name) / "mlperf_log_detail.txt").values
            if scenario == "offline":
                rows[scenario].append((per_second, values["result_samples_per_second"]))
            else:
                p90 = float(np.percentile(milliseconds, 90, method="inverted_cdf"))
                rows[scenario].append((p90, values["result_90.00_percentile_latency_ns"] / 1e6))
            print(f"round {turn + 1} {scenario}: bare {rows[scenario][-1][0]:.3f}, harness {rows[scenario][-1][1]:.3f}")
    bare_rate, harness_rate = (median(column) for column in zip(*rows["offline"], strict=True))
    ratio = median(harness / alone for alone, harness in rows["offline"])
    added = median(harness - alone for alone, harness in rows["single_stream"])
    bare_p90, harness_p90 = (median(column) for column in zip(*rows["single_stream"], strict=True))
    print()
    print("                           bare      harness   harness against bare")
    print(f"Offline samples/s     {bare_rate:9.3f}    {harness_rate:9.3f}   {ratio:.4f} of it (median of pairs)")
    print(f"SingleStream p90 ms   {bare_p90:9.3f}    {harness_p90:9.3f}   {added:+.3f} ms (median of pairs)")


if __name__ == "__main__":
    main()
