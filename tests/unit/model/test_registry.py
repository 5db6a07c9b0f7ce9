"""Models are found by name, or by where they are."""

from __future__ import annotations

import pytest

from harness.errors import UsageError
from harness.model.registry import load_model
from tests.support.tiny_model import MODEL


def test_a_model_has_a_name_or_a_place() -> None:
    assert load_model("ssd_resnet34").benchmarks[0] == "ssd-resnet34"
    assert load_model("tests.support.tiny_model:MODEL") is MODEL


@pytest.mark.parametrize("name", ["yolov3", "nowhere.at_all:MODEL", "tests.support.tiny_model:NOTHING"])
def test_a_model_that_is_not_there_is_wrong_usage(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_model(name)
    assert ("PYTHONPATH" in str(caught.value.hint)) == (name == "nowhere.at_all:MODEL")
