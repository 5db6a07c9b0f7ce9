"""Made-up raw outputs."""

from __future__ import annotations

import numpy as np
import pytest

from harness.model import NumpyDecoder
from harness.model.ssd_resnet34.example_outputs import (
    CANDIDATES,
    NPU_LAYOUTS,
    Scene,
    example_outputs,
    quantize,
    tile_like_an_npu,
)
from harness.model.ssd_resnet34.heads import OUTPUTS
from harness.model.ssd_resnet34.raw_outputs import as_float32


def test_the_same_seed_gives_the_same_outputs_and_another_seed_others() -> None:
    first, again, other = (example_outputs(seed, quantized=False) for seed in (4, 4, 5))
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert (a != c).any()


@pytest.mark.parametrize("scene", CANDIDATES)
def test_scenes_hold_about_the_candidates_they_say(scene: Scene) -> None:
    outputs = example_outputs(1, quantized=False, scene=scene)
    logits = np.concatenate([output.reshape(81, -1) for output in outputs[:6]], axis=1).astype(np.float64)
    terms = np.exp(logits - logits.max(axis=0))
    candidates = (terms[1:] / terms.sum(axis=0) > 0.05).sum()
    assert abs(candidates - CANDIDATES[scene]) <= 0.1 * CANDIDATES[scene]


def test_quantizing_costs_at_most_half_a_step_where_nothing_saturates() -> None:
    outputs = example_outputs(1, quantized=False)
    for x, q, spec in zip(outputs, quantize(outputs), OUTPUTS, strict=True):
        inside = (q.data > -128) & (q.data < 127)
        assert abs(as_float32(q, spec) - x)[inside].max() <= q.scale * 0.5001
        assert inside.mean() > 0.99


def test_a_typical_quantized_image_gives_nearly_the_float_detections() -> None:
    outputs = example_outputs(1, quantized=False)
    a, b = NumpyDecoder().decode(outputs), NumpyDecoder().decode(quantize(outputs))
    assert set(a.labels[a.scores > 0.3]) == set(b.labels[b.scores > 0.3])


def test_npu_layouts_hold_the_outputs_at_the_places_of_their_formulas() -> None:
    plain = quantize(example_outputs(1, quantized=False))
    tiled = tile_like_an_npu(plain)
    # class 0: c = 143 is co 6, ci 17 of 21; h = 45 is ho 6, hi 3 of 7
    assert NPU_LAYOUTS[0].order == "HCHCW"
    assert tiled[0].data[(((6 * 16 + 6) * 7 + 3) * 21 + 17) * 64 + 11] == plain[0].data[0, 143, 45, 11]
    # class 2: blocks of ceil(486 / 16) = 31 channels: c = 143 is co 4, ci 19; h = 9 is ho 4, hi 1 of 2
    assert NPU_LAYOUTS[2].order == "HCHWC"
    assert tiled[2].data[(((4 * 16 + 4) * 2 + 1) * 13 + 11) * 32 + 19] == plain[2].data[0, 143, 9, 11]
    assert tiled[0].data.size == 8 * 16 * 7 * 21 * 64
