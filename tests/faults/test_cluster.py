"""Nodes of a real Ray cluster that are killed, stop, or whose host is killed. Devices are simulated.

The cluster is a head and two nodes, all of this machine: each has its own raylet, as machines have.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.faults.command import Done, Harness, is_clear_error

pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed (pip install -e '.[cluster]')"),
    pytest.mark.xdist_group("ray"),
]

TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "7" * 64, "RAY_USAGE_STATS_ENABLED": "0"}
ENDS_WITHIN_S = 60.0
"""5 s is what is promised, on a quiet machine; here only that it ends is looked at."""
PORT = 36379


class RayCluster:
    """A head and its nodes, each a foreground process in a session of its own, with which all of it ends."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="rt-", dir="/tmp"))
        self.nodes: dict[str, subprocess.Popen[bytes]] = {}
        self.start("head", "--head", "--port", str(PORT), "--temp-dir", str(self.folder), "--include-dashboard=false")
        _wait_for(_listens, "the head")

    def start(self, name: str, *how: str) -> None:
        where = how or ("--address", f"127.0.0.1:{PORT}", "--resources", '{"npu": 1}')
        self.nodes[name] = subprocess.Popen(
            [
                str(Path(sys.executable).parent / "ray"),
                *("start", "--block", "--node-name", name, "--num-cpus", "0", "--disable-usage-stats"),
                *("--object-store-memory", "100000000", *where),
            ],
            env=os.environ | TOKEN,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        # nodes of one machine that start at the same moment take the same names of sockets
        _wait_for(lambda: bool(self.parts(name, "raylet/raylet")), f"the raylet of {name}")

    def parts(self, name: str, what: str) -> list[psutil.Process]:
        """The processes of a node whose command line has this text in it."""
        try:
            processes = psutil.Process(self.nodes[name].pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        return [process for process in processes if what in " ".join(_command(process))]

    def close(self) -> None:
        for process in self.nodes.values():
            for part in _tree(process.pid):
                part.kill()
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def _listens() -> bool:
    try:
        socket.create_connection(("127.0.0.1", PORT), 1).close()
    except OSError:
        return False
    return True


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _tree(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [*parent.children(recursive=True), parent]
    except psutil.NoSuchProcess:
        return []


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[RayCluster]:
    cluster = RayCluster()
    try:
        cluster.start("a")
        cluster.start("b")
        yield cluster
    finally:
        cluster.close()


class Run:
    """A long Offline run on nodes a and b, brought to its measured part.

    Args:
        nodes: how many there have to be.
    """

    def __init__(self, harness: Harness, cluster: RayCluster, *more: str) -> None:
        self.harness, self.cluster = harness, cluster
        harness.environment.update(TOKEN)
        _wait_for(lambda: _names(harness, cluster), "both nodes")
        self.process = harness.start(
            harness.argv(
                *("run", "c.yaml", "--output", "r", "--scenario", "offline", "--mode", "performance"),
                *("--cluster", f"127.0.0.1:{PORT}", "--devices", "{npu}(simulated*2)", "--duration", "8"),
                *("--json-progress", *more),
            )
        )
        _wait_for(lambda: self.running() or self.process.poll() is not None, "the measured part")
        assert self.process.poll() is None, harness.written("err")

    def running(self) -> bool:
        """Whether samples are being answered."""
        for line in self.harness.written("err").splitlines():
            event: Any = json.loads(line) if line.startswith("{") and line.endswith("}") else {}
            if event.get("phase") == "running" and event.get("done", 0) > 0:
                return True
        return False

    def actor(self, name: str) -> psutil.Process:
        """The process of a node that has the sessions."""
        [actor] = self.cluster.parts(name, "ray::Node")
        return actor

    def end(self) -> tuple[Done, float]:
        """How it ended, and how many seconds from now."""
        began = time.monotonic()
        self.process.wait(100)
        return self.harness.wait(self.process), time.monotonic() - began


def _names(harness: Harness, cluster: RayCluster) -> bool:
    """Whether nodes a and b are in the cluster: their raylets run, and the head has heard of them."""
    if not all(cluster.parts(name, "raylet/raylet") for name in ("head", "a", "b")):
        return False
    code = (
        f"import ray,sys; ray.init('127.0.0.1:{PORT}', log_to_driver=False); "
        "sys.exit({'a','b'} - {n['NodeName'] for n in ray.nodes() if n['Alive']} != set())"
    )
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | TOKEN, capture_output=True, timeout=100)
    return done.returncode == 0


def _wait_for(condition: Callable[[], bool], what: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.2)


def _no_actor_left(cluster: RayCluster) -> bool:
    return not any(cluster.parts(name, "ray::Node") for name in cluster.nodes)


@pytest.mark.parametrize("moment", range(10))
def test_a_killed_process_of_a_node_ends_the_run(harness: Harness, ray_cluster: RayCluster, moment: int) -> None:
    run = Run(harness, ray_cluster)
    time.sleep(random.Random(moment).uniform(0, 4))
    run.actor("b").kill()
    done, seconds = run.end()
    assert is_clear_error(done, 4)
    assert "node b: the node was lost" in done.err
    assert "samples" in done.err
    assert seconds < ENDS_WITHIN_S
    assert harness.manifest()["status"] == "failed"
    _wait_for(lambda: _no_actor_left(ray_cluster), "the end of all actors", 40)


def test_a_node_that_stops_answering_ends_the_run(harness: Harness, ray_cluster: RayCluster) -> None:
    run = Run(harness, ray_cluster)
    actor = run.actor("b")
    actor.suspend()
    try:
        done, seconds = run.end()
    finally:
        actor.resume()
    assert is_clear_error(done, 4)
    assert "node b: the node was lost: no answer for 3 s" in done.err
    assert seconds < ENDS_WITHIN_S


def test_samples_of_a_killed_node_go_to_the_other_and_the_results_say_so(
    harness: Harness, ray_cluster: RayCluster
) -> None:
    run = Run(harness, ray_cluster, "--on-device-failure", "continue")
    run.actor("b").kill()
    done, _ = run.end()
    assert done.status in (0, 1), done.err
    summary = json.loads((harness.folder / "r" / "summary.json").read_text())
    assert [retired["session"] for retired in summary["retired"]] == ["b"]
    assert not summary["submittable"]
    assert any("b was retired" in reason for reason in summary["not_submittable_because"])
    offline = summary["scenarios"]["offline"]
    assert offline["nodes"]["b"]["lost"]
    # LoadGen had one answer for each sample that it issued, and there is one record of each
    assert offline["samples"] == sum(node["samples"] for node in offline["nodes"].values())


def test_a_killed_command_leaves_no_actor(harness: Harness, ray_cluster: RayCluster) -> None:
    run = Run(harness, ray_cluster)
    os.kill(run.process.pid, signal.SIGKILL)
    run.end()
    _wait_for(lambda: _no_actor_left(ray_cluster), "the end of all actors", 60)


def test_ctrl_c_leaves_no_actor(harness: Harness, ray_cluster: RayCluster) -> None:
    run = Run(harness, ray_cluster)
    os.kill(run.process.pid, signal.SIGINT)
    done, _ = run.end()
    assert done.status == 130
    assert harness.manifest()["status"] == "failed"
    _wait_for(lambda: _no_actor_left(ray_cluster), "the end of all actors", 60)


def test_a_lost_raylet_ends_the_run_and_a_node_that_joins_is_used_by_the_next(
    harness: Harness, ray_cluster: RayCluster
) -> None:
    run = Run(harness, ray_cluster)
    [raylet] = ray_cluster.parts("b", "raylet/raylet")
    raylet.kill()
    done, seconds = run.end()
    assert is_clear_error(done, 4)
    assert "node b: the node was lost" in done.err
    assert seconds < ENDS_WITHIN_S
    ray_cluster.nodes["b"].wait(60)
    ray_cluster.start("b")
    resumed = Run(harness, ray_cluster, "--resume")
    done, _ = resumed.end()
    assert done.status in (0, 1), done.err
    offline = json.loads((harness.folder / "r" / "summary.json").read_text())["scenarios"]["offline"]
    assert set(offline["nodes"]) == {"a", "b"}
    assert all(node["samples"] for node in offline["nodes"].values())
