"""A test's dispatcher where its sessions are on the nodes of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from harness.cluster.dispatcher import ClusterDispatcher
from harness.cluster.messages import ClusterPlan, Identity, NodeSetup
from harness.cluster.opening import prepare
from harness.cluster.ray_cluster import RayNode, connected
from harness.files import sha256_file
from harness.loadgen.messages import NodeUse
from harness.loadgen.plan import Plan
from harness.pipeline.dispatch import Respond, Retired
from harness.pipeline.pulse import Pulse
from harness.rounds import round_sha256
from harness.source_code import code_sha256
from harness.version import __version__


@contextmanager
def open_cluster(
    plan: Plan,
    cluster: ClusterPlan,
    respond: Respond,
    on_failure: Callable[[BaseException], None],
    pulse: Pulse,
    on_retired: Callable[[Retired], None],
) -> Iterator[ClusterDispatcher]:
    """The dispatcher of the plan's nodes, with their sessions open.

    Raises:
        HarnessError: the cluster or a node cannot be used; names it.
    """
    source: Any = plan.source
    digests = tuple(source.image_digests()) if hasattr(source, "image_digests") else ()
    model_file_sha256 = "" if plan.model_file is None else sha256_file(plan.model_file)
    setups = [
        NodeSetup(place, plan.system, cluster.round, source, digests, model_file_sha256) for place in cluster.places
    ]
    own = Identity(__version__, code_sha256(), round_sha256(cluster.round), cluster.model_sha256)
    with connected(cluster.address):
        remotes = [RayNode(place) for place in cluster.places]
        try:
            proofs = prepare(remotes, setups, own, pulse.beat, plan.startup_s)
        except BaseException:
            for remote in remotes:
                remote.end()
            raise
        systems = {remote.place.name: proof.machine for remote, proof in zip(remotes, proofs, strict=True)}
        yield ClusterDispatcher(
            remotes,
            plan.slots,
            respond,
            on_failure,
            pulse,
            batches=plan.system.batches,
            goes_on=plan.system.goes_on,
            silent_s=cluster.silent_s,
            on_retired=on_retired,
            names=plan.sample_names,
            systems=systems,
        )


def uses_of(dispatcher: ClusterDispatcher) -> tuple[NodeUse, ...]:
    """What each node did."""
    return tuple(
        NodeUse(
            name=node.remote.place.name,
            samples=node.answered,
            calls=node.calls,
            way_ms=round(node.way_ns / node.calls / 1e6, 6) if node.calls else None,
            way_share=round(node.way_ns / node.called_ns, 6) if node.called_ns else None,
            cpu_s=None if node.status is None else round(node.status.cpu_s, 3),
            peak_memory_bytes=None if node.status is None else node.status.peak_memory_bytes,
            lost=not node.alive,
            system=dispatcher.systems.get(node.remote.place.name, {}),
        )
        for node in dispatcher.nodes
    )
