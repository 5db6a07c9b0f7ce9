"""``--devices`` of a cluster → which node has which sessions."""

from __future__ import annotations

import pytest

from harness.cluster.places import FoundNode, place_sessions
from harness.errors import UsageError

NODES = [
    FoundNode("a", "1", {"CPU": 8.0}, {}),
    FoundNode("b", "2", {"CPU": 8.0, "npu": 1.0}, {"zone": "x"}),
    FoundNode("c", "3", {"CPU": 8.0, "npu": 1.0}, {"zone": "y"}),
]


@pytest.mark.parametrize(
    ("spec", "devices"),
    [
        ("cpu*2", {"a": ["cpu"] * 2, "b": ["cpu"] * 2, "c": ["cpu"] * 2}),
        ("warboy(2)*2", {name: ["warboy(2)"] * 2 for name in "abc"}),
        ("2*(npu:0*2)", {"a": ["npu:0"] * 2, "b": ["npu:0"] * 2}),
        ("{npu}(npu:0,npu:1)", {"b": ["npu:0", "npu:1"], "c": ["npu:0", "npu:1"]}),
        ("1*{npu}(npu:0*2), (cpu)", {"a": ["cpu"], "b": ["npu:0"] * 2, "c": ["cpu"]}),
        ("{zone=y}(warboy(2)*2)", {"c": ["warboy(2)"] * 2}),
    ],
)
def test_sessions_by_node(spec: str, devices: dict[str, list[str]]) -> None:
    places = place_sessions(spec, NODES)
    assert {place.name: [slot.device for slot in place.slots] for place in places} == devices
    slots = [slot for place in places for slot in place.slots]
    assert [slot.index for slot in slots] == list(range(len(slots)))
    assert all(slot.node == place.name for place in places for slot in place.slots)
    assert not any(slot.cores for slot in slots)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("4*(cpu)", "4 nodes are asked for, free are: a, b, c"),
        ("{gpu}(cpu)", "1 nodes with gpu are asked for, free are: none"),
        ("3*{npu}(cpu)", "3 nodes with npu are asked for, free are: b, c"),
        ("2*(cpu)),", "cannot read"),
        ("0*(cpu)", "cannot read"),
        ("2*(cpu*0)", "cannot read"),
    ],
)
def test_what_cannot_be_placed_is_told(spec: str, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        place_sessions(spec, NODES)
    assert said in raised.value.what


def test_nodes_of_one_machine_share_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.pipeline.devices.core_order", lambda: [0, 1, 2, 3])
    places = place_sessions("cpu*2", [FoundNode("node-1", "", {}, {}), FoundNode("node-2", "", {}, {})])
    assert [slot.cores for place in places for slot in place.slots] == [(0,), (1,), (2,), (3,)]
    assert all(place.own_cores for place in places)
    assert places[1].slots[1].name == "node-2/cpu#3"
