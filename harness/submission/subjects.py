"""What the rules look at: one LoadGen test of a tree with its logs, and what the round asks of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from harness.errors import LogError
from harness.loadgen.log import DetailLog, read_detail
from harness.loadgen.plan import LOADGEN_SCENARIOS
from harness.loadgen.summary_log import SummaryLog, read_summary
from harness.rounds import BenchmarkRules, Round, ScenarioRules, Seeds
from harness.settings import Scenario
from harness.submission.findings import Finding
from harness.submission.tree import SCENARIO_FOLDERS, Place, SubmissionTree

DETAIL = "mlperf_log_detail.txt"
SUMMARY = "mlperf_log_summary.txt"
ACCURACY = "mlperf_log_accuracy.json"


@dataclass(frozen=True)
class LoadGenTest:
    """One test as it was run and as it should have been.

    Attributes:
        folder: path of its logs from the tree's root.
        scenario: that was run; not the place's where the round lets one be inferred from another.
        mode: LoadGen's name of it.
        seeds: that it must have.
        audit: LoadGen's settings of a compliance test; empty for others.
    """

    tree: SubmissionTree
    place: Place
    folder: str
    detail: DetailLog
    summary: SummaryLog
    scenario: Scenario
    mode: Literal["PerformanceOnly", "AccuracyOnly"]
    seeds: Seeds
    audit: Mapping[str, int]

    @property
    def round(self) -> Round:
        """Its rules."""
        return self.tree.round

    @property
    def benchmark(self) -> BenchmarkRules:
        """Of the round."""
        return self.tree.rules(self.place)

    @property
    def rules(self) -> ScenarioRules:
        """Of the scenario that was run."""
        return self.benchmark.scenario(self.scenario)

    @property
    def inferred(self) -> bool:
        """The place's result is worked out from another scenario's logs."""
        return LOADGEN_SCENARIOS[self.scenario] != self.place.scenario

    @property
    def of_memory_only(self) -> bool:
        """A compliance test that sends the samples in memory once, or one of them: short, and INVALID by nature."""
        return any(self.audit.get(f"performance_issue_{which}") for which in ("unique", "same"))

    @property
    def detail_path(self) -> str:
        """From the tree's root."""
        return f"{self.folder}/{DETAIL}"

    @property
    def summary_path(self) -> str:
        """From the tree's root."""
        return f"{self.folder}/{SUMMARY}"


def read_test(
    tree: SubmissionTree,
    place: Place,
    folder: str,
    mode: Literal["PerformanceOnly", "AccuracyOnly"],
    *,
    seeds: Seeds | None = None,
    audit: Mapping[str, int] | None = None,
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
    own = SCENARIO_FOLDERS[place.scenario]
    said = SCENARIO_FOLDERS.get(str(detail.values.get("effective_scenario")), own)
    scenario = said if said in tree.rules(place).scenario(own).inferred_from else own
    return LoadGenTest(tree, place, folder, detail, summary, scenario, mode, seeds or tree.round.seeds, audit or {})


def shown(value: object) -> str:
    """A value of a log as people write it."""
    return "nothing" if value is None else str(value)
