"""What the harness costs: the same sessions under LoadGen and the harness, and driven by a bare loop.

    .venv/bin/python tests/benchmarks/harness_efficiency.py [--rounds 3] [--samples 32] [--precision int8]

Bare and harness take turns in one call, each in a process of its own, because timings drift. The bare loop is
``session.run`` and nothing else: no decoding, no LoadGen, no records; the same sessions, threads, cores and images.
Prints medians and the ratio; the aims are at least 0.98 of the bare Offline samples/s, and a SingleStream p90 at most
1 ms above the bare one. The CPU time of a sample says what the harness adds on a busy machine too, where samples/s say
little: that of the process, from loading the images to the last sample.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
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

SCENARIOS: tuple[Scenario, ...] = ("offline", "single_stream")
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
    """Sends (samples/s of all sessions, ms of every run, ms of CPU time a sample)."""
    model = load_model(plan.model.name, plan.model_file)
    tensors: list[Any] = []
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
            barrier.wait()  # open
            barrier.wait()  # the images are there
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
    cpu_began_s = time.process_time()
    tensors += plan.source.load(range(plan.performance_sample_count))
    barrier.wait()
    barrier.wait()
    began = monotonic_ns()
    for thread in threads:
        thread.join()
    seconds = (monotonic_ns() - began) / 1e9
    cpu_ms = 1e3 * (time.process_time() - cpu_began_s) / plan.rules.min_queries
    result.send((plan.rules.min_queries / seconds, milliseconds, cpu_ms))


def run_bare(plan: Plan) -> tuple[float, list[float], float]:
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=bare, args=(plan, sender))
    process.start()
    sender.close()
    found: tuple[float, list[float], float] = receiver.recv()
    process.join()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--config", type=Path, default=Path("demo"))
    parser.add_argument("--scenarios", nargs="+", default=SCENARIOS, choices=SCENARIOS)
    args = parser.parse_args()
    settings = load_run(args.config, {"model.precision": args.precision, "dataset.synthetic.images": 16})
    inputs = find_inputs(settings, Terminal())
    rows: dict[str, list[tuple[float, float]]] = {"offline": [], "single_stream": []}
    cpu: list[tuple[float, float]] = []
    for turn in range(args.rounds):
        for scenario in args.scenarios:
            with tempfile.TemporaryDirectory() as name:
                plan = plan_of(inputs, scenario, Path(name), args.samples)
                per_second, milliseconds, cpu_ms = run_bare(plan)
                finished = run_test(plan, lambda progress: None, watchdog_s=600, startup_s=600)
                values = read_detail(Path(name) / "mlperf_log_detail.txt").values
            if scenario == "offline":
                rows[scenario].append((per_second, values["result_samples_per_second"]))
                cpu.append((cpu_ms, 1e3 * finished.cpu_s / sum(finished.samples_per_session.values())))
            else:
                p90 = float(np.percentile(milliseconds, 90, method="inverted_cdf"))
                rows[scenario].append((p90, values["result_90.00_percentile_latency_ns"] / 1e6))
            print(f"round {turn + 1} {scenario}: bare {rows[scenario][-1][0]:.3f}, harness {rows[scenario][-1][1]:.3f}")
            if scenario == "offline":
                print(f"    CPU ms of a sample: bare {cpu[-1][0]:.3f}, harness {cpu[-1][1]:.3f}")
    print()
    print("                           bare      harness   harness against bare")
    if rows["offline"]:
        ratio = median(harness / alone for alone, harness in rows["offline"])
        print(f"Offline samples/s     {medians(rows['offline'])}   {ratio:.4f} of it (median of pairs)")
        ratio = median(alone / harness for alone, harness in cpu)
        print(f"Offline CPU ms        {medians(cpu)}   {ratio:.4f} of it is the bare loop's (median of pairs)")
    if rows["single_stream"]:
        added = median(harness - alone for alone, harness in rows["single_stream"])
        print(f"SingleStream p90 ms   {medians(rows['single_stream'])}   {added:+.3f} ms (median of pairs)")


def medians(pairs: list[tuple[float, float]]) -> str:
    return "    ".join(f"{median(column):9.3f}" for column in zip(*pairs, strict=True))


if __name__ == "__main__":
    main()
