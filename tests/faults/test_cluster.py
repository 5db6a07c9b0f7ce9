"""Nodes of a real Ray cluster that are killed, cut off, full, slow or different, or whose host is killed.

Devices are simulated. The cluster is two nodes of this machine: each has its own raylet, as machines have.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import pandas as pd
import pytest

from harness.settings import configs_dir
from harness.version import __version__
from tests.faults.cluster_run import ClusterRun, offline_of, samples_of, start
from tests.faults.command import Done, Harness, is_clear_error
from tests.support.ray_nodes import CutNetwork, RayCluster, namespaces_work, two_machines, wait_for

pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed (pip install -e '.[cluster]')"),
    pytest.mark.raylets,
]

ROOT = Path(__file__).resolve().parents[2]
MOMENTS = [(seed, ("actor", "raylet")[seed % 2]) for seed in range(10)]


@pytest.fixture(scope="module")
def nodes() -> Iterator[RayCluster]:
    cluster = RayCluster()
    try:
        cluster.start("b")
        yield cluster
    finally:
        cluster.close()


@pytest.fixture
def ray_cluster(nodes: RayCluster) -> RayCluster:
    """Nodes a and b, whatever the test before did to them."""
    nodes.mend("b")
    return nodes


def moments(*quick: int) -> list[object]:
    """Seeds of the moments, with what is killed; those in .ci/run too are given."""
    return [
        pytest.param(seed, what, id=f"{what}-{seed}", marks=[pytest.mark.quick_fault] if seed in quick else [])
        for seed, what in MOMENTS
    ]


def wait_for_the_moment(seed: int) -> None:
    time.sleep(random.Random(seed).uniform(0, 2))


def run_to_its_end(harness: Harness, cluster: RayCluster, *more: str) -> Done:
    return harness.wait(start(harness, cluster, *more))


def assert_no_actor_left(cluster: RayCluster) -> None:
    wait_for(lambda: not cluster.actors(), "the end of all actors", 60)


def assert_b_was_lost_and_nothing_with_it(harness: Harness) -> None:
    """Its samples went to node a, each once, and the results say so."""
    summary = json.loads((harness.folder / "r" / "summary.json").read_text())
    assert [retired["session"] for retired in summary["retired"]] == ["b"]
    assert "the node was lost: " in summary["retired"][0]["reason"]
    assert not summary["submittable"]
    assert any("b was retired" in reason for reason in summary["not_submittable_because"])
    offline = offline_of(harness)
    assert {name: node["lost"] for name, node in offline["nodes"].items()} == {"a": False, "b": True}
    assert sum(node["samples"] for node in offline["nodes"].values()) == len(samples_of(harness))


@pytest.mark.parametrize(("seed", "what"), moments(0, 1))
def test_a_node_that_is_killed_ends_the_run(harness: Harness, ray_cluster: RayCluster, seed: int, what: str) -> None:
    run = ClusterRun(harness, ray_cluster)
    wait_for_the_moment(seed)
    ray_cluster.kill("b", what)
    done, _ = run.end()
    assert is_clear_error(done, 4)
    assert "node b: the node was lost: " in done.err
    assert "; it had " in done.err
    assert " samples: " in done.err
    assert harness.manifest()["status"] == "failed"
    assert_no_actor_left(ray_cluster)


@pytest.mark.parametrize(("seed", "what"), moments(2))
def test_samples_of_a_node_that_is_killed_go_to_the_other(
    harness: Harness, ray_cluster: RayCluster, seed: int, what: str
) -> None:
    run = ClusterRun(harness, ray_cluster, "--on-device-failure", "continue")
    wait_for_the_moment(seed)
    ray_cluster.kill("b", what)
    done, _ = run.end()
    assert done.status in (0, 1), done.err
    assert_b_was_lost_and_nothing_with_it(harness)
    assert_no_actor_left(ray_cluster)


@pytest.mark.quick_fault
def test_a_node_that_stops_answering_ends_the_run(harness: Harness, ray_cluster: RayCluster) -> None:
    run = ClusterRun(harness, ray_cluster)
    [actor] = ray_cluster.parts("b", "ray::Node")
    actor.suspend()
    try:
        done, _ = run.end()
    finally:
        actor.resume()
    assert is_clear_error(done, 4)
    assert "node b: the node was lost: no answer for 3 s; it had " in done.err


@pytest.mark.parametrize("number", [pytest.param(signal.SIGKILL, marks=pytest.mark.quick_fault), signal.SIGINT])
def test_a_host_that_ends_leaves_nothing_on_the_nodes(
    harness: Harness, ray_cluster: RayCluster, number: signal.Signals
) -> None:
    before = ray_cluster.processes()
    run = ClusterRun(harness, ray_cluster)
    assert len(ray_cluster.actors()) == 2
    os.kill(run.process.pid, number)
    done, _ = run.end()
    assert done.status == (130 if number == signal.SIGINT else -number)
    wait_for(lambda: ray_cluster.processes() <= before, "the end of all processes that came with the run", 60)
    assert ray_cluster.temporary_files() == []
    assert not list(harness.cache.rglob("*.tmp"))


def test_a_node_that_joins_is_used_by_the_next_run(harness: Harness, ray_cluster: RayCluster) -> None:
    run = ClusterRun(harness, ray_cluster)
    ray_cluster.kill("b", "raylet")
    done, _ = run.end()
    assert is_clear_error(done, 4)
    ray_cluster.mend("b")
    done, _ = ClusterRun(harness, ray_cluster, "--resume").end()
    assert done.status in (0, 1), done.err
    nodes = offline_of(harness)["nodes"]
    assert {name: node["samples"] > 0 for name, node in nodes.items()} == {"a": True, "b": True}


@pytest.fixture(scope="module")
def network() -> Iterator[CutNetwork]:
    if not namespaces_work():
        pytest.skip("no network namespaces: they need ip, unshare, nsenter and root")
    made = CutNetwork()
    yield made
    made.close()


@pytest.fixture(scope="module")
def apart(network: CutNetwork) -> Iterator[RayCluster]:
    with two_machines(network) as cluster:
        yield cluster


def test_a_cable_that_is_out_for_a_moment_costs_nothing(
    harness: Harness, network: CutNetwork, apart: RayCluster
) -> None:
    # TCP repeats what was lost 0.2, 0.6, 1.4, 3, … s after it: what was out for 2 s is silent for 3
    run = ClusterRun(harness, apart, "--set", "cluster.silent_s=8")
    network.set("down")
    time.sleep(2)
    assert run.process.poll() is None
    network.set("up")
    done, _ = run.end()
    assert done.status in (0, 1), done.err
    assert not any(node["lost"] for node in offline_of(harness)["nodes"].values())
    samples_of(harness)


@pytest.mark.quick_fault
def test_a_cut_network_ends_the_run_and_mended_it_is_a_node_again(
    harness: Harness, network: CutNetwork, apart: RayCluster
) -> None:
    run = ClusterRun(harness, apart)
    network.set("down")
    done, _ = run.end()
    network.set("up")
    assert is_clear_error(done, 4)
    assert "node b: the node was lost: no answer for 3 s; it had " in done.err
    assert " samples: " in done.err
    assert_no_actor_left(apart)
    done, _ = ClusterRun(harness, apart, "--resume").end()
    assert done.status in (0, 1), done.err
    assert all(node["samples"] > 0 for node in offline_of(harness)["nodes"].values())


def test_samples_of_a_node_that_is_cut_off_go_to_the_other(
    harness: Harness, network: CutNetwork, apart: RayCluster
) -> None:
    run = ClusterRun(harness, apart, "--on-device-failure", "continue")
    network.set("down")
    wait_for(lambda: "b was retired" in harness.written("err") or run.process.poll() is not None, "the loss of b")
    network.set("up")  # the answers that it had arrive now
    done, _ = run.end()
    assert done.status in (0, 1), done.err
    assert_b_was_lost_and_nothing_with_it(harness)
    assert_no_actor_left(apart)


@pytest.mark.quick_fault
def test_a_node_ten_times_as_slow_gets_its_share_and_does_not_hold_up_the_end(
    harness: Harness, ray_cluster: RayCluster
) -> None:
    slow = "backend.options={latency_ms: 10, fault: {kind: slow, device: 1, factor: 10}}"
    length = ("--duration", "3", "--set", "tests.offline.expected_qps=110")
    done = run_to_its_end(harness, ray_cluster, "--devices", "{npu}(simulated)", *length, "--set", slow)
    assert done.status in (0, 1), done.err
    samples = samples_of(harness)
    fast, slow_ones = (samples[samples["session"] == session] for session in (0, 1))
    assert 0 < len(slow_ones) < len(fast) / 4
    # what the slow one is at when the fast one has nothing left to do
    assert (slow_ones["completed_ns"] > fast["completed_ns"].max()).sum() <= 2


SERVER = ("--set", "tests.server.target_qps=40")
"""To node a, which is on the host's machine, its samples go through Ray's channels; to node b by calls."""


@pytest.mark.quick_fault
def test_a_node_that_is_killed_in_server_ends_the_run(harness: Harness, ray_cluster: RayCluster) -> None:
    run = ClusterRun(harness, ray_cluster, *SERVER, scenario="server")
    ray_cluster.kill("b", "actor")
    done, _ = run.end()
    assert is_clear_error(done, 4)
    assert "node b: the node was lost: " in done.err
    assert_no_actor_left(ray_cluster)


def test_queries_of_a_node_that_is_killed_go_to_the_other(harness: Harness, ray_cluster: RayCluster) -> None:
    run = ClusterRun(harness, ray_cluster, *SERVER, "--on-device-failure", "continue", scenario="server")
    ray_cluster.kill("b", "raylet")
    done, _ = run.end()
    assert done.status in (0, 1), done.err
    folder = harness.folder / "r" / "server" / "performance" / "run_1"
    record = json.loads((folder / "test.json").read_text())
    assert [(node["name"], node["channel"], node["lost"]) for node in record["nodes"]] == [
        ("a", True, False),
        ("b", False, True),
    ]
    samples = pd.read_csv(folder / "samples.csv.gz")
    assert samples["sample_id"].is_unique
    assert len(samples) == sum(record["samples_per_session"].values()) >= 240
    assert_no_actor_left(ray_cluster)


def test_a_network_that_is_cut_in_server_ends_the_run(harness: Harness, network: CutNetwork, apart: RayCluster) -> None:
    run = ClusterRun(harness, apart, *SERVER, scenario="server")
    network.set("down")
    done, _ = run.end()
    network.set("up")
    assert is_clear_error(done, 4)
    assert "node b: the node was lost: " in done.err
    assert_no_actor_left(apart)


class OtherNode:
    """A node in an environment of its own, which only a run that asks for it uses.

    The head misses one that is gone a little later: so each has a name of its own, and a resource of that name.
    """

    numbers = count(1)

    def __init__(self, cluster: RayCluster) -> None:
        self._cluster, self.name = cluster, f"other-{next(self.numbers)}"
        self.devices = ("--devices", f"{{npu}}(simulated),{{{self.name}}}(simulated)")

    def start(self, *inside: str, **environment: str) -> None:
        self._cluster.start(self.name, resource=self.name, inside=inside, **environment)


@pytest.fixture
def other_node(ray_cluster: RayCluster) -> Iterator[OtherNode]:
    node = OtherNode(ray_cluster)
    yield node
    if node.name in ray_cluster.nodes:
        ray_cluster.stop(node.name)


def changed_copy(folder: Path, file: str, old: str, new: str) -> str:
    """The harness with a change in one of its files, as another machine may have it installed."""
    shutil.copytree(ROOT / "harness", folder / "harness", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(configs_dir(), folder / "harness" / "configs", dirs_exist_ok=True)
    path = folder / "harness" / file
    content = path.read_text(encoding="utf-8")
    assert old in content
    path.write_text(content.replace(old, new), encoding="utf-8")
    return str(folder)


@pytest.mark.quick_fault
def test_a_node_with_another_model_or_other_images_is_named(
    harness: Harness, ray_cluster: RayCluster, other_node: OtherNode, warm_cache: Path, tmp_path: Path
) -> None:
    [images] = {path.parent for path in warm_cache.rglob("*.jpg")}
    shutil.copytree(images, tmp_path / "images")
    first = min((tmp_path / "images").iterdir())
    first.write_bytes(first.read_bytes() + b"\0")
    for name in ("here.onnx", "there.onnx"):
        (tmp_path / name).write_text(name)
    other_node.start(
        SSD_HARNESS_NODE_IMAGES=str(tmp_path / "images"),
        SSD_HARNESS_NODE_MODEL=str(tmp_path / "there.onnx"),
        SSD_HARNESS_CACHE=str(tmp_path / "cache of the node"),
    )
    done = run_to_its_end(harness, ray_cluster, *other_node.devices, "--model", str(tmp_path / "here.onnx"))
    assert is_clear_error(done, 3)
    assert f"node {other_node.name}: the model has sha256" in done.err
    done = run_to_its_end(harness, ray_cluster, *other_node.devices, "--overwrite")
    assert is_clear_error(done, 3)
    assert f"node {other_node.name}: {first}: this image is another one than the host's" in done.err


SIZE = "performance_sample_count: {}"


@pytest.mark.quick_fault
@pytest.mark.parametrize(
    ("file", "here", "there", "said"),
    [
        ("version.py", __version__, "0.0.1", f"ssd-harness is version 0.0.1 there and {__version__} here"),
        ("configs/rounds/v2.0.yaml", SIZE.format(64), SIZE.format(63), "the round's rules have sha256"),
    ],
    ids=["version", "round"],
)
def test_a_node_with_another_version_or_round_is_named(
    harness: Harness,
    ray_cluster: RayCluster,
    other_node: OtherNode,
    tmp_path: Path,
    file: str,
    here: str,
    there: str,
    said: str,
) -> None:
    other_node.start(PYTHONPATH=changed_copy(tmp_path / "old", file, here, there))
    done = run_to_its_end(harness, ray_cluster, *other_node.devices)
    assert is_clear_error(done, 3)
    assert f"node {other_node.name}: {said}" in done.err


@pytest.mark.quick_fault
def test_a_node_whose_disk_is_full_is_named(
    harness: Harness, ray_cluster: RayCluster, other_node: OtherNode, tmp_path: Path
) -> None:
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("no mount namespaces: they need unshare and root")
    cache = tmp_path / "cache of the node"
    cache.mkdir()
    # the file system is only in the namespace of the node's processes, and gone with them
    small = 'mount -t tmpfs -o size=64k none "$0" && exec "$@"'
    elsewhere = {"SSD_HARNESS_CACHE": str(cache), "SSD_HARNESS_NODE_IMAGES": str(tmp_path / "none")}
    other_node.start("unshare", "--mount", "sh", "-c", small, str(cache), **elsewhere)
    done = run_to_its_end(harness, ray_cluster, *other_node.devices)
    assert is_clear_error(done, 3)
    assert f"node {other_node.name}: {cache}" in done.err
    assert "No space left on device" in done.err
    [raylet] = ray_cluster.parts(other_node.name, "raylet/raylet")
    there = Path(f"/proc/{raylet.pid}/root{cache}")
    assert there.stat().st_dev != cache.stat().st_dev
    assert not list(there.rglob("*.tmp"))
