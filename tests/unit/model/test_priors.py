"""Prior boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from harness.model.ssd_resnet34.priors import prior_boxes


def test_prior_boxes_are_bit_for_bit_those_published_by_furiosa(data: Path) -> None:
    published = np.fromfile(data / "oracles" / "ssd_large_precomputed_priors", "<f4").reshape(15130, 4)
    np.testing.assert_array_equal(prior_boxes(), published)


def test_the_first_prior_box_is_the_84_px_square_of_the_first_cell() -> None:
    np.testing.assert_allclose(prior_boxes()[0], [0.01, 0.01, 0.07, 0.07], rtol=1e-6)
