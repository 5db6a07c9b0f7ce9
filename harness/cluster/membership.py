"""The cluster of a run: one on this machine that is started for it, or one that runs already."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Protocol

from harness.child_process import ChildDied, ChildProcess, run_in_child
from harness.cluster.places import FoundNode
from harness.cluster.ray_cluster import find_nodes, hold_local, require_ray
from harness.errors import BackendError, HarnessError, Stalled

START_S = 180.0
GONE_S = 10.0
JOIN_S = 120.0


class Cluster(Protocol):
    """Where a run's nodes are."""

    @property
    def address(self) -> str:
        """What `connected` takes."""
        ...

    def find(self) -> list[FoundNode]:
        """The nodes that there are now."""
        ...


@contextmanager
def cluster_at(where: str) -> Iterator[Cluster]:
    """The cluster of ``--cluster``; one on this machine is started, and gone at the end.

    Raises:
        BackendError: it cannot be joined, or Ray is not installed.
    """
    kind, _, nodes = where.partition(":")
    if kind != "local":
        require_ray()
        yield JoinedCluster(where)
        return
    local = LocalCluster(int(nodes))
    try:
        yield local
    finally:
        local.close()


@dataclass(frozen=True)
class JoinedCluster:
    """A cluster that runs already, and goes on running."""

    address: str

    def find(self) -> list[FoundNode]:
        """Asks Ray, every time anew.

        Raises:
            BackendError: it cannot be joined, or does not answer.
        """
        try:
            return run_in_child(find_nodes, self.address, limit_s=JOIN_S)
        except Stalled:  # Ray tries for minutes where a head was that is gone
            hint = "does its head run? `ray status` on a machine of the cluster says so"
            raise BackendError(f"no answer from {self.address} for {JOIN_S:g} s", where="cluster", hint=hint) from None


class LocalCluster:
    """Ray on this machine alone, for as long as this object is open; gone with this process, whatever ends it.

    It is started in a process of its own; `address` waits until it is there. Only who has the token can talk to it.

    Args:
        nodes: how many processes are its nodes.

    Raises:
        BackendError: Ray is not installed.
    """

    def __init__(self, nodes: int) -> None:
        require_ray()
        self._nodes = nodes
        self._token = secrets.token_hex(32)
        self._before = {name: os.environ.get(name) for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")}
        os.environ.update({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self._token})
        self._folder = Path(tempfile.mkdtemp(prefix="ssd-ray-", dir=_short_folder()))
        self._address = ""
        self._process = ChildProcess(hold_local, (str(self._folder),), name="ray")

    @property
    def address(self) -> str:
        """Where it is.

        Raises:
            BackendError: it did not start.
        """
        if not self._address:
            try:
                said = self._process.receive(START_S)
            except ChildDied as death:
                raise BackendError("Ray did not start", hint=f"its process ended: {death}") from None
            if isinstance(said, HarnessError):
                raise said
            if said is None:
                raise BackendError(f"Ray did not start within {START_S:g} s")
            self._address = str(said)
        return self._address

    def find(self) -> list[FoundNode]:
        """As many as were asked for: Ray starts their processes when they are used."""
        return [FoundNode(f"node-{k + 1}", "", {}, {}) for k in range(self._nodes)]

    def close(self) -> None:
        """Ends all its processes, and returns when its folder is gone."""
        self._process.end()
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        deadline = monotonic() + GONE_S
        while self._folder.exists() and monotonic() < deadline:
            sleep(0.05)


def _short_folder() -> str | None:
    """Ray's sockets lie 70 characters deeper, and a socket's path has at most 107."""
    return None if len(tempfile.gettempdir()) < 20 else "/tmp"
