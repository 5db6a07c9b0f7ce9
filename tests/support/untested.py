"""What a run of the tests left out, by reason: pytest names each skipped test, this says what nobody looked at."""

from __future__ import annotations

from collections.abc import Iterable


def untested(skips: Iterable[tuple[str, str]]) -> list[str]:
    """A line for each reason: how many tests, in which files.

    Args:
        skips: (test id, reason) of each skipped test; of a whole skipped file its path.
    """
    reasons: dict[str, list[str]] = {}
    for test, reason in skips:
        reasons.setdefault(reason.removeprefix("Skipped: "), []).append(test.partition("::")[0])
    return [
        f"{len(tests)} of {', '.join(sorted({test.removeprefix('tests/') for test in tests}))}: {reason}"
        for reason, tests in sorted(reasons.items(), key=lambda group: -len(group[1]))
    ]
