"""The files of a compliance test as a submission has them, made from its logs."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from harness.accuracy.accuracy_txt import ACCURACY_TXT, accuracy_txt
from harness.accuracy.coco_results import LabelMap, results_of_log
from harness.accuracy.evaluate import evaluate
from harness.accuracy.ground_truth import read_ground_truth
from harness.accuracy.log import Record, read_accuracy_log, read_records
from harness.errors import LogError
from harness.files import replacing, sha256_file, write_text
from harness.loadgen.log import ACCURACY_LOG, DETAIL_LOG, read_detail
from harness.rounds import BenchmarkRules, Round
from harness.runs.layout import (
    ACCURACY_PART,
    BASELINE_ACCURACY,
    COMPLIANCE_ACCURACY,
    VERIFY_ACCURACY,
    VERIFY_PERFORMANCE,
    ComplianceFolders,
)
from harness.submission.verification import ComplianceVerdict, accuracy_verdict, performance_verdict, used_settings


@dataclass(frozen=True)
class TestVerdict:
    """The verdict on a compliance test.

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
        """Whether there is no reason against it."""
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
    log = read_detail(folders.logs(name) / DETAIL_LOG)
    wrong = used_settings(log, test, test.seeds or round_.seeds)
    parts = []
    if test.compared_with is not None:
        own = test.compared_with == "performance"
        names = ("reference", "test") if own else (test.compared_with, name)
        reference = read_detail(folders.logs(test.compared_with) / DETAIL_LOG)
        verdict = performance_verdict(
            test, folders.scenario, rules.scenario(folders.scenario), reference, log, names=names
        )
        parts.append(ComplianceVerdict(verdict.lines, verdict.found, (*wrong, *verdict.reasons)))
        home = next((other for other, test in rules.compliance.items() if test.verified_by == name), name)
        write_text(folders.test(home) / VERIFY_PERFORMANCE, parts[-1].text())
    else:
        parts.append(ComplianceVerdict((), "its logs are there", tuple(wrong)))
    if test.accuracy:
        parts.append(_accuracy(name, folders, annotations, rules.labels))
        write_text(folders.test(name) / VERIFY_ACCURACY, parts[-1].text())
    found = "; ".join(part.found for part in parts if part.found)
    return TestVerdict(found, tuple(reason for part in parts for reason in part.reasons))


def _accuracy(name: str, folders: ComplianceFolders, annotations: Path, labels: LabelMap) -> ComplianceVerdict:
    reference, log = folders.accuracy / ACCURACY_LOG, folders.logs(name) / ACCURACY_LOG
    verdict = accuracy_verdict(reference, log)
    folder = folders.test(name) / ACCURACY_PART
    folder.mkdir(exist_ok=True)
    with replacing(folder / ACCURACY_LOG) as copy:
        shutil.copyfile(log, copy)
    write_text(folder / ACCURACY_TXT, f"hash={sha256_file(log)}\n")
    baselines = {BASELINE_ACCURACY: reference, COMPLIANCE_ACCURACY: log}
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
        part = Path(scratch) / ACCURACY_LOG
        rows = [
            {"seq_id": record.seq_id, "qsl_idx": record.qsl_idx, "data": record.data.hex().upper()}
            for record in first.values()
        ]
        part.write_text(json.dumps(rows), encoding="utf-8")
        truth, answers = read_ground_truth(annotations), read_accuracy_log(part)
        results = results_of_log(answers, truth, labels)
        return accuracy_txt(evaluate(truth, results, results.image_ids), answers.sha256)
