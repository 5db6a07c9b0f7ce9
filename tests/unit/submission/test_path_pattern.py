"""Paths of a tree as a round's data write them."""

from __future__ import annotations

import pytest

from harness.submission.path_pattern import fill, fits, match_path


def test_a_field_is_one_name_and_the_same_wherever_it_comes_again() -> None:
    pattern = "measurements/{system}/{benchmark}/{system}_{implementation}.json"
    assert match_path(pattern, "measurements/npu_x/ssd/npu_x_ort.json") == {
        "system": "npu_x",
        "benchmark": "ssd",
        "implementation": "ort",
    }
    assert not fits(pattern, "measurements/npu_x/ssd/npu_y_ort.json")
    assert not fits(pattern, "measurements/npu_x/deeper/ssd/npu_x_ort.json")


@pytest.mark.parametrize(
    ("pattern", "path", "fit"),
    [
        ("code/**", "code/a/b.py", True),
        ("code/**", "code", False),
        ("*.md", "README.md", True),
        ("*.md", "docs/README.md", False),
        ("{README,LICENSE}*", "LICENSE.txt", True),
        ("{README,LICENSE}*", "NOTICE", False),
        ("a.b", "axb", False),  # a dot is a dot
    ],
)
def test_words_and_stars(pattern: str, path: str, fit: bool) -> None:
    assert fits(pattern, path) is fit


def test_fields_that_are_not_given_stay() -> None:
    assert fill("code/{benchmark}/{implementation}", benchmark="ssd") == "code/ssd/{implementation}"
