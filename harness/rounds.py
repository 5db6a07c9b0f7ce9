"""An MLPerf round as data: ``configs/rounds/*.yaml``, validated."""

from __future__ import annotations

from harness.errors import UsageError
from harness.settings import Fraction, Positive, Scenario, Section, configs_dir, read_yaml, validate


class Seeds(Section):
    """LoadGen's three seeds."""

    qsl: int
    sample_index: int
    schedule: int


class ScenarioRules(Section):
    """What a valid performance run of one scenario needs.

    ``min_queries`` counts queries, in Offline samples; ``latency_ms`` is the bound in Server.
    """

    min_duration_s: Positive
    min_queries: int
    latency_percentile: Fraction | None = None
    samples_per_query: int = 1
    latency_ms: Positive | None = None


class AccuracyRules(Section):
    """The accuracy that a closed submission must reach: ``target_percent · closed_fraction``."""

    metric: str
    target_percent: Positive
    closed_fraction: Fraction

    @property
    def gate_percent(self) -> float:
        """The least accuracy of a closed submission, in percent."""
        return self.target_percent * self.closed_fraction


class BenchmarkRules(Section):
    """One benchmark of the round."""

    dataset_images: int
    performance_sample_count: int
    accuracy: AccuracyRules
    scenarios: dict[Scenario, ScenarioRules]

    def scenario(self, scenario: Scenario) -> ScenarioRules:
        """The scenario's rules.

        Raises:
            UsageError: the round does not have it for this benchmark.
        """
        if scenario not in self.scenarios:
            raise UsageError(f"the round has no {scenario} for this benchmark", where="scenarios")
        return self.scenarios[scenario]


class Round(Section):
    """One MLPerf Inference round."""

    round: str
    sources: dict[str, str]
    seeds: Seeds
    benchmarks: dict[str, BenchmarkRules]

    def benchmark(self, name: str) -> BenchmarkRules:
        """The rules for a benchmark, by MLPerf's name for it.

        Raises:
            UsageError: the round does not have it.
        """
        if name not in self.benchmarks:
            raise UsageError(
                f"round {self.round} has no benchmark {name}", hint=f"it has: {', '.join(self.benchmarks)}"
            )
        return self.benchmarks[name]


def load_round(name: str) -> Round:
    """Reads ``configs/rounds/<name>.yaml``.

    Raises:
        UsageError: there is no such round, or its file is not right.
    """
    folder = configs_dir() / "rounds"
    path = folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.yaml")))
        raise UsageError(f"no such round: {name}", where="round", hint=f"one of: {known}")
    return validate(Round, read_yaml(path), str(path))
