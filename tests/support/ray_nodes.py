"""A cluster of Ray on this machine whose nodes have a raylet each, as machines have; and a network to cut."""

from __future__ import annotations

import functools
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "7" * 64, "RAY_USAGE_STATS_ENABLED": "0"}
STARTED = "Ray runtime started"
"""What `ray start` writes when the head knows the node."""


class RayCluster:
    """Nodes with a raylet each; the first one is the head. All have the resource ``npu``.

    A node is a foreground process in a session of its own, with which all of it ends. Every port is a free one, so that
    several clusters can be on this machine at the same time.

    Args:
        host: the head's IP address.
        inside: what a command line begins with that runs where the head does.
    """

    HEAD = "a"

    def __init__(self, host: str = "127.0.0.1", inside: Sequence[str] = ()) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="rt-", dir="/tmp"))
        self.inside = tuple(inside)
        patience = {"RAY_CLIENT_SERVER_CHECK_CHANNEL_TIMEOUT_S": "120"}  # on a busy machine its process starts slowly
        self.environment = TOKEN | patience | {"RAY_TMPDIR": str(self.folder)}
        """Of whoever is to use it: ``auto`` then means this one."""
        self.nodes: dict[str, subprocess.Popen[bytes]] = {}
        self._started: dict[str, Callable[[], None]] = {}
        self._temporary = self.folder / "tmp"
        self._temporary.mkdir()
        client_port = free_port()
        ports = ("--port", "0", "--ray-client-server-port", str(client_port))
        options = ("--head", *ports, "--node-ip-address", host, "--include-dashboard=false")
        self._start(self.HEAD, {"npu": 1}, self.inside, {}, *options)
        self.address = (self.folder / "ray" / "ray_current_cluster").read_text()
        self.client_address = f"ray://{self.address.rpartition(':')[0]}:{client_port}"

    def start(
        self,
        name: str,
        *more: str,
        resource: str = "npu",
        inside: Sequence[str] | None = None,
        **environment: str,
    ) -> None:
        """Another node; returns when it is in the cluster.

        Args:
            more: options of ``ray start``.
            resource: that it has, for ``--devices`` to ask for.
            inside: as of the cluster; none: as that.
            environment: of the node alone.
        """
        self._started[name] = functools.partial(
            self.start, name, *more, resource=resource, inside=inside, **environment
        )
        inside = self.inside if inside is None else inside
        self._start(name, {resource: 1}, inside, environment, "--address", self.address, *more)

    def _start(
        self,
        name: str,
        resources: dict[str, int],
        inside: Sequence[str],
        environment: dict[str, str],
        *options: str,
    ) -> None:
        said = self.folder / f"{name}.out"
        own = {"PYTHONUNBUFFERED": "1", "TMPDIR": str(self._temporary)}
        with said.open("wb") as out:
            self.nodes[name] = node = subprocess.Popen(
                [
                    *inside,
                    str(Path(sys.executable).parent / "ray"),
                    *("start", "--block", "--node-name", name, "--num-cpus", "0", "--disable-usage-stats"),
                    *("--object-store-memory", "100000000", "--dashboard-agent-listen-port", "0"),
                    *("--min-worker-port", "0", "--max-worker-port", "0"),
                    *("--resources", json.dumps(resources), *options),
                ],
                env=os.environ | own | self.environment | environment,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_for(lambda: STARTED in said.read_text() or node.poll() is not None, f"node {name} in the cluster")
        assert node.poll() is None, said.read_text()

    def processes(self) -> set[int]:
        """The ids of the processes of all nodes."""
        return {process.pid for name in self.nodes for process in self.parts(name)}

    def temporary_files(self) -> list[str]:
        """What is in the nodes' folder of temporary files, which nobody else has."""
        return sorted(path.name for path in self._temporary.iterdir())

    def mend(self, *names: str) -> None:
        """Starts those nodes anew, as they were started, whose raylet is gone."""
        for name in names:
            if not self.parts(name, "raylet/raylet"):
                self.stop(name)
                self._started[name]()
                wait_for(self.is_known, "the end of the old node")

    def is_known(self) -> bool:
        """Whether the head takes these nodes for alive, and no others: one that is killed it misses a little later."""
        code = (
            "import ray, sys; "
            "ray.init(sys.argv[1], log_to_driver=False); "
            "sys.exit(sorted(node['NodeName'] for node in ray.nodes() if node['Alive']) != sys.argv[2:])"
        )
        done = subprocess.run(
            [*self.inside, sys.executable, "-c", code, self.address, *sorted(self.nodes)],
            env=os.environ | self.environment,
            capture_output=True,
            timeout=100,
        )
        return done.returncode == 0

    def parts(self, name: str, what: str = "") -> list[psutil.Process]:
        """The processes of a node whose command line has this text in it, also of one whose raylet is gone."""
        return [process for process in _session(self.nodes[name].pid) if what in " ".join(_command(process))]

    def actors(self) -> list[psutil.Process]:
        """The processes of all nodes that have sessions."""
        return [actor for name in self.nodes for actor in self.parts(name, "ray::Node")]

    def kill(self, name: str, what: str) -> None:
        """SIGKILL for the node's process that has the sessions (``actor``), or for its raylet."""
        [process] = self.parts(name, {"actor": "ray::Node", "raylet": "raylet/raylet"}[what])
        process.kill()

    def stop(self, name: str) -> None:
        """Ends a node."""
        parts = self.parts(name)
        for part in parts:
            with suppress(psutil.NoSuchProcess):
                part.kill()
        self.nodes.pop(name).wait()
        psutil.wait_procs(parts, timeout=20)

    def close(self) -> None:
        """Ends all of it."""
        for name in list(self.nodes):
            self.stop(name)
        shutil.rmtree(self.folder, ignore_errors=True)


class CutNetwork:
    """Two network namespaces with a cable between them, and nothing else: the machine's own network is left alone.

    Attributes:
        host, node: what a command line begins with that runs on the one side or on the other.
    """

    HOST, NODE = "10.231.0.1", "10.231.0.2"

    def __init__(self) -> None:
        self._holders = [subprocess.Popen(["unshare", "--net", "sleep", "infinity"]) for _ in range(2)]
        self._pids = [str(holder.pid) for holder in self._holders]
        wait_for(lambda: len({_network_of(pid) for pid in ("self", *self._pids)}) == 3, "two namespaces")
        first, second = self._pids
        self.host, self.node = (("nsenter", "--net", "--target", pid) for pid in (first, second))
        cable = ["ip", "link", "add", "cable", "netns", first, "type", "veth", "peer", "name", "cable", "netns", second]
        subprocess.run(cable, check=True)
        for side, address in ((self.host, self.HOST), (self.node, self.NODE)):
            for what in (("link", "set", "lo", "up"), ("addr", "add", f"{address}/24", "dev", "cable")):
                subprocess.run([*side, "ip", *what], check=True)
            subprocess.run([*side, "ip", "link", "set", "cable", "up"], check=True)

    def set(self, state: str) -> None:
        """``down`` pulls the cable out at the node's end, ``up`` puts it in."""
        subprocess.run([*self.node, "ip", "link", "set", "cable", state], check=True)

    def close(self) -> None:
        """The namespaces and the cable end with the processes in them."""
        for holder in self._holders:
            holder.kill()
            holder.wait()


@contextmanager
def two_machines(network: CutNetwork) -> Iterator[RayCluster]:
    """The head (node a) and whoever uses it at one end of the cable, node b at the other."""
    cluster = RayCluster(network.HOST, network.host)
    try:
        cluster.start("b", "--node-ip-address", network.NODE, inside=network.node)
        yield cluster
    finally:
        network.set("up")
        cluster.close()


def free_port() -> int:
    """A port that nobody listens on, of those that are not given to whoever asks for any."""
    for port in random.SystemRandom().sample(range(20_000, 32_000), 100):
        with socket.socket() as tried, suppress(OSError):
            tried.bind(("", port))
            return port
    raise AssertionError("no port is free")


def namespaces_work() -> bool:
    """Whether this user may make network namespaces here."""
    if any(shutil.which(tool) is None for tool in ("ip", "unshare", "nsenter")):
        return False
    tried = ["unshare", "--net", "ip", "link", "add", "one", "type", "veth", "peer", "name", "two"]
    return subprocess.run(tried, capture_output=True).returncode == 0


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 120) -> None:
    """Until it holds.

    Raises:
        AssertionError: it does not within that time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.1)


def _network_of(pid: str) -> str:
    return str(Path(f"/proc/{pid}/ns/net").readlink())


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _session(pid: int) -> list[psutil.Process]:
    """All processes of a session, whoever their parent is by now."""
    return [process for process in psutil.process_iter() if _session_of(process.pid) == pid]


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None
