"""Ray's channels: a node's samples and answers through shared memory, quicker than calls.

Whoever waits for a channel looks at it all the time (Ray 2.60 yields the processor and looks again), which takes up to
a processor on either side for each node.
"""

from __future__ import annotations

import pickle
import struct
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from typing import Any

from harness.cluster.messages import NodeGone
from harness.cluster.node import Node
from harness.errors import named_line

BYTES = 1 << 20
"""Of a channel's buffer; Ray enlarges it for larger contents."""
CALL = struct.Struct("<I")
"""Before what the host sends: the call's number."""
ANSWER = struct.Struct("<I?")
"""Before what a node sends: the call's number, and whether it failed; then its reply, or the pickled error."""
WAITING_CALLS = 512
"""As many threads wait for answers at most."""


class NodeWithChannel(Node):
    """A node whose `work` is also called through a channel."""

    def where(self) -> str:
        """Ray's id of the machine."""
        import ray

        return str(ray.get_runtime_context().get_node_id())

    def open_channel(self, from_host: Any, host_end: Any, host: str) -> Any:
        """Serves the host's channel from now on; gives the one with the answers.

        Args:
            host_end: an actor on the host's machine.
            host: Ray's id of that machine.
        """
        import ray
        from ray.experimental.channel.shared_memory_channel import Channel

        to_host = Channel(ray.get_runtime_context().current_actor, [(host_end, host)], BYTES)
        threading.Thread(target=self.serve, args=(from_host, to_host), name="channel", daemon=True).start()
        return to_host

    def serve(self, from_host: Any, to_host: Any) -> None:
        """Until the host closes its channel. A host that is killed closes nothing; the node then ends itself."""
        writing = threading.Lock()

        def answer(content: bytes) -> None:
            [number] = CALL.unpack_from(content)
            try:
                failed, said = False, self.work(content[CALL.size :])
            except Exception as error:  # noqa: BLE001 - the host has to hear of whatever it is
                failed, said = True, pickle.dumps(error)
            with writing, suppress(Exception):  # the host has closed it: nobody waits for this
                to_host.write(ANSWER.pack(number, failed) + said)

        with ThreadPoolExecutor(WAITING_CALLS, "call") as calls:
            while isinstance(content := _read(from_host), bytes):
                calls.submit(answer, content)


class HostEnd:
    """An actor beside the host. A node makes its channel's buffer there with it: a driver cannot be called."""


def host_end() -> Any:
    """One for all nodes; only inside of `connected`."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(num_cpus=0, scheduling_strategy=here)(HostEnd).remote()


def channels_of(actor: Any, host_end: Any, here: str) -> tuple[Any, Any]:
    """The channel to a `NodeWithChannel` and the one from it, which it serves from now on.

    Args:
        here: Ray's id of the machine that both are on.
    """
    import ray
    from ray.experimental.channel.shared_memory_channel import Channel

    to_node = Channel(None, [(actor, here)], BYTES)
    return to_node, ray.get(actor.open_channel.remote(to_node, host_end, here))


class HostChannel:
    """The host's side of a node's channels.

    Args:
        to_node, to_host: of `channels_of`.
        silent_s: a node that does not take what was sent to it for so long is gone.
    """

    def __init__(self, to_node: Any, to_host: Any, silent_s: float) -> None:
        self._to_node, self._to_host = to_node, to_host
        self._silent_s = silent_s
        self._numbers = count()
        self._open: dict[int, Future[Any]] = {}
        self._writing = threading.Lock()
        threading.Thread(target=self._take_answers, name="answers", daemon=True).start()

    def work(self, samples: bytes) -> Future[Any]:
        """Calls `Node.work`; see `RemoteNode.call`."""
        number, answer = next(self._numbers), Future[Any]()
        self._open[number] = answer
        try:
            with self._writing:
                self._to_node.write(CALL.pack(number) + samples, self._silent_s)
        except Exception as error:  # noqa: BLE001 - whatever Ray raises: the node cannot be reached
            if self._open.pop(number, None) is not None:
                answer.set_exception(NodeGone(named_line(error)))
        return answer

    def close(self) -> None:
        """Whoever waits for the channels goes on; calls that are open fail."""
        for channel in (self._to_node, self._to_host):
            with suppress(Exception):  # the node is gone already
                channel.close()
        for number in list(self._open):
            if (answer := self._open.pop(number, None)) is not None:
                answer.set_exception(NodeGone("its channel was closed"))

    def _take_answers(self) -> None:
        while isinstance(content := _read(self._to_host), bytes):
            number, failed = ANSWER.unpack_from(content)
            answer = self._open.pop(number, None)
            if answer is None:
                continue
            if failed:
                answer.set_exception(pickle.loads(content[ANSWER.size :]))
            else:
                answer.set_result(content[ANSWER.size :])


def _read(channel: Any) -> bytes | Exception:
    """The next content; an error when the channel is closed."""
    try:
        content: bytes | Exception = channel.read()
    except Exception as error:  # noqa: BLE001 - as Ray gives other errors
        return error
    return content
