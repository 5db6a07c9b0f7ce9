"""What the rules look at: one LoadGen test of a tree with its logs, and what the round asks of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from harness.errors import LogError
from harness.loadgen.log import ACCURACY_LOG, DETAIL_LOG, SUMMARY_LOG, DetailLog, read_detail
from harness.loadgen.summary_log import SummaryLog, read_summary
from harness.rounds import BenchmarkRules, ComplianceTest, Round, ScenarioRules, Seeds
from harness.scenarios import Scenario
from harness.submission.rules.finding import Finding
from harness.submission.tree import SCENARIO_FOLDERS, Place, SubmissionTree

DETAIL, SUMMARY, ACCURACY = DETAIL_LOG, SUMMARY_LOG, ACCURACY_LOG


@dataclass(frozen=True)
class LoadGenTest:
    """One test as it was run and as it should have been.

    Attributes:
        folder: path of its logs from the tree's root.
        scenario: that was run; not the place's where the round lets one be inferred from another.
        mode: LoadGen's name of it.
        compliance: the rules of the compliance test that it is; None for the others.
    """

    tree: SubmissionTree
    place: Place
    folder: str
    detail: DetailLog
    summary: SummaryLog
    scenario: Scenario
    mode: Literal["PerformanceOnly", "AccuracyOnly"]
    compliance: ComplianceTest | None = None

    @property
    def seeds(self) -> Seeds:
        """The seeds that the test must have: its compliance test's own, or the round's."""
        own = None if self.compliance is None else self.compliance.seeds
        return own or self.round.seeds

    @property
    def audit(self) -> Mapping[str, int]:
        """LoadGen's settings of a compliance test; empty for others."""
        return {} if self.compliance is None else self.compliance.audit

    @property
    def round(self) -> Round:
        """The round whose rules the test is held to."""
        return self.tree.round

    @property
    def benchmark(self) -> BenchmarkRules:
        """The round's rules for the benchmark that was run."""
        return self.tree.rules(self.place)

    @property
    def rules(self) -> ScenarioRules:
        """The round's rules for the scenario that was run."""
        return self.benchmark.scenario(self.scenario)

    @property
    def inferred(self) -> bool:
        """The place's result is worked out from another scenario's logs."""
        return self.scenario != self.place.scenario

    @property
    def of_memory_only(self) -> bool:
        """A compliance test that sent each sample in memory once, or one of them as often: short, INVALID by nature.

        LoadGen did so with both settings in the rounds' days; today's has a test of the same sample go on.
        """
        if not any(self.audit.get(f"performance_issue_{which}") for which in ("unique", "same")):
            return False
        queries, size = (self.detail.values.get(f"generated_{what}") for what in ("query_count", "samples_per_query"))
        in_memory = self.detail.values.get("effective_performance_sample_count")
        numbers = all(isinstance(number, int) for number in (queries, size, in_memory))
        # MultiStream fills its last query up
        return numbers and queries * size < in_memory + size  # type: ignore[operator]

    @property
    def detail_path(self) -> str:
        """The detail log's path from the tree's root."""
        return f"{self.folder}/{DETAIL}"

    @property
    def summary_path(self) -> str:
        """The summary's path from the tree's root."""
        return f"{self.folder}/{SUMMARY}"


def read_test(
    tree: SubmissionTree,
    place: Place,
    folder: str,
    mode: Literal["PerformanceOnly", "AccuracyOnly"],
    compliance: ComplianceTest | None = None,
) -> LoadGenTest | Finding:
    """A test's logs, or the finding that they cannot be read."""
    path = DETAIL
    try:
        detail = read_detail(tree.root / folder / DETAIL)
        path = SUMMARY
        summary = read_summary(tree.root / folder / SUMMARY)
    except LogError as error:
        remedy = "put LoadGen's own file there, as it wrote it"
        return Finding("FAIL", "logs can be read", f"{folder}/{path}", error.what, "a log of LoadGen", remedy)
    own = place.scenario
    said = SCENARIO_FOLDERS.get(str(detail.values.get("effective_scenario")), own)
    scenario = said if said in tree.rules(place).scenario(own).inferred_from else own
    return LoadGenTest(tree, place, folder, detail, summary, scenario, mode, compliance)


def shown(value: object) -> str:
    """A value of a log as people write it."""
    return "nothing" if value is None else str(value)
