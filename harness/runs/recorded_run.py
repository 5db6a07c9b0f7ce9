"""A run directory as pandas tables: per-sample times, figures, images and detections."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from harness.accuracy.log import read_accuracy_log
from harness.errors import UsageError
from harness.loadgen.plan import Mode
from harness.runs.accuracy_test import accuracy_scenario
from harness.runs.documents import read_document
from harness.runs.figures import Evaluation, ScenarioFigures, Summary
from harness.runs.layout import RunLayout, TestFolder
from harness.runs.machine_load import read_machine_load
from harness.runs.profiles import ProfileRecord
from harness.runs.records import StartedManifest, TestRecord, read_manifest, started
from harness.runs.samples import read_images, read_samples
from harness.runs.summary import performance_figures, summary_of, summary_rows
from harness.scenarios import Scenario
from harness.stages import STAGES


@dataclass(frozen=True, eq=False)
class Test:
    """One LoadGen test of a run.

    Attributes:
        scenario: "single_stream", "multi_stream", "server" or "offline".
        mode: "performance" or "accuracy".
        number: counts the repetitions of a performance test, from 1.
        folder: where its logs are.
        record: its part of the manifest: rules, sessions and their cores, fingerprint.
    """

    __test__ = False  # pytest would take it for a test

    scenario: Scenario
    mode: Mode
    number: int
    folder: Path
    record: TestRecord

    @property
    def files(self) -> TestFolder:
        """The places of the test's files."""
        return TestFolder(self.folder)

    @property
    def bound_ms(self) -> float | None:
        """What Server's latency may be, at the test's percentile; None in the other scenarios."""
        return self.record.rules.latency_ms if self.scenario == "server" else None

    @functools.cached_property
    def machine_load(self) -> pd.DataFrame | None:
        """The machine over the time of the test, see `harness.runs.machine_load`; None of a run of before that.

        Raises:
            LogError: the file is damaged.
        """
        path = self.files.machine_load
        return read_machine_load(path) if path.is_file() else None

    @functools.cached_property
    def profile(self) -> ProfileRecord | None:
        """Where an inference's time goes, None where that was not asked for, or no session could say it.

        Raises:
            LogError: the file is damaged.
        """
        path = self.files.profile
        return read_document(ProfileRecord, path) if path.is_file() else None

    @functools.cached_property
    def figures(self) -> ScenarioFigures:
        """The figures of a performance test, as in ``summary.json``: ``latency_ms``, ``samples_per_second``, ….

        Raises:
            LogError: a log is missing, damaged or unfinished.
        """
        return performance_figures(self.files, self.record)

    @functools.cached_property
    def samples(self) -> pd.DataFrame:
        """One row a sample, in the order in which they were completed.

        ============================================  ======================================================
        ``sample_id``                                 LoadGen's id of it, int64
        ``sample_index``                              its image: the place in the annotations' list
        ``session``                                   number and
        ``session_name``                              name of the device session that processed it, e.g. cpu#0
        ``issued_ns`` … ``completed_ns``              six moments, int64 ns since the first sample was issued:
                                                      issued, started, inferred, decoding, decoded, completed
        ``latency_ms``                                issued until completed, float64 milliseconds
        ``queue_ms``, ``inference_ms``, ``wait_ms``,  the five stages of that, which add up to it
        ``postprocess_ms``, ``complete_ms``
        ============================================  ======================================================

        Raises:
            LogError: the records are missing or damaged.
        """
        samples = read_samples(self.files.samples).sort_values("completed_ns", kind="stable")
        samples = samples.reset_index(drop=True)
        samples.insert(1, "session_name", samples["session"].map(dict(enumerate(self.record.session_names))))
        samples["latency_ms"] = (samples["completed_ns"] - samples["issued_ns"]) / 1e6
        for stage, (start, end) in STAGES.items():
            samples[f"{stage}_ms"] = (samples[end] - samples[start]) / 1e6
        return samples

    @functools.cached_property
    def queries(self) -> pd.DataFrame:
        """One row a query, the unit that LoadGen's percentiles count: the last completed of its samples.

        The same as `samples` where a query is one sample; of MultiStream's eight the last one decides.
        """
        if self.scenario != "multi_stream":
            return self.samples
        # the samples of a query are issued at one moment, and no other query is
        return self.samples.drop_duplicates("issued_ns", keep="last").reset_index(drop=True)


@dataclass(frozen=True, eq=False)
class Run:
    """A run directory.

    Attributes:
        folder: the directory.
        manifest: ``manifest.json``: command, settings, versions, system, hashes.
        tests: in the order in which they were made.
    """

    folder: Path
    manifest: StartedManifest
    tests: tuple[Test, ...]

    @property
    def name(self) -> str:
        """The name of the directory."""
        return self.folder.resolve().name

    @property
    def layout(self) -> RunLayout:
        """The places of the run's files."""
        return RunLayout(self.folder)

    @functools.cached_property
    def summary(self) -> Summary:
        """What ``summary.json`` holds, made again from the logs when it is asked for.

        Raises:
            LogError: a file of a test is missing or damaged.
        """
        return summary_of(self.folder)

    def test(self, scenario: str, mode: str = "performance", number: int = 1) -> Test:
        """One of its tests.

        Raises:
            UsageError: it was not made.
        """
        for test in self.tests:
            if (test.scenario, test.mode, test.number) == (scenario, mode, number):
                return test
        made = ", ".join(f"{test.scenario} {test.mode}" for test in self.tests) or "none"
        raise UsageError(f"there is no {scenario} {mode} test {number}", where=str(self.folder), hint=f"made: {made}")

    @property
    def performance(self) -> dict[Scenario, list[Test]]:
        """Scenario → its performance tests, the repetitions in their order."""
        by_scenario: dict[Scenario, list[Test]] = {}
        for test in self.tests:
            if test.mode == "performance":
                by_scenario.setdefault(test.scenario, []).append(test)
        return by_scenario

    @functools.cached_property
    def accuracy_test(self) -> Test | None:
        """The accuracy test that decides, as `accuracy_scenario` says; None without one."""
        scenario = accuracy_scenario(self.layout, self.manifest.tests)
        return None if scenario is None else self.test(scenario, "accuracy")

    @functools.cached_property
    def figures(self) -> pd.DataFrame:
        """One row a figure: ``scenario``, ``figure`` and ``value``, as in summary.csv."""
        return pd.DataFrame(summary_rows(self.summary), columns=["scenario", "figure", "value"])

    @functools.cached_property
    def images(self) -> pd.DataFrame | None:
        """One row an image of the accuracy test, None without one.

        ``sample_index``, ``image_id``, ``file_name``, ``width`` and ``height`` in pixels, ``objects`` (ground truth
        boxes without crowds), ``detections``, ``AP50`` (of this image alone, in [0, 1]; NaN without objects).

        Raises:
            LogError: the file is damaged.
        """
        test = self.accuracy_test
        if test is None or not test.files.images.is_file():
            return None
        return read_images(test.files.images)

    @functools.cached_property
    def evaluation(self) -> Evaluation | None:
        """``per_class`` and ``precision_recall`` of the accuracy test, None without one.

        Raises:
            LogError: the file is damaged.
        """
        test = self.accuracy_test
        if test is None or not test.files.evaluation.is_file():
            return None
        return read_document(Evaluation, test.files.evaluation)

    @functools.cached_property
    def detections(self) -> pd.DataFrame | None:
        """One row a detection of the accuracy test, None where no log of one exists.

        ``sample_index``, ``left``, ``top``, ``right``, ``bottom`` (normalised to the image), ``score``, ``label`` (1
        for the annotations' first category, …); where `images` and `evaluation` are there, also ``file_name`` and
        ``category``.

        Raises:
            LogError: the log is damaged.
        """
        test = self.accuracy_test
        if test is None or not test.files.accuracy_log.is_file():
            return None
        log = read_accuracy_log(test.files.accuracy_log)
        table = pd.DataFrame({"sample_index": log.qsl_idx})
        for column, name in enumerate(("top", "left", "bottom", "right")):
            table[name] = log.boxes[:, column]
        table = table[["sample_index", "left", "top", "right", "bottom"]]
        table["score"], table["label"] = log.scores, log.labels
        if self.images is not None:
            table["file_name"] = table["sample_index"].map(self.images.set_index("sample_index")["file_name"])
        if self.evaluation is not None:
            table["category"] = table["label"].map({of.label: of.name for of in self.evaluation.per_class})
        return table


def load_run(path: str | Path) -> Run:
    """Opens a run directory: its manifest is read at once, logs and tables when they are asked for.

    Raises:
        LogError: it is not a run directory, its manifest is damaged, or it failed before its first test.
    """
    folder = Path(path)
    manifest, layout = started(read_manifest(folder), folder), RunLayout(folder)
    tests = (
        Test(test.scenario, test.mode, test.number, layout.test(test.scenario, test.mode, test.number).path, test)
        for test in manifest.tests
    )
    return Run(folder, manifest, tuple(tests))
