"""The host's side: which node has which sample, and LoadGen's answers."""

from __future__ import annotations

import functools
import threading
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from itertools import count, repeat
from time import monotonic_ns
from typing import Any

from harness.cluster.losses import LostNode, failure_of, what_happened
from harness.cluster.messages import NodeGone, RemoteNode, SampleFailedOnNode, Status, pack_samples
from harness.cluster.remote_sessions import BYTES, NUMBER, RemoteSessions, read_reply
from harness.cluster.shares import HeldSample, NodeState, least_loaded, offline_share
from harness.pipeline.counters import CURRENT
from harness.pipeline.devices import DeviceSlot
from harness.pipeline.dispatch import Respond, Retired
from harness.pipeline.lane import Sample
from harness.pipeline.pulse import CALLED, LOST, WAY, Pulse

STATUS_S = 0.5


class ClusterDispatcher:
    """Gives LoadGen's samples to nodes, and the nodes' answers to LoadGen.

    In Offline a node gets its samples in chunks, ahead of what it can do; elsewhere a query's samples go out at once,
    each to the node with the largest share of free sessions. A sample belongs to one node at a time, and an answer
    counts only as long as the node has the sample: so none is answered twice, and none is lost with a node.

    Args:
        remotes: the nodes, with their sessions open.
        slots: of all nodes, by their indices.
        respond: hands answers to LoadGen.
        on_failure: told of what cannot be helped.
        pulse: told of samples issued, answered and at work, and of the nodes.
        batches: nobody waits for a single answer.
        goes_on: a node that is lost is taken out, and its samples go to others, as long as there are any.
        silent_s: a node that does not answer for so long is lost.
        on_retired: told of a session, or a node, that was taken out.
        names: of the samples.
        systems: name of a node → what it says of its machine.
    """

    def __init__(
        self,
        remotes: Sequence[RemoteNode],
        slots: Sequence[DeviceSlot],
        respond: Respond,
        on_failure: Callable[[BaseException], None],
        pulse: Pulse,
        *,
        batches: bool,
        goes_on: bool,
        silent_s: float,
        on_retired: Callable[[Retired], None] = lambda retired: None,
        names: Sequence[str] = (),
        systems: Mapping[str, dict[str, Any]] | None = None,
    ) -> None:
        self.systems = systems or {}
        self.retired: list[Retired] = []
        self._sessions = RemoteSessions(slots, pulse, from_start=batches)
        self.lanes = self._sessions.lanes
        self.nodes = [NodeState(remote, k) for k, remote in enumerate(remotes)]
        self._respond = respond
        self._on_failure = on_failure
        self._pulse, self._cells = pulse, pulse.cells()
        self._batches = batches
        self._goes_on = goes_on
        self._silent_s = silent_s
        self._on_retired = on_retired
        self._names = names
        self._lock = threading.RLock()
        self._idle = threading.Condition(self._lock)
        self._queries: deque[Iterator[Sample]] = deque()
        self._left = 0
        self._answering = 0
        self._numbers = count()
        self._failed = False
        self._closing = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="nodes", daemon=True)
        self._watcher.start()

    # What LoadGen's thread calls.

    def submit(self, sample_ids: Sequence[int], sample_indices: Sequence[int]) -> None:
        """Sends the query's samples, or as many of them as the nodes should have now."""
        samples = zip(array("Q", sample_ids), array("Q", sample_indices), repeat(monotonic_ns()), strict=False)
        self._cells[self._pulse.submitted_cell] += len(sample_ids)
        with self._lock:
            self._queries.append(samples)
            self._left += len(sample_ids)
            self._send()

    def load(self, indices: Sequence[int]) -> None:
        """LoadSamplesToRam on every node."""
        self._on_all("load", list(indices))

    def unload(self, indices: Sequence[int]) -> None:
        """UnloadSamplesFromRam on every node."""
        self._on_all("unload", list(indices))

    def rehearse(self, tensor: Any, runs: int, sample_index: int = 0, *, hang_s: float = 120) -> list[float]:
        """Runs on every session of every node at once, on the nodes' own tensors of that sample.

        Raises:
            LaneFailed: a session failed.
            HarnessError: a node was lost.
        """
        seconds: list[float] = []
        for node, found in self._on_all("rehearse", runs, sample_index, hang_s):
            node.rate = sum(1 / max(s, 1e-9) for s in found)
            seconds += found
        return seconds

    def burst(self, sample_index: int, latency_s: float) -> float:
        """Samples per second of all nodes working at once, answered to nobody; see `harness.pipeline.burst`."""
        for node, rate in self._on_all("burst", sample_index, latency_s):
            node.rate = rate or node.rate
        return sum(node.rate for node in self.nodes if node.alive)

    def settle(self) -> None:
        """Returns when all that was answered is recorded too, and what was taken out is told."""
        with self._lock:
            self._idle.wait_for(self._all_recorded)
        self._ask_once_more()

    def _all_recorded(self) -> bool:
        return not self._left and not self._answering and not any(node.held for node in self._alive())

    def close(self) -> None:
        """Closes the sessions on all nodes, and ends them."""
        try:
            self._on_all("close")
        finally:
            self._closing.set()
            self._watcher.join()
            for node in self.nodes:
                node.remote.end()

    # Sending.

    def _alive(self) -> list[NodeState]:
        return [node for node in self.nodes if node.alive]

    def _send(self) -> None:
        """Sends what the nodes should have; holds the lock."""
        if self._batches:
            while self._left and (share := offline_share(self._alive(), self._left)) is not None:
                self._send_to(share[0], self._take(share[1]))
            return
        chosen: dict[NodeState, list[Sample]] = {}
        alive = self._alive()
        while self._left and (node := least_loaded(alive, chosen)) is not None:
            chosen.setdefault(node, []).extend(self._take(1))
        for node, samples in chosen.items():
            self._send_to(node, samples)

    def _take(self, most: int) -> list[Sample]:
        taken: list[Sample] = []
        while len(taken) < most and self._queries:
            sample = next(self._queries[0], None)
            if sample is None:
                self._queries.popleft()
            else:
                taken.append(sample)
        self._left -= len(taken)
        return taken

    def _send_to(self, node: NodeState, samples: Sequence[Sample]) -> None:
        sent_ns = monotonic_ns()
        numbers = [next(self._numbers) for _ in samples]
        node.held.update(zip(numbers, (HeldSample(*sample, sent_ns) for sample in samples), strict=True))
        future = node.remote.call("work", pack_samples(numbers, [index for _, index, _ in samples]))
        future.add_done_callback(lambda done: self._came_back(node, done, sent_ns))

    # What comes back, on a thread of the cluster's.

    def _came_back(self, node: NodeState, done: Future[Any], sent_ns: int) -> None:
        try:
            error = done.exception()
            if error is not None:
                self._lost(node, error)
                return
            self._answer(node, done.result(), sent_ns)
        except BaseException as unforeseen:  # noqa: BLE001 - nobody else would hear of it
            self._on_failure(unforeseen)

    def _answer(self, node: NodeState, reply: bytes, sent_ns: int) -> None:
        back_ns, got = monotonic_ns(), read_reply(reply)
        with self._lock:
            if self._failed or not node.alive:
                return  # its samples are others' now
            held = [node.held.pop(row[NUMBER]) for row in got.rows]
            self._answering += 1
        answers, at = [], got.records_at
        for sample, row in zip(held, got.rows, strict=True):
            answers.append((sample.sample_id, at, row[BYTES]))
            at += row[BYTES]
        self._respond(answers)
        now = monotonic_ns()
        with self._lock:
            node.returned(len(held), back_ns - sent_ns, got.held_ns)
            at = self._pulse.node_row(node.index)
            self._cells[at + WAY], self._cells[at + CALLED] = node.way_ns, node.called_ns
            self._sessions.record(node, got.rows, held, now)
            self._answering -= 1
            self._send()
            self._idle.notify_all()

    # Nodes that fail.

    def _watch(self) -> None:
        """Asks every node how it is, every `STATUS_S`; one after the other, so that samples wait for one call at most.

        How long a node is silent is counted in looks, not by the clock: a host that was itself held up for seconds has
        not looked meanwhile, and the answers are there when it does.
        """
        asked: dict[NodeState, Future[Any]] = {}
        looks: dict[NodeState, int] = {}
        beats: dict[NodeState, int] = {}
        while nodes := self._alive():
            for node in nodes:
                if self._closing.wait(STATUS_S / len(nodes)):
                    return
                if node not in asked or asked[node].done():
                    asked[node], looks[node] = node.remote.call("status"), 0
                    asked[node].add_done_callback(functools.partial(self._heard, node, beats))
                else:
                    looks[node] += 1
                    if looks[node] * STATUS_S >= self._silent_s:
                        self._lost(node, NodeGone(f"no answer for {self._silent_s:g} s"))
                with self._lock:
                    node.measure()
                    if self._batches:
                        self._send()

    def _heard(self, node: NodeState, beats: dict[NodeState, int], done: Future[Any]) -> None:
        error = done.exception()
        if error is not None:
            self._lost(node, error)
            return
        status: Status = done.result()
        self._take_status(node, status)
        if status.beats != beats.get(node):
            beats[node] = status.beats
            self._pulse.beat()

    def _take_status(self, node: NodeState, status: Status) -> None:
        slots = node.remote.place.slots
        with self._lock:
            if not node.alive:
                return
            node.status = status
            for slot, at in zip(slots, status.at_work, strict=False):
                self._cells[self._pulse.row(slot.index) + CURRENT] = at
            news = status.retired[node.retired_sessions :]
            node.retired_sessions += len(news)
            for session, sample_index, reason in news:
                self._retire(Retired(slots[session], sample_index, reason))

    def _ask_once_more(self) -> None:
        answers = self._on_all("status")
        with self._lock:  # who is just taking a session or a node out is done with it then
            for node, status in answers:
                self._take_status(node, status)

    def _retire(self, retired: Retired) -> None:
        self.retired.append(retired)
        self._on_retired(retired)

    def _lost(self, node: NodeState, error: BaseException) -> None:
        """Takes the node out, where that is wanted and it is not the last one; else the test fails."""
        with self._lock:
            if not node.alive or self._closing.is_set() or self._failed:
                return
            if not self._goes_on or len(self._alive()) == 1:
                self._failed = True
                self._on_failure(failure_of(node, error, self._names))
                return
            node.alive = False
            self._cells[self._pulse.node_row(node.index) + LOST] = 1
            held = list(node.held.values())
            node.held.clear()
            for slot in node.remote.place.slots:
                self._cells[self._pulse.row(slot.index) + CURRENT] = 0
            self._queries.appendleft(iter([(s.sample_id, s.index, s.issued_ns) for s in held]))
            self._left += len(held)
            first = node.remote.place.slots[0]
            at = error.sample_index if isinstance(error, SampleFailedOnNode) else held[0].index if held else 0
            slot = LostNode(first.index, first.device, node=node.remote.place.name)
            self._retire(Retired(slot, at, f"the node was lost: {what_happened(error)}; it had {len(held)} samples"))
            self._send()
            self._idle.notify_all()
        # this may be the thread of the cluster's that brings answers, and what ends a node waits for one
        threading.Thread(target=node.remote.end, name=f"end of {node.remote.place.name}", daemon=True).start()

    def _on_all(self, method: str, *args: Any) -> list[tuple[NodeState, Any]]:
        """Calls all nodes at once, and gives what those answer that are not lost meanwhile."""
        calls = [(node, node.remote.call(method, *args)) for node in self._alive()]
        results = []
        for node, future in calls:
            while node.alive and not future.done():
                wait([future], STATUS_S)
            if not node.alive:
                continue
            error = future.exception()
            if error is None:
                results.append((node, future.result()))
            elif self._goes_on and len(self._alive()) > 1:
                self._lost(node, error)
            else:
                raise failure_of(node, error, self._names)
        return results
