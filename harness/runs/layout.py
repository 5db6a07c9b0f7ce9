"""Where the files of a run lie: every folder and file name of a run directory, written once.

::

    results/NAME/
      manifest.json summary.json summary.csv report.html compliance.json, round.yaml where it is a user's own
      SCENARIO/performance/run_N/   LoadGen's logs, samples.csv.gz, machine.csv.gz, profile.json, trace.json.gz,
                                    test.json
      SCENARIO/accuracy/            LoadGen's logs, samples.csv.gz, accuracy.{txt,json}, evaluation.json,
                                    images.csv.gz, gallery/, test.json
      SCENARIO/compliance/TEST/     verify_*.txt, performance/run_1/, accuracy/
      find_peak/SCENARIO/try_N/     LoadGen's logs

Nothing here opens a file. The names that LoadGen and MLPerf give are spelled beside their readers and are given on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.accuracy.accuracy_txt import ACCURACY_TXT
from harness.loadgen.log import ACCURACY_LOG, DETAIL_LOG, SUMMARY_LOG, TRACE_LOG
from harness.loadgen.plan import Mode
from harness.loadgen.sample_records import SAMPLES_NAME
from harness.scenarios import SCENARIOS, Scenario

MANIFEST = "manifest.json"
SUMMARY = "summary.json"
SUMMARY_TABLE = "summary.csv"
REPORT = "report.html"
COMPLIANCE = "compliance.json"
"""The verdicts of the compliance tests."""
ROUND = "round.yaml"
"""A copy of the round that the run follows, where that is a user's own file."""

TEST_RECORD = "test.json"
"""The record of a finished test, written last."""
TRACE = "trace.json.gz"
PROFILE = "profile.json"
"""Where an inference's time goes, by the sessions' own profilers."""
MACHINE_LOAD = "machine.csv.gz"
"""What the machine did over the time of a test."""
ACCURACY = "accuracy.json"
"""The figures of an accuracy test."""
EVALUATION = "evaluation.json"
"""The categories and curves of an accuracy test."""
IMAGES = "images.csv.gz"
"""The images of an accuracy test, one a row."""
GALLERY = "gallery"
GALLERY_LIST = "gallery.json"
"""The images that were kept in `GALLERY`, and their boxes."""

VERIFY_PERFORMANCE = "verify_performance.txt"
VERIFY_ACCURACY = "verify_accuracy.txt"
BASELINE_ACCURACY = "baseline_accuracy.txt"
COMPLIANCE_ACCURACY = "compliance_accuracy.txt"

PEAK = "find_peak"
EARLIER = ".earlier"
"""Where the run that was in a folder before waits until the new one has results."""
PERFORMANCE_RUN = "performance/run_1"
"""Where a performance test lies in the folder of its scenario, or of its compliance test."""
LOADGEN_LOGS = "mlperf_log_*"

ACCURACY_PART = "accuracy"
"""The folder of an accuracy test."""

_PERFORMANCE, _COMPLIANCE = "performance", "compliance"


@dataclass(frozen=True)
class TestFolder:
    """The files of one LoadGen test."""

    __test__ = False  # pytest would take it for a test

    path: Path

    @property
    def detail_log(self) -> Path:
        """LoadGen's figures and settings."""
        return self.path / DETAIL_LOG

    @property
    def summary_log(self) -> Path:
        """LoadGen's verdict for people."""
        return self.path / SUMMARY_LOG

    @property
    def accuracy_log(self) -> Path:
        """The detections that were answered."""
        return self.path / ACCURACY_LOG

    @property
    def loadgen_trace(self) -> Path:
        """LoadGen's own trace."""
        return self.path / TRACE_LOG

    @property
    def samples(self) -> Path:
        """The moments of every sample."""
        return self.path / SAMPLES_NAME

    @property
    def record(self) -> Path:
        """The record of the finished test."""
        return self.path / TEST_RECORD

    @property
    def trace(self) -> Path:
        """The trace for Perfetto."""
        return self.path / TRACE

    @property
    def machine_load(self) -> Path:
        """What the machine did over the time of the test."""
        return self.path / MACHINE_LOAD

    @property
    def profile(self) -> Path:
        """Where an inference's time goes, by the sessions' own profilers."""
        return self.path / PROFILE

    @property
    def accuracy_txt(self) -> Path:
        """The accuracy as MLPerf states it."""
        return self.path / ACCURACY_TXT

    @property
    def accuracy(self) -> Path:
        """The twelve COCO figures."""
        return self.path / ACCURACY

    @property
    def evaluation(self) -> Path:
        """The categories and curves of an accuracy test."""
        return self.path / EVALUATION

    @property
    def images(self) -> Path:
        """The images of an accuracy test, one a row."""
        return self.path / IMAGES

    @property
    def gallery(self) -> Path:
        """The folder of the images that the report shows."""
        return self.path / GALLERY

    @property
    def gallery_list(self) -> Path:
        """The images of the gallery and their boxes."""
        return self.gallery / GALLERY_LIST


@dataclass(frozen=True)
class RunLayout:
    """The files and folders of a run directory."""

    folder: Path

    @property
    def manifest(self) -> Path:
        """What the run is, and how it ended."""
        return self.folder / MANIFEST

    @property
    def summary(self) -> Path:
        """What the run measured."""
        return self.folder / SUMMARY

    @property
    def summary_table(self) -> Path:
        """The figures of the summary, one a line."""
        return self.folder / SUMMARY_TABLE

    @property
    def report(self) -> Path:
        """The page for people."""
        return self.folder / REPORT

    @property
    def compliance(self) -> Path:
        """The verdicts of the compliance tests."""
        return self.folder / COMPLIANCE

    @property
    def round(self) -> Path:
        """A copy of the round that the run follows, where that is a user's own file."""
        return self.folder / ROUND

    @property
    def traces(self) -> Path:
        """A pattern of the traces of all performance tests, for people."""
        return self.folder / "*" / _PERFORMANCE / "run_*" / TRACE

    def test(self, scenario: str, mode: Mode, number: int = 1) -> TestFolder:
        """The folder of one test; ``number`` counts the repetitions of a performance test, from 1."""
        return self.performance(scenario, number) if mode == "performance" else self.accuracy(scenario)

    def performance(self, scenario: str, number: int = 1) -> TestFolder:
        """The folder of a performance test."""
        return TestFolder(self.folder / scenario / _PERFORMANCE / f"run_{number}")

    def accuracy(self, scenario: str) -> TestFolder:
        """The folder of a scenario's own accuracy test."""
        return TestFolder(self.folder / scenario / ACCURACY_PART)

    def compliance_test(self, scenario: str, test: str) -> Path:
        """The folder of a compliance test, with its logs below it."""
        return self.folder / scenario / _COMPLIANCE / test

    def compliance_run(self, scenario: str, test: str) -> TestFolder:
        """The LoadGen test of a compliance test."""
        return TestFolder(self.compliance_test(scenario, test) / PERFORMANCE_RUN)

    def peak_try(self, scenario: str, number: int) -> TestFolder:
        """One try of the search for the peak."""
        return TestFolder(self.folder / PEAK / scenario / f"try_{number}")

    @property
    def earlier(self) -> Path:
        """The run that was here before, while the new one has no results."""
        return self.folder / EARLIER

    @property
    def written_by_a_run(self) -> tuple[Path, ...]:
        """Every file and folder directly in the run directory that a run writes."""
        files = (self.manifest, self.compliance, self.summary, self.summary_table, self.report, self.round)
        return (*files, *(self.folder / name for name in (*SCENARIOS, PEAK)))


@dataclass(frozen=True)
class ComplianceFolders:
    """Where the tests of one scenario lie for its compliance tests.

    Attributes:
        run: the run directory.
        accuracy: the accuracy test whose answers are compared, as `accuracy_test` chooses it.
    """

    run: Path
    scenario: Scenario
    accuracy: Path

    @property
    def performance(self) -> Path:
        """The run's own performance test."""
        return RunLayout(self.run).performance(self.scenario).path

    def test(self, name: str) -> Path:
        """The folder of a compliance test."""
        return RunLayout(self.run).compliance_test(self.scenario, name)

    def logs(self, name: str) -> Path:
        """The LoadGen test of a compliance test, or the run's own for "performance"."""
        return (
            self.performance if name == "performance" else RunLayout(self.run).compliance_run(self.scenario, name).path
        )
