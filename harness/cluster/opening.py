"""From a plan's nodes to a dispatcher: every node proves what it has, gets what it lacks, and opens its sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.cluster.losses import what_happened
from harness.cluster.messages import Identity, NodeSetup, Proof, RemoteNode, naming_node
from harness.errors import DataError, HarnessError, RunFailed

PIECE = 4 << 20
DIFFERENCES = {
    "package": "ssd-harness is version",
    "code_sha256": "the harness's code has sha256",
    "round_sha256": "the round's rules have sha256",
    "model_sha256": "the model has sha256",
}


def prepare(
    remotes: Sequence[RemoteNode], setups: Sequence[NodeSetup], own: Identity, beat: Callable[[], None]
) -> list[Proof]:
    """Opens the sessions on all nodes at once, after each has proved that it has the same of everything.

    Args:
        own: what the host has.
        beat: told "still working" whenever a node has done something.

    Raises:
        DataError: a node differs; names it, and what.
        HarnessError: a node cannot be used; names it.
    """
    proofs = _all(remotes, "prove", [(setup,) for setup in setups], beat)
    lacking = [
        k for k, proof in enumerate(proofs) if proof.missing or (own.model_sha256 and not proof.identity.model_sha256)
    ]
    for k in lacking:
        _check(remotes[k], proofs[k], own)
        for pieces in _pieces(setups[k], proofs[k], model=not proofs[k].identity.model_sha256):
            _all([remotes[k]], "keep", [(pieces,)], beat)
        [proofs[k]] = _all([remotes[k]], "prove", [(setups[k],)], beat)
    for remote, proof in zip(remotes, proofs, strict=True):
        _check(remote, proof, own, last=True)
    _all(remotes, "open", [() for _ in remotes], beat)
    return proofs


def _check(remote: RemoteNode, proof: Proof, own: Identity, *, last: bool = False) -> None:
    where = f"node {remote.place.name}"
    for name, what in DIFFERENCES.items():
        here, there = getattr(own, name), getattr(proof.identity, name)
        if here != there and (there is not None or last):
            raise DataError(
                f"{what} {_short(there)} there and {_short(here)} here",
                where=where,
                hint="every node needs the same as the host: install or copy it there",
            )
    if proof.differing is not None:
        raise DataError("this image is another one than the host's", where=f"{where}: {proof.differing}")
    if last and proof.missing:
        raise DataError(f"{len(proof.missing)} images are still missing after they were sent", where=where)


def _short(value: str | None) -> str:
    return "nothing" if value is None else value[:16]


def _pieces(setup: NodeSetup, proof: Proof, *, model: bool) -> Iterator[list[tuple[str, str, bytes]]]:
    """What is sent, some MiB at a time."""
    files: list[tuple[str, Path]] = []
    if model and setup.system.model_file is not None:
        files.append((setup.model_file_sha256, setup.system.model_file))
    source: Any = setup.source
    files += [(setup.images_sha256[index], source.files[index]) for index in proof.missing]
    pieces: list[tuple[str, str, bytes]] = []
    size = 0
    for digest, file in files:
        with file.open("rb") as stream:
            while content := stream.read(PIECE):
                pieces.append((digest, file.name, content))
                size += len(content)
                if size >= PIECE:
                    yield pieces
                    pieces, size = [], 0
        pieces.append((digest, file.name, b""))
    if pieces:
        yield pieces


def _all(
    remotes: Sequence[RemoteNode], method: str, args: Sequence[tuple[Any, ...]], beat: Callable[[], None]
) -> list[Any]:
    """Calls all nodes at once.

    Raises:
        HarnessError: the first node's that fails; names it.
    """
    futures = [remote.call(method, *given) for remote, given in zip(remotes, args, strict=True)]
    results = []
    for remote, future in zip(remotes, futures, strict=True):
        error = future.exception()
        beat()
        if isinstance(error, HarnessError):
            raise naming_node(error, remote.place)
        if error is not None:
            raise RunFailed(
                f"the node cannot be used: {what_happened(error)}",
                where=f"node {remote.place.name}",
                hint="see what ended it there; Ray takes a node that was killed for alive for some seconds",
            )
        results.append(future.result())
    return results
