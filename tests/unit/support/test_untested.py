"""What was skipped is said once for each reason."""

from __future__ import annotations

from tests.support.untested import untested


def test_skips_are_grouped_by_reason_the_most_frequent_first() -> None:
    skips = [
        ("tests/unit/a.py::test_x", "Skipped: no NPU"),
        ("tests/unit/b.py::test_y[1]", "Skipped: no data"),
        ("tests/unit/a.py::test_z", "Skipped: no data"),
    ]
    assert untested(skips) == ["2 of unit/a.py, unit/b.py: no data", "1 of unit/a.py: no NPU"]
    assert untested([]) == []
