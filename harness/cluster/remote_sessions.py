"""What came back from sessions on nodes: accuracy records for LoadGen, and times for the records."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.cluster.messages import HEAD, MOMENTS, ROW
from harness.cluster.shares import HeldSample, NodeState
from harness.pipeline.counters import COLUMNS, tally
from harness.pipeline.devices import DeviceSlot
from harness.pipeline.pulse import Pulse


class Reply(NamedTuple):
    """What a call of a node's brought.

    Attributes:
        held_ns: how long the node had the call, on its clock.
        rows: a `ROW` of each sample.
        addresses: of each sample's accuracy record, which hold as long as `content`.
    """

    held_ns: int
    rows: npt.NDArray[Any]
    addresses: list[int]
    content: bytes


def read_reply(reply: bytes) -> Reply:
    """Takes a reply apart; nothing is copied."""
    head = np.frombuffer(reply, HEAD, 1)[0]
    rows = np.frombuffer(reply, ROW, head["count"], HEAD.itemsize)
    records_at = np.frombuffer(reply, np.uint8).ctypes.data + HEAD.itemsize + rows.nbytes
    ends = np.cumsum(rows["bytes"], dtype=np.int64)
    return Reply(int(head["held_ns"]), rows, (records_at + ends - rows["bytes"]).tolist(), reply)


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

    def record(self, node: NodeState, rows: npt.NDArray[Any], held: Sequence[HeldSample], completed_ns: int) -> None:
        """Keeps the times of a node's samples, which LoadGen has the answers of.

        Args:
            rows, held: of each sample.
        """
        sent = np.array([sample.sent_ns for sample in held], np.int64)
        moments = [sent + rows[name] for name in MOMENTS]
        whose = np.array([(sample.sample_id, sample.index, sample.issued_ns) for sample in held], np.uint64)
        records = np.column_stack([whose.astype(np.int64), *moments, np.full(len(held), completed_ns)])
        order = np.argsort(rows["session"], kind="stable")
        sessions, firsts = np.unique(rows["session"][order], return_index=True)
        for session, its_records in zip(sessions.tolist(), np.split(records[order], firsts[1:]), strict=True):
            slot = node.remote.place.slots[session].index
            kept = self.lanes[slot].kept
            kept.frombytes(its_records.tobytes())
            self._tallies[slot].add(kept, len(its_records), completed_ns)
