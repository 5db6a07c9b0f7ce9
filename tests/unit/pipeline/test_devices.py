"""``--devices`` becomes sessions, and sessions get cores."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.pipeline import devices
from harness.pipeline.devices import core_order, parse_devices, pin, place


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("cpu", ["cpu"]),
        ("cpu*2, npu:0:0-1", ["cpu", "cpu", "npu:0:0-1"]),
        ("warboy(2)*3", ["warboy(2)"] * 3),
    ],
)
def test_a_specification_names_one_device_a_session(spec: str, expected: list[str]) -> None:
    assert parse_devices(spec) == expected


@pytest.mark.parametrize("spec", ["", "cpu*0", "cpu*", "cpu,,npu", "*2", "cpu*two", "a b"])
def test_what_cannot_be_read_is_refused(spec: str) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        parse_devices(spec)


def cpu(folder: Path, number: int, node: int, siblings: str) -> None:
    (folder / f"cpu{number}" / "topology").mkdir(parents=True)
    (folder / f"cpu{number}" / f"node{node}").mkdir()
    (folder / f"cpu{number}" / "topology" / "thread_siblings_list").write_text(siblings + "\n")


def test_physical_cores_come_first_and_nodes_stay_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    for number in range(8):
        first = number % 4
        cpu(tmp_path, number, node=first // 2, siblings=f"{first},{first + 4}")
    assert core_order(tmp_path) == [0, 1, 4, 5, 2, 3, 6, 7]


def test_an_unknown_topology_is_in_order_of_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 1})
    assert core_order(tmp_path) == [1, 3]


def test_cores_are_shared_and_none_is_given_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "core_order", lambda: [0, 1, 2, 3, 4])
    assert [slot.cores for slot in place(["cpu", "cpu"])] == [(0, 1), (2, 3)]
    assert [slot.cores for slot in place(["cpu"] * 6)] == [()] * 6
    assert [slot.name for slot in place(["npu:0", "npu:1"])] == ["npu:0#0", "npu:1#1"]


def test_pinning_moves_the_calling_thread() -> None:
    before = os.sched_getaffinity(0)
    try:
        pin([min(before)])
        assert os.sched_getaffinity(0) == {min(before)}
        pin([])
        assert os.sched_getaffinity(0) == {min(before)}
    finally:
        os.sched_setaffinity(0, before)
