"""What is said of a node that was lost."""

from __future__ import annotations

from collections.abc import Sequence

from harness.cluster.messages import NodeGone, SampleFailedOnNode, naming_node
from harness.cluster.shares import NodeState
from harness.errors import HarnessError, RunFailed, named_line
from harness.pipeline.devices import DeviceSlot
from harness.pipeline.lane import LaneFailed

SAMPLES_NAMED = 8


class LostNode(DeviceSlot):
    """All sessions of a node that was lost."""

    @property
    def name(self) -> str:
        """The node's."""
        return self.node


def what_happened(error: BaseException) -> str:
    """A node's error in one line."""
    if isinstance(error, SampleFailedOnNode | HarnessError):
        return error.what
    return str(error) if isinstance(error, NodeGone) else named_line(error)


def failure_of(node: NodeState, error: BaseException, names: Sequence[str]) -> BaseException:
    """The failure of a test whose node failed so: names the device and the sample, or the node and its samples.

    Args:
        names: of the samples; empty: they have none.
    """
    place = node.remote.place
    if isinstance(error, SampleFailedOnNode):
        return LaneFailed(place.slots[error.session], error.sample_index, error.what)
    if isinstance(error, HarnessError):
        return naming_node(error, place)
    held = [sample.index for sample in node.held.values()]
    named = [f"{index} ({names[index]})" if names else f"{index}" for index in held[:SAMPLES_NAMED]]
    more = f" and {len(held) - len(named)} more" if len(held) > len(named) else ""
    at = f"it had {len(held)} samples: {', '.join(named)}{more}" if held else "it had no samples"
    return RunFailed(
        f"the node was lost: {what_happened(error)}; {at}",
        where=f"node {place.name}",
        hint="see what ended it there; --on-device-failure continue goes on with the other nodes",
    )
