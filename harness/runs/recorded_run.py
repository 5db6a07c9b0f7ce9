"""A run directory as pandas tables: per-sample times, figures, images and detections."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from harness.accuracy.log import read_accuracy_log
from harness.errors import LogError, UsageError
from harness.runs.evaluation import IMAGES_NAME
from harness.runs.stages import STAGES, read_samples, read_table
from harness.runs.summary import Summary, performance_figures, read_manifest, summary_of, summary_rows


@dataclass(frozen=True, eq=False)
class Test:
    """One LoadGen test of a run.

    Attributes:
        scenario: "single_stream", "multi_stream", "server" or "offline".
        mode: "performance" or "accuracy".
        number: counts the repetitions of a performance test, from 1.
        folder: of its logs.
        record: its part of the manifest: rules, sessions and their cores, fingerprint.
    """

    scenario: str
    mode: str
    number: int
    folder: Path
    record: dict[str, Any]

    @functools.cached_property
    def figures(self) -> dict[str, Any]:
        """Its part of ``summary.json``, e.g. ``latency_ms``; of a performance test.

        Raises:
            LogError: a log is missing, damaged or unfinished.
        """
        return performance_figures(self.folder, self.record)

    @functools.cached_property
    def samples(self) -> pd.DataFrame:
        """One row a sample, in the order in which they were completed.

        ============================================  ======================================================
        ``sample_id``                                 LoadGen's id of it, int64
        ``sample_index``                              its image: the place in the annotations' list
        ``session``                                   number and
        ``session_name``                              name of the device session that processed it, e.g. cpu#0
        ``issued_ns`` … ``completed_ns``              five moments, int64 ns since the first sample was issued:
                                                      issued, started, inferred, decoded, completed
        ``latency_ms``                                issued until completed, float64 milliseconds
        ``queue_ms``, ``inference_ms``,               the four stages of that, which add up to it
        ``postprocess_ms``, ``complete_ms``
        ============================================  ======================================================

        Raises:
            LogError: the records are missing or damaged.
        """
        samples = read_samples(self.folder / "samples.csv.gz").sort_values("completed_ns", kind="stable")
        samples = samples.reset_index(drop=True)
        names = [session["name"] for session in self.record["sessions"]]
        samples.insert(1, "session_name", samples["session"].map(dict(enumerate(names))))
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
        summary: as in ``summary.json``, made again from the logs.
        tests: in the order in which they were made.
    """

    folder: Path
    manifest: dict[str, Any]
    summary: Summary
    tests: tuple[Test, ...]

    @property
    def name(self) -> str:
        """Of the directory."""
        return self.folder.resolve().name

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
    def performance(self) -> dict[str, list[Test]]:
        """Scenario → its performance tests, the repetitions in their order."""
        by_scenario: dict[str, list[Test]] = {}
        for test in self.tests:
            if test.mode == "performance":
                by_scenario.setdefault(test.scenario, []).append(test)
        return by_scenario

    @property
    def accuracy_test(self) -> Test | None:
        """The test whose answers were evaluated; of several the one that decides, with the lowest mAP."""
        accuracies = self.summary.get("accuracies", {})
        tests = [test for test in self.tests if test.mode == "accuracy"]
        return min(tests, key=lambda test: accuracies.get(test.scenario, {"mAP": 0})["mAP"], default=None)

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
        if test is None or not (test.folder / IMAGES_NAME).is_file():
            return None
        return read_table(test.folder / IMAGES_NAME)

    @functools.cached_property
    def evaluation(self) -> dict[str, Any] | None:
        """``per_class`` and ``precision_recall`` of the accuracy test, None without one.

        Raises:
            LogError: the file is damaged.
        """
        test = self.accuracy_test
        path = None if test is None else test.folder / "evaluation.json"
        if path is None or not path.is_file():
            return None
        try:
            evaluation: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise LogError(f"cannot be read: {error}", where=str(path)) from error
        return evaluation

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
        if test is None or not (test.folder / "mlperf_log_accuracy.json").is_file():
            return None
        log = read_accuracy_log(test.folder / "mlperf_log_accuracy.json")
        table = pd.DataFrame({"sample_index": log.qsl_idx})
        for column, name in enumerate(("top", "left", "bottom", "right")):
            table[name] = log.boxes[:, column]
        table = table[["sample_index", "left", "top", "right", "bottom"]]
        table["score"], table["label"] = log.scores, log.labels
        if self.images is not None:
            table["file_name"] = table["sample_index"].map(self.images.set_index("sample_index")["file_name"])
        if self.evaluation is not None:
            table["category"] = table["label"].map({it["label"]: it["name"] for it in self.evaluation["per_class"]})
        return table


def load_run(path: str | Path) -> Run:
    """Reads a run directory; its tables are read when they are asked for.

    Raises:
        LogError: it is not a run directory, a file of it is damaged, or it failed before its first test.
    """
    folder = Path(path)
    manifest = read_manifest(folder)
    summary = summary_of(folder)
    tests = []
    for record in manifest["tests"]:
        number = record.get("number", 1)
        parts = ("performance", f"run_{number}") if record["mode"] == "performance" else ("accuracy",)
        where = folder.joinpath(record["scenario"], *parts)
        tests.append(Test(record["scenario"], record["mode"], number, where, record))
    return Run(folder, manifest, summary, tuple(tests))
