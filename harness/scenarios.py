"""LoadGen's scenarios: one table of their names."""

from __future__ import annotations

from typing import Literal

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
