"""What nodes cost: the same simulated devices in one process and on nodes of this machine, and Ray's bare calls.

`.venv/bin/python -m tests.benchmarks.cluster` prints a table (about 3 minutes; a quiet machine, please). All devices
are SIMULATED: they take 12.5 ms and give canned outputs. `--only NAME,…` measures some of the lines.
"""

from __future__ import annotations

import argparse
import functools
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from statistics import median
from time import monotonic, perf_counter, process_time, sleep
from typing import Any

from harness.benchmark.machine_watch import MachineWatch
from harness.benchmark.queue_limits import LATENCY_MS, Case, plan_of
from harness.cluster.membership import LocalCluster
from harness.cluster.messages import ClusterPlan
from harness.cluster.places import place_sessions
from harness.cluster.ray_cluster import connected
from harness.loadgen.log import DETAIL_LOG, read_detail
from harness.loadgen.plan import Plan
from harness.loadgen.process import run_test
from harness.settings import ScenarioSettings

NODES = 4
SERVER_QPS = 100
CALLS = 2000
RTT_PERCENTILES = (0.5, 0.99)


def on_nodes(plan: Plan, cluster: LocalCluster, devices: int, *, channels: bool = True) -> Plan:
    """The plan with its sessions on nodes."""
    places = place_sessions(f"simulated*{devices}", cluster.find())
    slots = tuple(slot for place in places for slot in place.slots)
    nodes = ClusterPlan(cluster.address, places, "v2.0", None, silent_s=20, channels=channels)
    return replace(plan, slots=slots, cluster=nodes)


def _on_nodes_in(case: Case, cluster: LocalCluster, seconds: float, folder: Path) -> Plan:
    return on_nodes(plan_of(case, folder, seconds), cluster, case.devices // NODES)


def measured(plan_in: Callable[[Path], Plan]) -> tuple[dict[str, Any], int, float]:
    """LoadGen's figures, samples, and the µs of processor time that the host took for each."""
    with tempfile.TemporaryDirectory() as name:
        finished = run_test(plan_in(Path(name)), lambda progress: None, watchdog_s=60, startup_s=300)
        values = read_detail(Path(name) / DETAIL_LOG).values
    samples = sum(finished.samples_per_session.values())
    return values, samples, finished.cpu_s * 1e6 / samples


def rate(plan_in: Callable[[Path], Plan]) -> float:
    return float(measured(plan_in)[0]["result_samples_per_second"])


def bytes_of_loopback() -> int:
    """What went over the loopback interface so far."""
    [line] = [line for line in Path("/proc/net/dev").read_text().splitlines() if line.strip().startswith("lo:")]
    return int(line.split(":")[1].split()[8])


class Echo:
    """The least that an actor can do."""

    def work(self, content: bytes) -> bytes:
        return content

    def device(self) -> float:
        """Takes as long as a device does; gives the seconds that it took."""
        began = perf_counter()
        sleep(LATENCY_MS / 1e3)
        return perf_counter() - began

    def stream(self, calls: int, seconds: float) -> Iterator[float]:
        """Gives as many items, so far apart: the moment of each."""
        for _ in range(calls):
            sleep(seconds)
            yield perf_counter()

    def cpu_s(self) -> float:
        return process_time()


def percentiles_ms(seconds: list[float]) -> tuple[float, float]:
    ordered = sorted(seconds)
    p50, p99 = (ordered[int(len(ordered) * share)] * 1e3 for share in RTT_PERCENTILES)
    return p50, p99


def bare_calls(actor: Any, *, calls: int = CALLS) -> list[float]:
    """Seconds of calls to an actor that has nothing to do, one after the other, as far apart as queries are."""
    seconds = []
    for _ in range(calls):
        sleep(1 / SERVER_QPS)
        done, began = threading.Event(), perf_counter()
        actor.work.remote(b"x" * 8).future().add_done_callback(lambda _, done=done: done.set())
        done.wait()
        seconds.append(perf_counter() - began)
    return seconds


def calls_as_queries(actors: Sequence[Any], *, calls: int = CALLS, seed: int = 1) -> list[float]:
    """Seconds of calls that come as Server's queries do, each less the time that its device took.

    They come at random moments (a Poisson process), whether or not earlier ones have been answered, to the actors in
    turn.
    """
    random, due = Random(seed), perf_counter()
    seconds: dict[int, float] = {}
    futures = []

    def back(number: int, began: float) -> Callable[[Any], None]:
        return lambda future: seconds.__setitem__(number, perf_counter() - began)

    for number in range(calls):
        due += random.expovariate(SERVER_QPS)
        sleep(max(0.0, due - perf_counter()))
        began = perf_counter()
        future = actors[number % len(actors)].device.remote().future()
        future.add_done_callback(back(number, began))
        futures.append(future)
    devices = [future.result() for future in futures]
    while len(seconds) < calls:  # a future has its result before it tells of it
        sleep(0.001)
    return [seconds[number] - device for number, device in enumerate(devices)]


@contextmanager
def timed(what: str) -> Iterator[None]:
    began = monotonic()
    yield
    print(f"    ({what}: {monotonic() - began:.0f} s)", flush=True)


def offline(cluster: LocalCluster, seconds: float, rounds: int) -> None:
    """4 x 16 with decode against 64 in one process."""
    case = Case("offline", 64, LATENCY_MS, decode=True)
    one, many = [], []
    for _ in range(rounds):
        one.append(rate(lambda folder: plan_of(case, folder, seconds)))
        many.append(rate(lambda folder: on_nodes(plan_of(case, folder, seconds), cluster, 64 // NODES)))
    share = median(many) / median(one)
    print(
        f"offline, decode, SIMULATED 64 x {LATENCY_MS} ms: one process {median(one):.0f}/s, {NODES} nodes x 16 "
        f"{median(many):.0f}/s = {share:.1%} (asked 97 %)",
        flush=True,
    )


def many_devices(cluster: LocalCluster, seconds: float, rounds: int) -> None:
    """4 x 64 without decode against what the devices could do, and the bytes on the wire."""
    case = Case("offline", 256, LATENCY_MS, decode=False)
    runs = [measured(functools.partial(_on_nodes_in, case, cluster, seconds)) for _ in range(rounds)]
    rates = [float(values["result_samples_per_second"]) for values, _, _ in runs]
    one = rate(lambda folder: plan_of(case, folder, seconds))
    ideal = case.ideal_samples_per_second or 1
    print(
        f"offline, no decode, SIMULATED 256 x {LATENCY_MS} ms: {NODES} nodes x 64 {median(rates):.0f}/s = "
        f"{median(rates) / ideal:.1%} of {ideal:.0f}/s (asked 95 %), "
        f"{median(cpu_us for _, _, cpu_us in runs):.1f} us of the host's processor a sample; one process {one:.0f}/s",
        flush=True,
    )


def wire(cluster: LocalCluster, seconds: float) -> None:
    """Bytes a sample on the loopback interface, with and without detections."""
    for decode in (False, True):
        case = Case("offline", 64, LATENCY_MS, decode=decode)
        before, began = bytes_of_loopback(), monotonic()
        _, samples, _ = measured(functools.partial(_on_nodes_in, case, cluster, seconds))
        total, took = bytes_of_loopback() - before, monotonic() - began
        before = bytes_of_loopback()
        sleep(3)
        idle = (bytes_of_loopback() - before) / 3 * took
        each = (total - idle) / samples
        what = "21 detections a sample" if decode else "no detections"
        share = each * 20_000 * 8 / 1e9
        print(
            f"wire, {what}: {each:.0f} bytes a sample of {samples}, the test's start included; at 20 000/s "
            f"{share:.1%} of 1 Gbit/s",
            flush=True,
        )


def server(cluster: LocalCluster, seconds: float, rounds: int) -> None:
    """Server's latency on nodes less that in one process, beside bare calls.

    The first bare call is the quickest: one after the other to one actor that has nothing to do. The second does what
    the test does but for this package: as many actors as nodes, calls that come at random moments as Server's queries
    do, each lasting as long as the device.
    """
    import ray

    case = Case("server", 16, LATENCY_MS, decode=True)

    def plan(folder: Path) -> Plan:
        made = plan_of(case, folder, seconds)
        queries = int(SERVER_QPS * seconds)
        rules = made.rules.model_copy(update={"min_queries": queries})
        return replace(made, rules=rules, scenario_settings=ScenarioSettings(target_qps=SERVER_QPS))

    def plan_on_nodes(channels: bool, folder: Path) -> Plan:
        return on_nodes(plan(folder), cluster, 16 // NODES, channels=channels)

    def latencies(plan_in: Callable[[Path], Plan]) -> tuple[float, float]:
        values = measured(plan_in)[0]
        p50, p99 = (values[f"result_{p}.00_percentile_latency_ns"] / 1e6 for p in (50, 99))
        return p50, p99

    with connected(cluster.address):
        actors = [ray.remote(num_cpus=0, max_concurrency=64)(Echo).remote() for _ in range(NODES)]
        calls_as_queries(actors, calls=100)
        one: list[tuple[float, float]] = []
        by_channels: list[tuple[float, float]] = []
        by_calls: list[tuple[float, float]] = []
        idle: list[float] = []
        busy: list[float] = []
        for seed in range(rounds):
            idle += bare_calls(actors[0], calls=CALLS // rounds)
            busy += calls_as_queries(actors, calls=CALLS // rounds, seed=seed)
            one.append(latencies(plan))
            for channels, found in ((True, by_channels), (False, by_calls)):
                found.append(latencies(functools.partial(plan_on_nodes, channels)))
    bare = {"to one idle actor": percentiles_ms(idle), f"as queries to {NODES} actors": percentiles_ms(busy)}
    for k, name in enumerate(("p50", "p99")):
        here = median(latency[k] for latency in one)
        print(
            f"server {name}, {SERVER_QPS} queries/s, SIMULATED {LATENCY_MS} ms: one process {here:.2f} ms; bare call "
            + ", ".join(f"{what} {call[k]:.2f} ms" for what, call in bare.items()),
            flush=True,
        )
        for how, latencies_ms in (("channels", by_channels), ("calls", by_calls)):
            there = median(latency[k] for latency in latencies_ms)
            ratios = ", ".join(f"{(there - here) / call[k]:.2f} of that {what}" for what, call in bare.items())
            print(f"  nodes by {how} {there:.2f} ms, added {there - here:.2f} ms: {ratios} (asked 1.2)", flush=True)


def ways(cluster: LocalCluster) -> None:
    """Ray's ways to call: one after the other, many at once, streamed, and a compiled graph."""
    import ray
    from ray.dag import InputNode

    calls = CALLS // 4
    with connected(cluster.address):
        actor = ray.remote(num_cpus=0)(Echo).remote()
        print("bare call, p50/p99: {:.2f}/{:.2f} ms".format(*percentiles_ms(bare_calls(actor))))
        began = monotonic()
        ray.get([actor.work.remote(b"x" * 8) for _ in range(CALLS)])
        print(f"calls at once: {CALLS / (monotonic() - began):.0f}/s", flush=True)
        stream = actor.stream.options(num_returns="streaming").remote(calls, 1 / SERVER_QPS)
        seconds = [-ray.get(item) + perf_counter() for item in stream]
        print("streaming, the way back only, p50/p99: {:.2f}/{:.2f} ms".format(*percentiles_ms(seconds)), flush=True)
        alone = ray.remote(num_cpus=0, concurrency_groups={"watch": 1})(Echo).remote()
        with InputNode() as content:
            graph = alone.work.bind(content)
        compiled = graph.experimental_compile()
        seconds = []
        for _ in range(calls):
            sleep(1 / SERVER_QPS)
            began_one = perf_counter()
            ray.get(compiled.execute(b"x" * 8))
            seconds.append(perf_counter() - began_one)
        cpu_s = alone.cpu_s.options(concurrency_group="watch")
        before = ray.get(cpu_s.remote())
        sleep(1)
        idle = ray.get(cpu_s.remote()) - before
        print(
            "compiled graph, p50/p99: {:.2f}/{:.2f} ms".format(*percentiles_ms(seconds))
            + f"; an actor that waits for a call takes {idle:.0%} of a processor",
            flush=True,
        )
        compiled.teardown()


def main() -> None:
    """Measures the lines that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="offline,many,wire,server,ways")
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    watch = MachineWatch()
    cluster = LocalCluster(NODES)
    try:
        lines: dict[str, Callable[[], None]] = {
            "offline": lambda: offline(cluster, args.seconds, args.rounds),
            "many": lambda: many_devices(cluster, args.seconds, args.rounds),
            "wire": lambda: wire(cluster, args.seconds),
            "server": lambda: server(cluster, args.seconds, args.rounds),
            "ways": lambda: ways(cluster),
        }
        for name in args.only.split(","):
            with timed(name):
                lines[name]()
    finally:
        cluster.close()
    machine = watch.record()
    print(
        f"others used {machine.others_cores} of {machine.cores} cores; load {machine.load_before}/{machine.load_after}"
    )


if __name__ == "__main__":
    main()
