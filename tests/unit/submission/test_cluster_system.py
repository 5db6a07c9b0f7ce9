"""The system description of a run on several nodes."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import UsageError
from harness.runs.records import NodeRecord
from harness.submission.cluster_system import with_nodes


def node(name: str, **system: Any) -> NodeRecord:
    about: dict[str, Any] = {"host": name, "processor": "P", "cpus": 8, "memory_bytes": 64 << 30}
    about |= {"operating_system": "L"} | system
    return NodeRecord(name=name, samples=1, system=about)


def test_nodes_that_are_alike_are_counted() -> None:
    nodes = [node("a"), node("b", memory_bytes=(64 << 30) - 1_000_000), node("c")]
    assert with_nodes({"number_of_nodes": 1, "status": "x"}, nodes) == {"number_of_nodes": 3, "status": "x"}


def test_processes_of_one_machine_are_one_node() -> None:
    assert with_nodes({}, [node("node-1", host="m"), node("node-2", host="m")]) == {"number_of_nodes": 1}


def test_a_run_on_one_machine_says_what_its_description_says() -> None:
    assert with_nodes({"number_of_nodes": 4}, []) == {"number_of_nodes": 4}


@pytest.mark.parametrize(
    "difference", [{"processor": "Q"}, {"cpus": 16}, {"memory_bytes": 32 << 30}, {"operating_system": "M"}]
)
def test_a_mixture_is_refused_with_the_node(difference: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"of node b is .*, of node a") as raised:
        with_nodes({}, [node("a"), node("b", **difference)])
    assert next(iter(difference)) in raised.value.what
