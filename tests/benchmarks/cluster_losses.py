"""How long a run goes on after it lost a node: a killed process, a killed raylet and a cut network in turns.

`.venv/bin/python -m tests.benchmarks.cluster_losses` prints a line for each of ten seeded moments and the longest time,
from the fault to the end of the command's process, against the 5 s that are promised (about 4 minutes; a quiet machine,
please). The cluster is of Ray, two nodes on this machine, in two network namespaces (needs root); devices
are SIMULATED. `cluster.silent_s` has its default. Status 1: a run took longer, or did not name the node and its
samples.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from random import Random
from time import sleep

from harness.benchmark.machine_watch import MachineWatch
from tests.faults.cluster_run import ClusterRun
from tests.faults.command import CONFIG, Harness
from tests.support.ray_nodes import CutNetwork, RayCluster, namespaces_work, two_machines, wait_for

PROMISED_S = 5.0
FAULTS = ("killed actor", "killed raylet", "cut network")


def seconds_to_the_end(
    harness: Harness, cluster: RayCluster, network: CutNetwork, fault: str, moment_s: float
) -> float:
    """From the fault to the end of the command.

    Raises:
        AssertionError: its error does not name the node and its samples.
    """
    run = ClusterRun(harness, cluster)
    sleep(moment_s)
    if fault == "cut network":
        network.set("down")
    else:
        cluster.kill("b", fault.removeprefix("killed "))
    done, seconds = run.end()
    network.set("up")
    assert done.status == 4, done.err
    [error] = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert "node b: the node was lost: " in error and "; it had " in error, error
    print(f"    {error}")
    wait_for(lambda: not cluster.actors(), "the end of all actors")
    return seconds


def main() -> int:
    """Measures all moments; gives the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=10)
    moments = parser.parse_args().moments
    if not namespaces_work():
        sys.exit("no network namespaces: they need ip, unshare, nsenter and root")
    watch = MachineWatch()
    network = CutNetwork()
    found: list[float] = []
    try:
        with tempfile.TemporaryDirectory() as name, two_machines(network) as cluster:
            for seed in range(moments):
                folder = Path(name) / str(seed)
                folder.mkdir()
                (folder / "c.yaml").write_text(CONFIG)
                fault, moment_s = FAULTS[seed % len(FAULTS)], Random(seed).uniform(0, 2)
                cluster.mend("b")
                found.append(
                    seconds_to_the_end(Harness(folder, Path(name) / "cache"), cluster, network, fault, moment_s)
                )
                print(f"{fault}, {moment_s:.2f} s after the first answers: the end after {found[-1]:.2f} s", flush=True)
    finally:
        network.close()
    machine = watch.record()
    print(f"longest: {max(found):.2f} s of {PROMISED_S:g} s")
    print(
        f"others used {machine.others_cores} of {machine.cores} cores; load {machine.load_before}/{machine.load_after}"
    )
    return int(max(found) > PROMISED_S)


if __name__ == "__main__":
    sys.exit(main())
