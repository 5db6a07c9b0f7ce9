"""What the host and a node tell each other."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from harness.errors import HarnessError
from harness.pipeline.devices import DeviceSlot
from harness.pipeline.system_under_test import SystemUnderTest
from harness.sessions.protocol import Tensor

HEAD = struct.Struct("<qI")
"""Of a reply: how long the node had the call, on its clock, and how many samples it answers."""
MOMENTS = ("started_ns", "inferred_ns", "decoding_ns", "decoded_ns")
"""What a node sends of a sample's times, by the names of the pipeline's records."""
ROW = struct.Struct("<IHI4q")
"""Of an answered sample: the number that the host gave it, the node's session, the bytes of its accuracy record, and
its `MOMENTS` on the node's clock, counted from when the node received it. The records follow the rows, in their order.
"""


def pack_samples(numbers: Sequence[int], indices: Sequence[int]) -> bytes:
    """What a call of `Node.work` brings: the host's numbers of the samples, and their indices in the dataset."""
    return struct.pack(f"<{2 * len(numbers)}I", *numbers, *indices)


def unpack_samples(samples: bytes) -> tuple[Sequence[int], Sequence[int]]:
    """The numbers and the indices of `pack_samples`."""
    count = len(samples) // 8
    values = struct.unpack(f"<{2 * count}I", samples)
    return values[:count], values[count:]


class ImageSource(Protocol):
    """Where tensors come from that are made of image files. Picklable."""

    def load(self, indices: Sequence[int]) -> Sequence[Tensor]:
        """The (1, 3, H, W) tensors of these samples, in memory."""
        ...


@dataclass(frozen=True)
class NodePlace:
    """A node of a test.

    Attributes:
        name: unique in the run.
        node_id: Ray's; empty: wherever Ray puts it, for nodes that are processes on one machine.
        slots: its sessions, with their indices over all nodes.
        own_cores: the slots' cores are of this machine; else the node shares its own among them.
    """

    name: str
    node_id: str
    slots: tuple[DeviceSlot, ...]
    own_cores: bool


@dataclass(frozen=True)
class ClusterPlan:
    """The nodes of one test, decided before it begins.

    Attributes:
        address: of Ray's cluster.
        places: the nodes.
        round: whose rules the test follows: its name, or the path of a file.
        model_sha256: of the model with all its files; None: there is none.
        silent_s: a node that does not answer for so long is lost.
    """

    address: str
    places: tuple[NodePlace, ...]
    round: str
    model_sha256: str | None
    silent_s: float


@dataclass(frozen=True)
class Identity:
    """What host and nodes must have in common, as each of them found it out.

    Attributes:
        round_sha256: of the round's rules; None: it is a file of the host's own.
        model_sha256: None: there is none here.
    """

    package: str
    code_sha256: str
    round_sha256: str | None
    model_sha256: str | None


@dataclass(frozen=True)
class NodeSetup:
    """Everything that a node needs for a test, but for the samples' files.

    Attributes:
        round: its name, or the path of a file.
        source: as on the host.
        images_sha256: of each sample's image; empty: the source needs none.
        model_file_sha256: of the model's own file, without those that it refers to; empty: there is none.
    """

    place: NodePlace
    system: SystemUnderTest
    round: str
    source: ImageSource
    images_sha256: tuple[str, ...] = ()
    model_file_sha256: str = ""


@dataclass(frozen=True)
class Proof:
    """What a node has of what a test needs.

    Attributes:
        missing: indices of the samples whose image is not there.
        differing: the first image file that is there with another content, and None where there is none such.
        machine: processor, cores, memory and operating system, and the versions of the packages.
    """

    identity: Identity
    missing: tuple[int, ...]
    differing: str | None
    machine: dict[str, Any]


class NodeRetired(NamedTuple):
    """A session that a node took out; ``session`` is its number on the node."""

    session: int
    sample_index: int | None
    reason: str


class Status(NamedTuple):
    """What a node says of itself twice a second.

    Attributes:
        beats: grows with every sign of life.
        at_work: of each session, 1 + the index of the sample that it is at; 0: idle.
        retired: all sessions that were taken out so far.
        cpu_s: what the node's process took of its processors.
        peak_memory_bytes: its largest resident size.
    """

    beats: int
    at_work: tuple[int, ...]
    retired: tuple[NodeRetired, ...]
    cpu_s: float
    peak_memory_bytes: int


class SampleFailedOnNode(Exception):
    """A sample failed on a node, and with it the node's part of the test.

    Args:
        session: the node's number of it.
        what: in a sentence.
    """

    def __init__(self, session: int, sample_index: int, what: str) -> None:
        super().__init__(session, sample_index, what)
        self.session = session
        self.sample_index = sample_index
        self.what = what


class RemoteNode(Protocol):
    """The host's way to a node."""

    place: NodePlace

    def call(self, method: str, *args: Any) -> Future[Any]:
        """Calls a method of `harness.cluster.node.Node` there, beside other calls.

        The future's exception is what the method raised, or `NodeGone` where the node is gone.
        """
        ...

    def end(self) -> None:
        """Ends the node's process, whatever it is at."""
        ...


class NodeGone(Exception):
    """A node's process ended, or cannot be reached; says why."""


def naming_node(error: HarnessError, place: NodePlace) -> HarnessError:
    """The error, which happened on that node, with the node's name before what it is about."""
    error.where = f"node {place.name}: {error.where}" if error.where else f"node {place.name}"
    return error
