"""An MLPerf round as data: ``configs/rounds/*.yaml``, validated."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from harness.errors import UsageError
from harness.scenarios import Scenario
from harness.settings import Division, Fraction, Positive, Section, configs_dir, read_yaml, validate


class Seeds(Section):
    """LoadGen's three seeds."""

    qsl: int
    sample_index: int
    schedule: int


class Result(Section):
    """Where a detail log of the round has the figure that is published.

    ``key`` is of the detail log. In nanoseconds it is a latency, and less is better; else it is a rate.
    """

    key: str
    unit: Literal["ns", "samples/s"]


class ScenarioRules(Section):
    """What a valid performance run of one scenario needs.

    ``min_queries`` counts queries, in Offline samples; ``latency_ms`` is the bound in Server.
    """

    min_duration_s: Positive
    min_queries: int
    latency_percentile: Fraction | None = None
    samples_per_query: int = 1
    latency_ms: Positive | None = None
    expected_latency_ms: Positive | None = None
    """What the round's own mlperf.conf expects of a query; a system's user.conf says better."""
    result: Result
    compared: Result | None = None
    """What compliance tests compare, where that is not the result."""
    early_stopping: bool = False
    """A log must say that its early stopping condition was met; there were none before v2.0."""
    inferred_from: dict[Scenario, Result] = Field(default_factory=dict)
    """Scenarios whose performance logs may stand for this one's, and the figure in them; see `inferred`."""

    def inferred(self, value: float, source: Result, source_samples_per_query: int) -> float:
        """This scenario's result, worked out from a figure of another one's log.

        A latency of a query of several samples is so many times that of one sample; a rate is what queries of that
        latency, one after the other, make (submission checker, ``get_inferred_result``).

        Args:
            value: of ``source.key``.
            source_samples_per_query: of the scenario that was run.

        Returns:
            In this scenario's unit: nanoseconds or samples/s.
        """
        if self.result.unit == "ns":
            return value * self.samples_per_query
        return source_samples_per_query * 1e9 / value if source.unit == "ns" else value

    def queries_to_infer_from(self, origin: Scenario) -> int | None:
        """How many queries of another scenario have the estimate that this one's result is worked out from.

        A latency is worked out from early stopping's estimate of the same percentile as this scenario's, which takes as
        many queries as this scenario's own; a rate from a mean, which any number of queries has: None.
        """
        return self.min_queries if self.result.unit == "ns" and origin in self.inferred_from else None

    def too_short_in(self, there: Container[Scenario]) -> tuple[Scenario, int] | None:
        """One of the scenarios that were run and lacks the estimate to infer this one; how many queries have it."""
        found = ((origin, self.queries_to_infer_from(origin)) for origin in self.inferred_from if origin in there)
        return next(((origin, least) for origin, least in found if least is not None), None)


class AccuracyRules(Section):
    """The accuracy that a closed submission must reach: ``target_percent · closed_fraction``."""

    metric: str
    target_percent: Positive
    closed_fraction: Fraction

    @property
    def gate_percent(self) -> float:
        """The least accuracy of a closed submission, in percent."""
        return self.target_percent * self.closed_fraction


class ShortLatency(Section):
    """Another tolerance where the reference's latency is at most so long."""

    at_most_ms: Positive
    tolerance: Fraction


class ComplianceTest(Section):
    """A performance test with other settings, and what its result is held against.

    The performance is within ``tolerance`` of that of ``compared_with``, or on the slow side as far as it likes where
    ``slower_is_fine``.
    """

    audit: dict[str, int]
    """LoadGen's audit.config: key → value, for every model and scenario."""
    seeds: Seeds | None = None
    """The test's own seeds; none: the round's."""
    scenarios: tuple[Scenario, ...] | None = None
    """The scenarios that it applies to; none: all."""
    accuracy: bool = False
    """The answers it logs must be those of the accuracy run."""
    compared_with: str | None = None
    """``performance``, the run's own performance test, or another compliance test; none: its logs are only kept."""
    slower_is_fine: bool = False
    tolerance: Fraction | None = None
    short_latencies: dict[Scenario, ShortLatency] = Field(default_factory=dict)
    verified_by: str | None = None
    """The test whose comparison is this one's verify_performance.txt; that test has none of its own."""
    expected_errors: tuple[str, ...] = ()
    """Parts of the texts of errors that LoadGen logs because of the settings, and that say nothing against the test."""
    official: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Name → a verification script of mlcommons/inference and its arguments, with the fields {reference} and {log},
    folders of performance tests, and {accuracy}, that of the accuracy run."""

    def bounds(self, scenario: Scenario, reference: float, result: Result) -> tuple[float, float]:
        """What the figure must lie between, both excluded, when that of ``compared_with`` is the reference."""
        tolerance = self.tolerance or 0.0
        short = self.short_latencies.get(scenario)
        if short is not None and result.unit == "ns" and reference <= short.at_most_ms * 1e6:
            tolerance = short.tolerance
        low, high = reference * (1 - tolerance), reference * (1 + tolerance)
        if self.slower_is_fine:
            return (low, float("inf")) if result.unit == "ns" else (0.0, high)
        return low, high


ScenariosOf = dict[Division, dict[str, tuple[Scenario, ...]]]
"""Division → system type → scenarios."""


class BenchmarkRules(Section):
    """One benchmark of the round."""

    dataset_images: int
    dataset_licences: tuple[int, ...] = ()
    """The dataset is the images of the annotations with one of these licences; none: all of its images."""
    loadgen_model: str | None = None
    """LoadGen's name of the benchmark in mlperf.conf and user.conf, where that is not the benchmark's own."""
    labels: Literal["contiguous", "coco"] = "contiguous"
    """What an accuracy log writes for a class: 1..80 in the annotations' order, or COCO's category id."""
    divisions: tuple[Division, ...] = ()
    """The divisions that have it; none: all of the round's."""
    maps_to: str | None = None
    """A model of one's own in the open division: the benchmark whose rules the official checker takes for its folder,
    which the submission's model_mapping.json says."""
    performance_sample_count: int
    accuracy: AccuracyRules
    required: ScenariosOf
    optional: ScenariosOf = Field(default_factory=dict)
    scenarios: dict[Scenario, ScenarioRules]
    compliance: dict[str, ComplianceTest]

    def scenario(self, scenario: Scenario) -> ScenarioRules:
        """The scenario's rules.

        Raises:
            UsageError: the round does not have it for this benchmark.
        """
        if scenario not in self.scenarios:
            raise UsageError(f"the round has no {scenario} for this benchmark", where="scenarios")
        return self.scenarios[scenario]

    def required_of(self, division: Division, system_type: str) -> tuple[Scenario, ...]:
        """The scenarios that a submission of such a system must have; none in a division without requirements."""
        return self.required.get(division, {}).get(system_type, ())

    def optional_of(self, division: Division, system_type: str) -> tuple[Scenario, ...]:
        """Those that it may have besides; all of the round in a division without requirements."""
        if division not in self.required:
            return tuple(self.scenarios)
        return self.optional.get(division, {}).get(system_type, ())

    def compliance_of(self, scenario: Scenario) -> dict[str, ComplianceTest]:
        """The compliance tests of a scenario, in the order in which they can be verified."""
        return {
            name: test for name, test in self.compliance.items() if test.scenarios is None or scenario in test.scenarios
        }


class TreeFolder(Section):
    """A kind of folder of the submission tree, below ``DIVISION/SUBMITTER/``.

    ``path`` and ``files`` have the fields {system}, {benchmark}, {scenario} (LoadGen's name), {implementation}, {test}.
    """

    path: str
    files: tuple[str, ...] | None
    """All that must be there; none: anything, but something."""
    described: str | None = None
    """The measurements' JSON file as `submission build` calls it; a tree's may be any that ``files`` takes."""
    optional: tuple[str, ...] = ()
    """Files that may be there besides."""
    files_when_accuracy_differs: tuple[str, ...] = ()
    """Besides, when the answers of a compliance test were not those of the accuracy run."""


class Tree(Section):
    """The folders of a submission."""

    scenario_case: Literal["exact", "any"] = "exact"
    """Whether the rules spell the scenarios' folders as LoadGen does. The official checkers take any case."""
    model_mapping: str | None = None
    """The file in the submitter's folder that says which benchmark a model's folder of the open division is."""
    systems: TreeFolder
    measurements: TreeFolder
    code: TreeFolder
    accuracy: TreeFolder
    performance: TreeFolder
    compliance: TreeFolder
    compliance_performance: TreeFolder
    compliance_accuracy: TreeFolder
    power: tuple[str, ...] = ()
    """Files of a system whose power was measured, from the tree's top; they are not looked at."""
    other: tuple[str, ...] = ()
    """What may lie elsewhere in the tree: paths from its top; ``*`` is within a name, ``**`` is any number of names."""


class AccuracyLogRules(Section):
    """How large an accuracy log may be, and how much of its beginning and of its end a cut one keeps."""

    most_bytes: int
    kept_bytes: int


class SubmissionRules(Section):
    """What a submission is made of."""

    divisions: tuple[Division, ...]
    system_types: tuple[str, ...]
    statuses: tuple[str, ...]
    accuracy_log: AccuracyLogRules
    tree: Tree
    system_fields: tuple[str, ...]
    system_fields_not_empty: tuple[str, ...] = ()
    """Fields that must not be empty."""
    system_fields_of_power: tuple[str, ...] = ()
    """Those of a system whose power was measured; any other system may have them too."""
    implementation_fields: tuple[str, ...]


class Round(Section):
    """One MLPerf Inference round."""

    round: str
    sources: dict[str, str]
    seeds: Seeds
    benchmarks: dict[str, BenchmarkRules] = Field(min_length=1)
    other_benchmarks: tuple[str, ...] = ()
    """Names that a tree may have besides, whose rules are not here."""
    submission: SubmissionRules

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

    def benchmark_of(self, names: Sequence[str], division: Division | None = None) -> str:
        """The first of the benchmarks that a model can serve and that the round, or one division of it, has.

        Raises:
            UsageError: it has none of them.
        """
        for name in names:
            if name in self.benchmarks:
                divisions = self.benchmarks[name].divisions
                if division is None or not divisions or division in divisions:
                    return name
        of_division = "" if division is None else f" in the {division} division"
        what = f"round {self.round} has no {' or '.join(names)}{of_division}"
        raise UsageError(what, where="round", hint=f"it has: {', '.join(self.benchmarks)}")


def round_names() -> list[str]:
    """The names of all rounds that there are."""
    return sorted(path.stem for path in (configs_dir() / "rounds").glob("*.yaml"))


def load_round(name: str) -> Round:
    """Reads ``configs/rounds/<name>.yaml``, or the file itself where the name is that of a YAML file.

    Raises:
        UsageError: there is no such round, or its file is not right.
    """
    path = Path(name)
    if path.suffix != ".yaml":
        if name not in round_names():
            hint = f"one of: {', '.join(round_names())}, or a YAML file"
            raise UsageError(f"no such round: {name}", where="round", hint=hint)
        path = configs_dir() / "rounds" / f"{name}.yaml"
    return validate(Round, read_yaml(path), str(path))


def round_sha256(name: str) -> str | None:
    """The sha256 of a shipped round's rules as they are here; None for a YAML file of somebody's own.

    Raises:
        UsageError: there is no such round here.
    """
    if Path(name).suffix == ".yaml":
        return None
    return hashlib.sha256(load_round(name).model_dump_json().encode()).hexdigest()
