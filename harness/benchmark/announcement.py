"""What a run is going to do, said before it begins: its tests, how long each lasts, and where the files go."""

from __future__ import annotations

from pathlib import Path

from harness.benchmark.benchmark import tests_of
from harness.model.registry import load_model
from harness.rounds import ScenarioRules, load_round
from harness.scenarios import TITLES, Scenario
from harness.settings import RunSettings
from harness.terminal import duration_text


def announcement(settings: RunSettings, folder: Path) -> list[str]:
    """A line for each test, and one for the folder.

    Raises:
        UsageError: the round does not have the model's benchmark, or a scenario.
    """
    round_ = load_round(settings.round)
    division = None if settings.submission is None else settings.submission.division
    rules = round_.benchmark(round_.benchmark_of(load_model(settings.model.name).benchmarks, division))
    lines = []
    for scenario, mode, number in tests_of(settings):
        again = f" {number} of {settings.repeat}" if settings.repeat > 1 and mode == "performance" else ""
        if mode == "accuracy":
            lines.append(f"{TITLES[scenario]} accuracy: every image once")
        else:
            scenario_rules = rules.scenario(scenario).model_copy(update=settings.test(scenario).rules)
            lines.append(f"{TITLES[scenario]} performance{again}: {_length(settings, scenario, scenario_rules)}")
    if settings.mode == "find-peak":
        lines.append("a search for the highest rate: some tests of each scenario")
    return [f"Plan: {lines[0]}", *(f"      {line}" for line in lines[1:]), f"Files go to {folder}"] if lines else []


def _length(settings: RunSettings, scenario: Scenario, rules: ScenarioRules) -> str:
    """How long a test lasts at least, and how long it is expected to last where that is known."""
    unit = "samples" if scenario == "offline" else "queries"
    text = f"at least {duration_text(rules.min_duration_s)} and {rules.min_queries} {unit}"
    test = settings.test(scenario)
    seconds = None
    if scenario == "offline" and test.expected_qps is not None:
        seconds = max(rules.min_duration_s, rules.min_queries / test.expected_qps)
    elif scenario == "server" and test.target_qps is not None:
        seconds = max(rules.min_duration_s, rules.min_queries / test.target_qps)
    elif scenario in ("single_stream", "multi_stream") and test.expected_latency_ms is not None:
        seconds = max(rules.min_duration_s, rules.min_queries * test.expected_latency_ms / 1000)
    if seconds is None:
        return f"{text}; how long that takes, its calibration says"
    return f"{text}; about {duration_text(seconds)} expected"
