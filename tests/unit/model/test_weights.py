from __future__ import annotations

import numpy as np
import pytest

from harness.model.ssd_resnet34 import weights
from harness.model.ssd_resnet34.network import convolutions


@pytest.fixture(scope="module")
def trained() -> dict[str, np.ndarray]:
    return weights.trained_weights()


def test_the_shipped_weights_are_small_and_whole() -> None:
    # the repository's bound
    assert weights.WEIGHTS.stat().st_size + weights.RANGES.stat().st_size < 25e6
    assert {f"{c.name}.{kind}" for c in convolutions() for kind in ("weight", "scale", "bias")} == set(
        np.load(weights.WEIGHTS).files
    )
    assert all(low < high for low, high in weights.trained_ranges().values())


def test_packing_what_was_unpacked_changes_nothing(trained: dict[str, np.ndarray]) -> None:
    packed = weights.pack(trained)
    with np.load(weights.WEIGHTS) as shipped:
        for name, array in packed.items():
            np.testing.assert_array_equal(array, shipped[name], err_msg=name)
            assert array.dtype == shipped[name].dtype


def test_packing_rounds_to_half_a_step_of_each_channel(trained: dict[str, np.ndarray]) -> None:
    rng = np.random.default_rng(1)
    exact = {name: rng.normal(0, 1, array.shape).astype(np.float32) for name, array in trained.items()}
    exact["stem.weight"][3] = 0  # a channel of zeros has no scale of its own
    back = weights.unpack(weights.pack(exact))
    for conv in convolutions():
        weight = exact[f"{conv.name}.weight"]
        step = np.abs(weight).max((1, 2, 3), keepdims=True) / 127
        assert (np.abs(back[f"{conv.name}.weight"] - weight) <= step * 0.5001).all()
        np.testing.assert_array_equal(back[f"{conv.name}.bias"], exact[f"{conv.name}.bias"])
