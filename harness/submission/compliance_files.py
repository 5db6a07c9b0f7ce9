"""The files of a compliance test as a submission has them, made from its logs."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from harness.accuracy.accuracy_txt import accuracy_txt
from harness.accuracy.coco_results import LabelMap, results_of_log
from harness.accuracy.evaluate import evaluate
from harness.accuracy.ground_truth import read_ground_truth
from harness.accuracy.log import Record, read_accuracy_log, read_records
from harness.errors import LogError
from harness.files import replacing, sha256_file, write_text
from harness.loadgen.log import read_detail
from harness.rounds import BenchmarkRules, Round
from harness.settings import Scenario
from harness.submission.verification import ComplianceVerdict, accuracy_verdict, performance_verdict, used_settings

DETAIL = "mlperf_log_detail.txt"
ACCURACY = "mlperf_log_accuracy.json"


@dataclass(frozen=True)
class ComplianceFolders:
    """Where one scenario's tests lie in a run directory."""

    run: Path
    scenario: Scenario

    @property
    def performance(self) -> Path:
        """Of the run's own performance test."""
        return self.run / self.scenario / "performance" / "run_1"

    @property
    def accuracy(self) -> Path:
        """Of the accuracy test whose answers are compared: the scenario's own, or else the run's only one."""
        own = self.run / self.scenario / "accuracy"
        return own if own.is_dir() else next(iter(sorted(self.run.glob("*/accuracy"))), own)

    def test(self, name: str) -> Path:
        """Of a compliance test."""
        return self.run / self.scenario / "compliance" / name

    def logs(self, name: str) -> Path:
        """Of its LoadGen test, or of the run's own for "performance"."""
        return self.performance if name == "performance" else self.test(name) / "performance" / "run_1"


@dataclass(frozen=True)
class TestVerdict:
    """Of a compliance test.

    Attributes:
        found: the figures, in words.
        reasons: why it failed; empty when it passed.
        notes: what else a person should know, e.g. of the official scripts.
    """

    __test__ = False  # pytest would take it for a test

    found: str
    reasons: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """No reason against it."""
        return not self.reasons


def verify_test(
    name: str, folders: ComplianceFolders, round_: Round, rules: BenchmarkRules, annotations: Path
) -> TestVerdict:
    """Verifies a test that was run and writes what a submission shows of it.

    ``verify_performance.txt`` is in the folder of the test, or of the one that it verifies; ``verify_accuracy.txt`` and
    ``accuracy/`` are there for a test that logs answers. Where these differ from the accuracy run's, the mAP of both
    over the images in question is beside them: MLPerf takes a device that is not deterministic when they are alike.

    Raises:
        LogError: a log that is needed is missing or damaged.
    """
    test = rules.compliance[name]
    log = read_detail(folders.logs(name) / DETAIL)
    wrong = used_settings(log, test, test.seeds or round_.seeds)
    parts = []
    if test.compared_with is not None:
        own = test.compared_with == "performance"
        names = ("reference", "test") if own else (test.compared_with, name)
        reference = read_detail(folders.logs(test.compared_with) / DETAIL)
        verdict = performance_verdict(
            test, folders.scenario, rules.scenario(folders.scenario), reference, log, names=names
        )
        parts.append(ComplianceVerdict(verdict.lines, verdict.found, (*wrong, *verdict.reasons)))
        home = next((other for other, test in rules.compliance.items() if test.verified_by == name), name)
        write_text(folders.test(home) / "verify_performance.txt", parts[-1].text())
    else:
        parts.append(ComplianceVerdict((), "its logs are there", tuple(wrong)))
    if test.accuracy:
        parts.append(_accuracy(name, folders, annotations, rules.labels))
        write_text(folders.test(name) / "verify_accuracy.txt", parts[-1].text())
    found = "; ".join(part.found for part in parts if part.found)
    return TestVerdict(found, tuple(reason for part in parts for reason in part.reasons))


def _accuracy(name: str, folders: ComplianceFolders, annotations: Path, labels: LabelMap) -> ComplianceVerdict:
    reference, log = folders.accuracy / ACCURACY, folders.logs(name) / ACCURACY
    verdict = accuracy_verdict(reference, log)
    folder = folders.test(name) / "accuracy"
    folder.mkdir(exist_ok=True)
    with replacing(folder / ACCURACY) as copy:
        shutil.copyfile(log, copy)
    write_text(folder / "accuracy.txt", f"hash={sha256_file(log)}\n")
    baselines = {"baseline_accuracy.txt": reference, "compliance_accuracy.txt": log}
    if verdict.passed:
        for file in baselines:
            (folder / file).unlink(missing_ok=True)
        return verdict
    images = {record.qsl_idx for record in read_records(log)}
    for file, answers in baselines.items():
        text = _accuracy_of(answers, images, annotations, labels) if images else "no answers\n"
        write_text(folder / file, text)
    return verdict


def _accuracy_of(log: Path, images: set[int], annotations: Path, labels: LabelMap) -> str:
    """An accuracy.txt over some images of a log, by the first answer of each."""
    first: dict[int, Record] = {}
    for record in read_records(log):
        if record.qsl_idx in images:
            first.setdefault(record.qsl_idx, record)
    if not first:
        raise LogError("holds none of the images of the compliance test", where=str(log))
    with tempfile.TemporaryDirectory() as scratch:
        part = Path(scratch) / ACCURACY
        rows = [
            {"seq_id": record.seq_id, "qsl_idx": record.qsl_idx, "data": record.data.hex().upper()}
            for record in first.values()
        ]
        part.write_text(json.dumps(rows), encoding="utf-8")
        truth, answers = read_ground_truth(annotations), read_accuracy_log(part)
        results = results_of_log(answers, truth, labels)
        return accuracy_txt(evaluate(truth, results, results.image_ids), answers.sha256)
