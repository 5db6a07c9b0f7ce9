"""What a summary log prints is what the detail log holds."""

from __future__ import annotations

import pytest

from harness.submission.rules.figures import _says


@pytest.mark.parametrize(
    ("text", "value"), [("247.00", 247), ("247", 247), ("246.95", 246.9514), ("Yes", True), ("VALID", "VALID")]
)
def test_a_value_as_loadgen_prints_it(text: str, value: object) -> None:
    assert _says(text, value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("247.01", 247),
        ("5051200.00", 5051234),
        ("9007199254740993.0", 9007199254740992),
        ("248", 247),
        ("247.0.0", 247),
        ("246.99", 246.9514),
        ("No", True),
        ("1", None),
    ],
)
def test_another_value(text: str, value: object) -> None:
    assert not _says(text, value)
