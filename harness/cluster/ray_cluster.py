"""Ray, imported here and in `ray_channels` only: started on this machine or joined, its nodes found and run on."""

from __future__ import annotations

import logging
import os
import re
import secrets
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from harness.child_process import Say
from harness.cluster.messages import NodeGone, NodePlace, Status, naming_node
from harness.cluster.places import FoundNode
from harness.cluster.ray_channels import HostChannel, NodeWithChannel, channels_of, host_end
from harness.errors import BackendError, HarnessError, named_line
from harness.settings import BackendSettings, ModelSettings

CLIENT = "ray://"
LOCAL_HOST = "127.0.0.1"
STORE_BYTES = 100 * 2**20
"""Of Ray's object store, which only answers over 100 kB pass through."""
KNOCK_S = 5.0
CLIENT_THREADS = 4
"""For each node, where the way is Ray's client: it waits for the head's word before it gives a call out of hand."""
WHY_DEAD = "The actor is dead because "
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_enable_metrics_collection": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
}
"""Ray reports nothing to anybody, and leaves the devices' environment variables as they are."""


def hold_local(folder: str, parent: Connection) -> None:
    """Starts Ray and tells its address. Linux ends Ray's processes with this one; the folder goes after them."""
    subprocess.Popen(
        ["sh", "-c", 'read _; sleep 0.5; rm -rf -- "$0" || { sleep 2; rm -rf -- "$0"; }', folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    _say_nothing()
    try:
        os.environ.update(QUIET)
        import ray

        context = ray.init(
            num_cpus=0,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=STORE_BYTES,
            _node_ip_address=LOCAL_HOST,
            _temp_dir=folder,
        )
        parent.send(context.address_info["gcs_address"])
    except Exception as error:  # noqa: BLE001 - the process's edge
        parent.send(_cannot("start", error))
        return
    threading.Event().wait()


def _say_nothing() -> None:
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    os.close(nothing)


def require_ray() -> None:
    """Whether Ray is installed; it is not imported.

    Raises:
        BackendError: it is not.
    """
    from importlib.util import find_spec

    if find_spec("ray") is None:
        raise BackendError("Ray is not installed", where="cluster", hint="pip install 'ssd-harness[cluster]'")


@contextmanager
def connected(address: str) -> Iterator[None]:
    """This process as a driver of the cluster: ``auto``, ``HOST:PORT`` or ``ray://HOST:PORT``.

    Raises:
        BackendError: there is no such cluster, or its Ray or Python is another version.
    """
    require_ray()
    os.environ.update(QUIET)
    import ray

    _knock(address)
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, namespace=secrets.token_hex(8))
    except Exception as error:
        raise _cannot(f"join {address}", error) from error
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Whether somebody listens there: Ray itself would try for half a minute."""
    host, colon, port = address.removeprefix(CLIENT).rpartition(":")
    if not colon:
        return
    try:
        socket.create_connection((host, int(port)), KNOCK_S).close()
    except OSError as error:
        raise _cannot(f"join {address}", error) from error


def _cannot(what: str, error: Exception) -> BackendError:
    """Ray's error in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    hint = "it needs the same Ray and Python on all machines, and RAY_AUTH_TOKEN where the cluster has one"
    if any(line.startswith("Traceback") for line in lines):  # another process's, whose last line says what it was
        lines = [line for line in lines if re.match(r"[\w.]+: ", line)][-1:] or lines
    said = " ".join(lines)[:300] or type(error).__name__
    return BackendError(f"Ray cannot {what}: {said}", where="cluster", hint=hint)


def find_nodes(address: str, say: Say) -> list[FoundNode]:
    """The nodes of a running cluster that are alive, by name; for `run_in_child`.

    Raises:
        BackendError: as `connected`.
    """
    _say_nothing()
    say(f"joining {address}")
    with connected(address):
        import ray

        alive = [node for node in ray.nodes() if node["Alive"]]
    named = sorted((_name(node), node["NodeID"], node) for node in alive)
    names = [name for name, _, _ in named]
    found = []
    for k, (name, node_id, node) in enumerate(named):
        unique = name if names.count(name) == 1 else f"{name}-{names[:k].count(name) + 1}"
        found.append(FoundNode(unique, node_id, dict(node.get("Resources", {})), dict(node.get("Labels", {}))))
    return found


def check_on_node(
    address: str, place: NodePlace, model: ModelSettings, backend: BackendSettings, file: Path | None, say: Say
) -> str:
    """`Node.check_session` for the first of a node's sessions; for `run_in_child`.

    Raises:
        HarnessError: as that does, and as `connected`; names the node.
    """
    _say_nothing()
    say(f"opening a session on {place.name}")
    with connected(address):
        node = RayNode(place)
        try:
            return str(node.call("check_session", model, backend, place.slots[0].device, file).result())
        except HarnessError as error:
            naming_node(error, place)
            raise
        except NodeGone as gone:
            raise BackendError(str(gone), where=f"node {place.name}") from gone
        finally:
            node.end()


def _name(node: dict[str, Any]) -> str:
    own, address = node.get("NodeName") or "", node.get("NodeManagerAddress") or ""
    return own if own and own != address else node.get("NodeManagerHostname") or address


class RayNode:
    """A node's actor. Implements `RemoteNode`; only inside of `connected`.

    Args:
        place: where it is to be, and its sessions.
    """

    def __init__(self, place: NodePlace) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self.place = place
        where: dict[str, Any] = {}
        if place.node_id:
            where["scheduling_strategy"] = NodeAffinitySchedulingStrategy(place.node_id, soft=False)
        # a call waits there for its answers: as many threads as there can be calls, and one for the questions how it is
        calls = 2 * len(place.slots) + 64
        options = {"num_cpus": 0, "max_restarts": 0, "max_concurrency": calls, "concurrency_groups": {"watch": 1}}
        self._actor = ray.remote(**options, **where)(_actor_class()).remote()
        self._kill = ray.kill
        # The client brings answers on the one thread that it needs to send calls too: an answer that makes a call, or
        # waits for a lock of somebody who is making one, would wait there for ever.
        client = ray.util.client.ray.is_connected()
        self._threads = ThreadPoolExecutor(CLIENT_THREADS, f"calls of {place.name}") if client else None
        self._channel: HostChannel | None = None

    def open_channel(self, host_end: Any, here: str, silent_s: float) -> None:
        """Calls of `work` go through a channel from now on; see `channels_of` and `HostChannel`."""
        self._channel = HostChannel(*channels_of(self._actor, host_end, here), silent_s)

    @property
    def has_channel(self) -> bool:
        """Whether calls of `work` go through a channel."""
        return self._channel is not None

    def call(self, method: str, *args: Any) -> Future[Any]:
        """See `RemoteNode`."""
        if method == "work" and self._channel is not None:
            return self._channel.work(*args)
        answer: Future[Any] = Future()
        self._elsewhere(self._begin, answer, method, args)
        return answer

    def end(self) -> None:
        """See `RemoteNode`."""
        if self._channel is not None:
            self._channel.close()
        with suppress(Exception):  # it is gone already
            self._kill(self._actor)
        if self._threads is not None:
            self._threads.shutdown(wait=False)

    def _begin(self, answer: Future[Any], method: str, args: Sequence[Any]) -> None:
        try:
            future = getattr(self._actor, method).remote(*args).future()
        except Exception as error:  # noqa: BLE001 - whatever Ray raises: the node cannot be reached
            answer.set_exception(NodeGone(named_line(error)))
            return
        future.add_done_callback(lambda done: self._elsewhere(_settle, answer, done))

    def _elsewhere(self, function: Callable[..., None], *args: Any) -> None:
        """Calls the function on a thread of the node's, where the way is Ray's client; else at once."""
        if self._threads is None:
            function(*args)
            return
        with suppress(RuntimeError):  # the node was ended, and nobody waits for its answers
            self._threads.submit(function, *args)


def _actor_class() -> type[NodeWithChannel]:
    """`NodeWithChannel`, whose `status` has a thread of its own: Ray's client knows no options of a call for that."""
    import ray

    class NodeActor(NodeWithChannel):
        @ray.method(concurrency_group="watch")  # type: ignore[untyped-decorator]
        def status(self) -> Status:
            return super().status()

    return NodeActor


def open_channels(nodes: Sequence[RayNode], silent_s: float) -> None:
    """Samples go through channels from now on, to the nodes of this machine.

    Between two machines a raylet carries them, and Ray 2.60's waits for ever for a reader that was killed: it then
    starts no actor any more.
    """
    import ray

    here = ray.get_runtime_context().get_node_id()
    beside = [node for node in nodes if node.call("where").result() == here]
    end = host_end() if beside else None
    for node in beside:
        node.open_channel(end, here, silent_s)


def _settle(answer: Future[Any], done: Future[Any]) -> None:
    error = done.exception()
    if error is None:
        answer.set_result(done.result())
        return
    cause = getattr(error, "cause", None)
    if isinstance(cause, BaseException):  # what the method raised
        answer.set_exception(cause)
        return
    text = " ".join(str(error).split())
    reason = text[text.find(WHY_DEAD) + len(WHY_DEAD) :] if WHY_DEAD in text else text
    answer.set_exception(NodeGone(f"{type(error).__name__}: {reason[:300]}"))
