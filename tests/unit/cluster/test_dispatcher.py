"""LoadGen's samples reach nodes and their answers LoadGen: every one once, whatever becomes of a node."""

from __future__ import annotations

import ctypes
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness.cluster import opening
from harness.cluster.dispatcher import ClusterDispatcher
from harness.cluster.messages import Identity, NodePlace, NodeSetup
from harness.cluster.opening import prepare
from harness.errors import DataError, RunFailed, Stalled
from harness.pipeline.counters import COLUMNS
from harness.pipeline.devices import DeviceSlot
from harness.pipeline.dispatch import Retired
from harness.pipeline.lane import LaneFailed
from harness.pipeline.postprocess import Answer
from harness.pipeline.pulse import Pulse
from harness.pipeline.system_under_test import SystemUnderTest
from harness.rounds import round_sha256
from harness.settings import BackendSettings, ModelSettings
from harness.source_code import code_sha256
from harness.version import __version__
from tests.support.thread_nodes import ThreadNode

OWN = Identity(__version__, code_sha256(), round_sha256("v2.0"), None)
FIELDS = 7


class Zeros:
    """Every sample is the same zeros."""

    def load(self, indices: Sequence[int]) -> list[Any]:
        return [np.zeros((1, 3, 1200, 1200), np.uint8)] * len(indices)


class Host:
    """A dispatcher with its nodes, and what came out.

    Args:
        devices: of each node.
        options: of the simulated devices.
    """

    def __init__(
        self,
        devices: Sequence[int] = (2, 2),
        *,
        scenario: Any = "offline",
        goes_on: bool = False,
        silent_s: float = 20,
        decoder: Any = "native",
        **options: Any,
    ) -> None:
        self.answered: list[int] = []
        self.first_values: dict[int, float] = {}
        self.failures: list[BaseException] = []
        self.retired: list[Retired] = []
        self.failed = threading.Event()
        self.some = threading.Event()
        places, index = [], 0
        for k, many in enumerate(devices):
            slots = tuple(DeviceSlot(index + j, "simulated", (), f"n{k}") for j in range(many))
            index += many
            places.append(NodePlace(f"n{k}", "", slots, own_cores=True))
        self.slots = [slot for place in places for slot in place.slots]
        backend = BackendSettings(
            name="simulated",
            options={"latency_ms": 2} | options,
            on_device_failure="continue" if goes_on else "stop",
        )
        system = SystemUnderTest(
            "Offline performance", scenario, False, ModelSettings(decoder=decoder), None, backend, 120, 900, None, ()
        )
        self.nodes = [ThreadNode(place) for place in places]
        self.setups = [NodeSetup(place, system, "v2.0", Zeros()) for place in places]
        self.pulse = Pulse(len(self.slots), len(self.nodes))
        self.goes_on, self.silent_s, self.scenario = goes_on, silent_s, scenario

    def open(self) -> ClusterDispatcher:
        prepare(self.nodes, self.setups, OWN, self.pulse.beat, 60)
        self.dispatcher = ClusterDispatcher(
            self.nodes,
            self.slots,
            self.respond,
            self.fail,
            self.pulse,
            batches=self.scenario == "offline",
            goes_on=self.goes_on,
            silent_s=self.silent_s,
            on_retired=self.retired.append,
            names=[f"{k}.jpg" for k in range(8)],
        )
        self.dispatcher.load(range(8))
        self.dispatcher.rehearse(None, 1)
        return self.dispatcher

    def respond(self, answers: Sequence[Answer], *, to_nobody: bool = False) -> None:
        for sample_id, address, size in answers:
            self.answered.append(sample_id)
            if size:
                assert size % (4 * FIELDS) == 0
                self.first_values[sample_id] = ctypes.c_float.from_address(address).value
        self.some.set()

    def fail(self, error: BaseException) -> None:
        self.failures.append(error)
        self.failed.set()

    def submit(self, samples: int) -> None:
        self.dispatcher.submit(list(range(1000, 1000 + samples)), [k % 8 for k in range(samples)])

    def each_once(self, samples: int) -> bool:
        return Counter(self.answered) == Counter(range(1000, 1000 + samples))


@pytest.fixture
def hosts() -> Iterator[list[Host]]:
    made: list[Host] = []
    yield made
    for host in made:
        if hasattr(host, "dispatcher"):
            host.dispatcher._closing.set()
        for node in host.nodes:
            node.kill()


def test_a_node_that_never_answers_is_named_before_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "ASK_S", 0.02)
    host = Host()
    host.nodes[1].cut = True
    with pytest.raises(Stalled, match=re.escape("node n1: no sign of life for 0.1 s")) as raised:
        prepare(host.nodes[1:], host.setups[1:], OWN, host.pulse.beat, 0.1)
    assert "startup_s" in str(raised.value.hint)


def test_a_node_that_opens_one_slow_session_after_the_other_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "ASK_S", 0.02)
    host = Host((8,))
    asked = threading.Semaphore(0)
    node: Any = host.nodes[0].node
    status = node.status

    def counted() -> Any:
        asked.release()
        return status()

    def slow_open() -> None:
        node._pulse = Pulse(8)
        began = time.monotonic()
        while time.monotonic() - began < 3:  # longer than a node may be silent
            node._pulse.beat()
            assert asked.acquire(timeout=60)

    node.status, node.open = counted, slow_open
    prepare(host.nodes, host.setups, OWN, host.pulse.beat, 2)


@pytest.mark.parametrize("scenario", ["offline", "server", "multi_stream"])
@pytest.mark.parametrize("decoder", ["native", "numpy", "none"])
def test_every_sample_is_answered_once_with_its_own_record(hosts: list[Host], scenario: str, decoder: str) -> None:
    hosts.append(host := Host((2, 1, 3), scenario=scenario, decoder=decoder))
    dispatcher = host.open()
    samples = 12 if decoder == "numpy" else 100
    if scenario == "offline":
        host.submit(samples)
    else:
        for k in range(0, samples, 4):
            dispatcher.submit([1000 + k + j for j in range(4)], [(k + j) % 8 for j in range(4)])
    dispatcher.settle()
    assert host.each_once(samples)
    if decoder != "none":
        assert all(value == (sample_id - 1000) % 8 for sample_id, value in host.first_values.items())
        assert len(host.first_values) == samples
    records = np.concatenate([lane.records() for lane in dispatcher.lanes])
    assert sorted(records[:, 0].tolist()) == list(range(1000, 1000 + samples))
    assert all(lane.records().shape[1] == len(COLUMNS) for lane in dispatcher.lanes)
    assert (np.diff(records[:, 2:], axis=1) >= 0).all(), "every stage is a duration"
    assert host.pulse.done == samples
    dispatcher.close()
    assert not host.failures
    assert all(node.ended for node in host.nodes)


def assert_settles_after(dispatcher: ClusterDispatcher, go_on: threading.Event, open_yet: str) -> None:
    """Settling waits for what is held up until then."""
    settled = threading.Thread(target=dispatcher.settle)
    settled.start()
    settled.join(0.2)
    assert settled.is_alive(), open_yet
    go_on.set()
    settled.join(60)


def test_settle_waits_for_the_record_of_the_last_answer(hosts: list[Host]) -> None:
    hosts.append(host := Host((1,), decoder="none"))
    dispatcher = host.open()
    answering, go_on = threading.Event(), threading.Event()

    def slow(answers: Sequence[Answer], *, to_nobody: bool = False) -> None:
        answering.set()
        assert go_on.wait(60)

    dispatcher._respond = slow
    host.submit(1)
    assert answering.wait(60)
    assert_settles_after(dispatcher, go_on, "the sample is answered and not recorded")
    assert [len(lane.records()) for lane in dispatcher.lanes] == [1]
    dispatcher.close()


def test_settle_waits_for_what_is_just_told_of_a_session(hosts: list[Host]) -> None:
    hosts.append(host := Host((2, 2), goes_on=True, latency_ms=20, fault={"kind": "death", "device": 3, "at": 2}))
    dispatcher = host.open()
    telling, go_on = threading.Event(), threading.Event()

    def slow(retired: Retired) -> None:
        telling.set()
        assert go_on.wait(60)

    dispatcher._on_retired = slow
    host.submit(100)
    assert telling.wait(60)
    assert_settles_after(dispatcher, go_on, "nobody knows of the session yet")
    assert host.each_once(100)
    assert [retired.slot.name for retired in dispatcher.retired] == ["n1/simulated#3"]
    dispatcher.close()


def test_a_slow_node_gets_less_and_does_not_hold_up_the_end(hosts: list[Host]) -> None:
    fault = {"kind": "slow", "device": 1, "factor": 10}
    hosts.append(host := Host((1, 1), latency_ms=20, fault=fault, decoder="none"))
    dispatcher = host.open()
    host.submit(60)
    dispatcher.settle()
    fast, slow = (len(lane.records()) for lane in dispatcher.lanes)
    assert host.each_once(60)
    assert slow <= fast / 3
    dispatcher.close()


@pytest.mark.parametrize("scenario", ["offline", "server"])
def test_a_lost_node_ends_the_run_naming_node_and_samples(hosts: list[Host], scenario: str) -> None:
    never_done = {"kind": "hang", "at": 2}  # after the rehearsal
    hosts.append(host := Host(scenario=scenario, latency_ms=300, fault=never_done))
    host.open()
    host.submit(4)
    host.nodes[1].kill("the worker died")
    assert host.failed.wait(60)
    [failure] = host.failures
    assert isinstance(failure, RunFailed)
    assert "the node was lost: the worker died; it had " in failure.what
    assert ".jpg)" in failure.what
    assert failure.where == "node n1"
    assert host.answered == []


def test_a_node_that_does_not_answer_is_lost(hosts: list[Host]) -> None:
    hosts.append(host := Host(silent_s=0.5, latency_ms=300))
    host.open()
    host.submit(40)
    host.nodes[0].cut = True
    assert host.failed.wait(60)
    assert "error: node n0: the node was lost: no answer for 0.5 s" in f"error: {host.failures[0]}"


@pytest.mark.parametrize("scenario", ["offline", "server"])
@pytest.mark.parametrize("how", ["kill", "cut"])
def test_samples_of_a_lost_node_go_to_others_and_none_is_answered_twice(
    hosts: list[Host], scenario: str, how: str
) -> None:
    hosts.append(host := Host((2, 2, 2), scenario=scenario, goes_on=True, silent_s=1, latency_ms=20))
    dispatcher = host.open()
    host.submit(200)
    assert host.some.wait(60)
    if how == "kill":
        host.nodes[1].kill()
    else:
        host.nodes[1].cut = True
    dispatcher.settle()
    host.nodes[1].mend()
    assert host.each_once(200)
    assert [retired.slot.name for retired in host.retired] == ["n1"]
    assert "the node was lost" in host.retired[0].reason
    dispatcher.close()
    assert host.nodes[1].ended
    assert not host.failures


def test_the_last_node_is_not_given_up(hosts: list[Host]) -> None:
    hosts.append(host := Host(goes_on=True, latency_ms=100))
    host.open()
    host.submit(50)
    host.nodes[0].kill("first")
    host.nodes[1].kill("second")
    assert host.failed.wait(60)
    assert "the node was lost: second" in str(host.failures[0])


def test_a_device_that_dies_ends_the_run_naming_device_and_sample(hosts: list[Host]) -> None:
    hosts.append(host := Host((2, 2), latency_ms=20, fault={"kind": "death", "device": 3, "at": 2}))
    host.open()
    host.submit(100)
    assert host.failed.wait(60)
    failure = host.failures[0]
    assert isinstance(failure, LaneFailed)
    assert failure.slot.name == "n1/simulated#3"
    assert "device lost" in str(failure)


def test_a_node_goes_on_without_a_device_where_that_is_wanted(hosts: list[Host]) -> None:
    hosts.append(host := Host((2, 2), goes_on=True, latency_ms=20, fault={"kind": "death", "device": 3, "at": 2}))
    dispatcher = host.open()
    host.submit(100)
    dispatcher.settle()
    assert host.each_once(100)
    assert [retired.slot.name for retired in host.retired] == ["n1/simulated#3"]
    dispatcher.close()


def test_a_node_whose_last_device_dies_is_taken_out(hosts: list[Host]) -> None:
    hosts.append(host := Host((2, 1), goes_on=True, latency_ms=20, fault={"kind": "death", "device": 2, "at": 2}))
    dispatcher = host.open()
    host.submit(100)
    dispatcher.settle()
    assert host.each_once(100)
    assert [retired.slot.name for retired in host.retired] == ["n1"]
    assert "device lost" in host.retired[0].reason
    dispatcher.close()


def test_a_rehearsal_without_a_node_goes_on_with_the_others(hosts: list[Host]) -> None:
    hosts.append(host := Host((1, 2), goes_on=True))
    dispatcher = host.open()
    host.nodes[0].kill()
    assert len(dispatcher.rehearse(None, 1)) == 2
    assert [retired.slot.name for retired in host.retired] == ["n0"]


def test_what_a_node_says_of_its_sessions_is_seen(hosts: list[Host]) -> None:
    hosts.append(host := Host((1, 1), decoder="none", fault={"kind": "hang", "at": 2}))
    host.open()
    host.submit(2)
    deadline = time.monotonic() + 60
    while [state.sample is not None for state in host.pulse.slots()] != [True, True]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_node_that_cannot_open_its_sessions_is_named(hosts: list[Host]) -> None:
    hosts.append(host := Host(latency="?"))
    with pytest.raises(Exception, match="latency") as raised:
        host.open()
    assert re.match("node n[01]: ", str(raised.value))


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ({"package": "0.0.1"}, "ssd-harness is version 0.0.1 there"),
        ({"code_sha256": "0" * 64}, "the harness's code has sha256 0000000000000000 there"),
        ({"round_sha256": "1" * 64}, "the round's rules have sha256 1111111111111111 there"),
        ({"model_sha256": "2" * 64}, "the model has sha256 2222222222222222 there and nothing here"),
    ],
)
def test_a_node_that_differs_is_one_clear_error(
    hosts: list[Host], monkeypatch: pytest.MonkeyPatch, what: dict[str, str], said: str
) -> None:
    hosts.append(host := Host())
    other = host.nodes[1].node
    prove = other.prove
    monkeypatch.setattr(other, "prove", lambda setup: _with(prove(setup), what))
    with pytest.raises(DataError, match=said) as raised:
        host.open()
    assert raised.value.where == "node n1"


def _with(proof: Any, changes: dict[str, str]) -> Any:
    return replace(proof, identity=replace(proof.identity, **changes))
