"""What the defaults of the ONNX Runtime backend rest on: spinning threads, and run_async, on the default INT8 model.

    python tests/benchmarks/onnxruntime_choices.py --rounds 5 --inferences 8

Turn by turn, in one process. Latency: the median ms of an inference, alone, on one session of all cores. Throughput:
inferences a second, of a session with one thread for each core (the default of `cpu*N`), of one session of all cores,
and of one session to which `run_async` gives as many images as there are cores.
"""

from __future__ import annotations

import argparse
import os
import statistics
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime as ort

from harness.model.registry import load_model

CORES = len(os.sched_getaffinity(0))
PAUSE_S = 0.05
"""Between turns: threads that spin have stopped by then."""
SPINNING, STOP = "session.intra_op.allow_spinning", "session.force_spinning_stop"


def session(file: str, threads: int, **config: str) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    for key, value in config.items():
        options.add_session_config_entry(key, value)
    return ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def latency_ms(model: ort.InferenceSession, feed: dict[str, Any], inferences: int) -> float:
    seconds = []
    for _ in range(inferences):
        began = time.perf_counter()
        model.run(None, feed)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds) * 1e3


def per_second_of_threads(models: list[ort.InferenceSession], feed: dict[str, Any], inferences: int) -> float:
    def work(model: ort.InferenceSession) -> None:
        for _ in range(inferences // len(models)):
            model.run(None, feed)

    threads = [threading.Thread(target=work, args=(model,)) for model in models]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return inferences // len(models) * len(models) / (time.perf_counter() - began)


def per_second_of_run_async(model: ort.InferenceSession, feed: dict[str, Any], inferences: int) -> float:
    places, done = threading.Semaphore(CORES), threading.Semaphore(0)
    errors: list[str] = []

    def completed(outputs: Any, user_data: Any, error: str) -> None:
        if error:
            errors.append(error)
        places.release()
        done.release()

    began = time.perf_counter()
    for _ in range(inferences):
        places.acquire()
        model.run_async(None, feed, completed, None)
    for _ in range(inferences):
        done.acquire()
    assert not errors, errors[0]
    return inferences / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--inferences", type=int, default=8)
    args = parser.parse_args()
    model = load_model("ssd_resnet34")
    file, n = str(model.default_file("int8", print)), args.inferences
    spins, not_spins = session(file, CORES), session(file, CORES, **{SPINNING: "0"})
    stops = session(file, CORES, **{STOP: "1"})
    alone = [session(file, 1) for _ in range(CORES)]
    feed = {spins.get_inputs()[0].name: np.zeros(model.input.shape, np.uint8)}
    contestants: dict[str, Callable[[], float]] = {
        "latency ms, threads spin": lambda: latency_ms(spins, feed, n),
        "latency ms, allow_spinning 0": lambda: latency_ms(not_spins, feed, n),
        "latency ms, force_spinning_stop 1": lambda: latency_ms(stops, feed, n),
        f"inferences/s, {CORES} sessions of 1 thread": lambda: per_second_of_threads(alone, feed, n),
        f"inferences/s, 1 session of {CORES} threads": lambda: per_second_of_threads([spins], feed, n),
        f"inferences/s, 1 session, run_async of {CORES}": lambda: per_second_of_run_async(spins, feed, n),
        "inferences/s, the same, allow_spinning 0": lambda: per_second_of_run_async(not_spins, feed, n),
    }
    found: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(args.rounds + 1):  # the first one warms up
        for name, measured in contestants.items():
            time.sleep(PAUSE_S)
            figure = measured()
            if turn:
                found[name].append(figure)
    print(f"ONNX Runtime {ort.__version__}, {CORES} cores, load {os.getloadavg()[0]:.1f}")
    for name, figures in found.items():
        print(f"{name:45} {statistics.median(figures):9.3f}  ({min(figures):.3f} to {max(figures):.3f})")


if __name__ == "__main__":
    main()
