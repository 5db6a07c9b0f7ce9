"""The grid of a sweep: what is read of it, and the combinations it makes."""

from __future__ import annotations

import pytest

from harness.benchmark.sweep import combinations, described, parse_axis
from harness.errors import UsageError


def test_values_of_an_axis_are_those_of_a_yaml_list() -> None:
    assert parse_axis("threads=1,2") == ("backend.threads", [1, 2])
    assert parse_axis("devices=cpu,cpu*2") == ("backend.devices", ["cpu", "cpu*2"])
    assert parse_axis("options={streams: 1},{streams: 2}") == ("backend.options", [{"streams": 1}, {"streams": 2}])
    assert parse_axis("model.nms=corrected,reference") == ("model.nms", ["corrected", "reference"])


@pytest.mark.parametrize("text", ["threads", "threads=", "=1,2", "threads=[1,2", ""])
def test_an_axis_without_key_or_values_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected KEY=VALUE,VALUE"):
        parse_axis(text)


def test_a_grid_gives_every_combination_once_the_last_key_changing_fastest() -> None:
    made = combinations({"a": [1, 2], "b": ["x", "y", "z"]})

    assert [(values["a"], values["b"]) for values in made] == [
        (1, "x"), (1, "y"), (1, "z"), (2, "x"), (2, "y"), (2, "z"),
    ]  # fmt: skip


def test_combinations_are_described_by_the_short_names_of_their_keys() -> None:
    assert described({"backend.threads": 2, "model.nms": "corrected", "backend.devices": None}) == {
        "threads": "2",
        "model.nms": "corrected",
        "devices": "default",
    }
