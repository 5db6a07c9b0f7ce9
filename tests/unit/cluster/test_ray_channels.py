"""Samples and answers through channels; a queue stands in for Ray's shared memory."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from harness.cluster.messages import NodeGone, SampleFailedOnNode
from harness.cluster.ray_channels import HostChannel, NodeWithChannel

SILENT_S = 0.2


class Channel:
    """Holds one content, as Ray's does; closed, it gives errors to whoever waits, and whoever writes."""

    def __init__(self) -> None:
        self._contents: queue.Queue[Any] = queue.Queue(1)
        self._closed = threading.Event()

    def write(self, content: bytes, timeout: float | None = None) -> None:
        if self._closed.is_set():
            raise RuntimeError("closed")
        self._contents.put(content, timeout=timeout)

    def read(self) -> Any:
        while not self._closed.is_set():
            try:
                return self._contents.get(timeout=0.01)
            except queue.Empty:
                continue
        return RuntimeError("closed")

    def close(self) -> None:
        self._closed.set()


class Node(NodeWithChannel):
    """Its answer is what it was asked, backwards, once it may."""

    def __init__(self) -> None:
        super().__init__(orphaned_s=0)
        self.may = threading.Event()
        self.may.set()

    def work(self, samples: bytes) -> bytes:
        if samples == b"slow":
            assert self.may.wait(60)
        if samples == b"bad":
            raise SampleFailedOnNode(1, 7, "no such device")
        return samples[::-1]


class Ends:
    """A host and a node with their channels between them."""

    def __init__(self) -> None:
        self.to_node, self.to_host, self.node = Channel(), Channel(), Node()
        self.serving = threading.Thread(target=self.node.serve, args=(self.to_node, self.to_host))
        self.host = HostChannel(self.to_node, self.to_host, SILENT_S)


@pytest.fixture
def ends() -> Iterator[Ends]:
    made = Ends()
    yield made
    made.node.may.set()
    made.host.close()
    if made.serving.ident is not None:
        made.serving.join(60)
        assert not made.serving.is_alive()


def test_every_call_has_its_own_answer_whichever_is_first(ends: Ends) -> None:
    ends.serving.start()
    ends.node.may.clear()
    slow = ends.host.work(b"slow")
    others = {k: ends.host.work(bytes([k, k + 1])) for k in range(50)}
    assert {k: answer.result(60) for k, answer in others.items()} == {k: bytes([k + 1, k]) for k in range(50)}
    assert not slow.done()
    ends.node.may.set()
    assert slow.result(60) == b"wols"


def test_a_failure_on_the_node_is_the_same_on_the_host(ends: Ends) -> None:
    ends.serving.start()
    with pytest.raises(SampleFailedOnNode) as caught:
        ends.host.work(b"bad").result(60)
    assert (caught.value.session, caught.value.sample_index, caught.value.what) == (1, 7, "no such device")


def test_a_node_that_takes_nothing_is_gone(ends: Ends) -> None:
    first, second = ends.host.work(b"taken by nobody"), ends.host.work(b"finds no room")
    with pytest.raises(NodeGone, match="Full"):
        second.result(60)
    assert not first.done()


def test_calls_that_are_open_fail_when_it_is_closed(ends: Ends) -> None:
    ends.serving.start()
    ends.node.may.clear()
    open_call: Future[Any] = ends.host.work(b"slow")
    ends.host.close()
    with pytest.raises(NodeGone, match="closed"):
        open_call.result(60)
    with pytest.raises(NodeGone, match="closed"):
        ends.host.work(b"later").result(60)
