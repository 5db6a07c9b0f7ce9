"""LoadGen's scenarios: one table of their names."""

from __future__ import annotations

from typing import Literal

from harness.errors import UsageError
from harness.suggestions import did_you_mean

Scenario = Literal["single_stream", "multi_stream", "server", "offline"]

TITLES: dict[Scenario, str] = {
    "single_stream": "SingleStream",
    "multi_stream": "MultiStream",
    "server": "Server",
    "offline": "Offline",
}
"""Our names → LoadGen's, which are those of a submission's folders and the titles that people read, too."""

SCENARIOS: tuple[Scenario, ...] = tuple(TITLES)


def title_of(name: str) -> str:
    """The title of a scenario; any other name, such as "accuracy", is its own title."""
    return {str(scenario): title for scenario, title in TITLES.items()}.get(name, name)


def scenario_named(text: str) -> Scenario:
    """The scenario that a person means: ``SingleStream``, ``single-stream``, ``single stream`` and ``single_stream``.

    Raises:
        UsageError: there is none of that name; names the nearest.
    """
    plain = {_plain(scenario): scenario for scenario in SCENARIOS}
    scenario = plain.get(_plain(text))
    if scenario is None:
        raise UsageError(f"no such scenario: {text.strip()!r}", hint=did_you_mean(text, SCENARIOS))
    return scenario


def _plain(text: str) -> str:
    return "".join(char for char in text.lower() if char.isalnum())
