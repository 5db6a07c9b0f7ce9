"""What came back from sessions on nodes: accuracy records for LoadGen, and times for the records."""

from __future__ import annotations

import ctypes
import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from harness.cluster.messages import HEAD, ROW
from harness.cluster.shares import HeldSample, NodeState
from harness.pipeline.counters import COLUMNS, tally
from harness.pipeline.devices import DeviceSlot
from harness.pipeline.pulse import Pulse

NUMBER, BYTES = 0, 2
"""Where a `ROW` has the sample's number, and the bytes of its accuracy record."""
PACK_RECORD = struct.Struct(f"{len(COLUMNS)}q").pack


class Reply(NamedTuple):
    """What a call of a node's brought.

    Attributes:
        held_ns: how long the node had the call, on its clock.
        rows: a `ROW` of each sample.
        records_at: the address of the samples' accuracy records, which holds as long as `content`.
    """

    held_ns: int
    rows: list[tuple[int, ...]]
    records_at: int
    content: bytes


def read_reply(reply: bytes) -> Reply:
    """Takes a reply apart; the records are not copied."""
    held_ns, count = HEAD.unpack_from(reply)
    end = HEAD.size + count * ROW.size
    address = ctypes.cast(ctypes.c_char_p(reply), ctypes.c_void_p).value
    assert address is not None
    return Reply(held_ns, list(ROW.iter_unpack(reply[HEAD.size : end])), address + end, reply)


@dataclass(frozen=True)
class RemoteLane:
    """A session on a node, as those see it who write down what it did."""

    slot: DeviceSlot
    kept: array[int]

    def records(self) -> npt.NDArray[np.int64]:
        """(samples, columns) int64 in the order of `COLUMNS`.

        A node's moments are placed on the host's clock as if its samples had arrived in the moment they were sent: so
        every stage is a duration of one clock, and the last one has the way there and back in it.
        """
        return np.frombuffer(self.kept, np.int64).reshape(-1, len(COLUMNS))


class RemoteSessions:
    """The sessions of all nodes, and what they did.

    Args:
        pulse: its counters are kept here.
        from_start: latencies count from the moment a session took the sample, not from its issue.
    """

    def __init__(self, slots: Sequence[DeviceSlot], pulse: Pulse, *, from_start: bool) -> None:
        self.lanes = [RemoteLane(slot, array("q")) for slot in slots]
        self._tallies = [tally(pulse.cells(), pulse.row(slot.index), from_start=from_start) for slot in slots]

    def record(
        self, node: NodeState, rows: Sequence[tuple[int, ...]], held: Sequence[HeldSample], completed_ns: int
    ) -> None:
        """Keeps the times of a node's samples, which LoadGen has the answers of.

        Args:
            rows, held: of each sample.
        """
        slots = node.remote.place.slots
        counts = [0] * len(slots)
        for (_, session, _, *moments), sample in zip(rows, held, strict=True):
            started, inferred, decoding, decoded = moments
            sent = sample.sent_ns
            record = PACK_RECORD(
                sample.sample_id,
                sample.index,
                sample.issued_ns,
                sent + started,
                sent + inferred,
                sent + decoding,
                sent + decoded,
                completed_ns,
            )
            self.lanes[slots[session].index].kept.frombytes(record)
            counts[session] += 1
        for slot, count in zip(slots, counts, strict=True):
            if count:
                self._tallies[slot.index].add(self.lanes[slot.index].kept, count, completed_ns)
