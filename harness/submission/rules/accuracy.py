"""What the accuracy run of a scenario must show: its logs, accuracy.txt, and the cut accuracy log."""

from __future__ import annotations

import filecmp
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.accuracy.accuracy_txt import ACCURACY_TXT
from harness.accuracy.coco_results import results_of_log
from harness.accuracy.evaluate import Evaluator, evaluate, has_hotcoco
from harness.accuracy.log import read_accuracy_log
from harness.errors import LogError, UsageError
from harness.files import sha256_file
from harness.loadgen.plan import LOADGEN_SCENARIOS
from harness.rounds import AccuracyRules
from harness.runs.verdict import images_run
from harness.submission.accuracy_log import is_cut_of, read_log_in_tree, stated_hashes
from harness.submission.rules.checksums import read_checksums
from harness.submission.rules.figures import message_counts
from harness.submission.rules.finding import Problem, Rule
from harness.submission.rules.loadgen_test import ACCURACY, DETAIL, LoadGenTest, shown
from harness.submission.rules.performance import dates, entries_only, no_errors, seeds
from harness.submission.whole_log import whole_accuracy_log

TXT = ACCURACY_TXT
_COCO_LINE = re.compile(
    r"^ ?Average Precision +\(AP\) @\[ IoU=0\.50:0\.95 +\| area= *all \| maxDets=100 \] = ([\d.]+)", re.M
)
_AP50_LINE = re.compile(r"^ ?Average Precision +\(AP\) @\[ IoU=0\.50 +\| area= *all \| maxDets=100 \] = ([\d.]+)", re.M)
_COUNT_LINE = re.compile(r"^found (\d+) (results|images)$", re.MULTILINE)
_EVALUATE = "write it with `ssd-harness run` or the round's accuracy script"
_ROUNDED = 0.0011  # percent: half of the third decimal, and what evaluators differ in
_CUT_REMEDY = "`ssd-harness submission truncate`"


@dataclass(frozen=True)
class AccuracyTest:
    """An accuracy run's folder.

    Attributes:
        test: its LoadGen logs; None where they cannot be read.
        partial: a compliance test, which logs some samples only.
    """

    test: LoadGenTest
    folder: str
    partial: bool = False

    @property
    def log(self) -> str:
        """The accuracy log's path from the tree's root."""
        return f"{self.folder}/{ACCURACY}"

    @property
    def txt(self) -> str:
        """The path of accuracy.txt, from the tree's root."""
        return f"{self.folder}/{TXT}"

    def text(self) -> str:
        """What accuracy.txt says; empty where it cannot be read."""
        try:
            return (self.test.tree.root / self.txt).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""


def mode(run: AccuracyTest) -> Iterator[Problem]:
    """An accuracy run of the folder's scenario."""
    test = run.test
    for key, value in (("test_mode", "AccuracyOnly"), ("scenario", LOADGEN_SCENARIOS[test.scenario])):
        for prefix in ("requested", "effective"):
            found = test.detail.values.get(f"{prefix}_{key}")
            if found != value:
                remedy = "put the logs of the accuracy run there"
                yield Problem(test.detail_path, f"{prefix}_{key} {shown(found)}", value, remedy)


def images(run: AccuracyTest) -> Iterator[Problem]:
    """Every image of the dataset was run, by the detail log and by accuracy.txt."""
    test, needed = run.test, run.test.benchmark.dataset_images
    values = test.detail.values
    found = {
        "qsl_reported_total_count": values.get("qsl_reported_total_count"),
        "images loaded": images_run(test.detail),
    }
    if "effective_accuracy_sample_count" in values:
        found["effective_accuracy_sample_count"] = values["effective_accuracy_sample_count"]
    for key, value in found.items():
        if value != needed:
            short, remedy = isinstance(value, int) and value < needed, "run accuracy with the whole dataset"
            yield Problem(test.detail_path, f"{key} {shown(value)}", f"{needed}", remedy, short=short)
    for count, what in _COUNT_LINE.findall(run.text()):
        if what == "images" and int(count) != needed:
            short = int(count) == images_run(test.detail) < needed
            yield Problem(run.txt, f"{count} images", f"{needed}", "evaluate the whole log", short=short)


def accuracy_value(run: AccuracyTest) -> Iterator[Problem]:
    """accuracy.txt states the metric once, in percent, as COCO's line above it, and it is enough for the division."""
    rules, text = run.test.benchmark.accuracy, run.text()
    stated = stated_accuracy(text, rules)
    if len(stated) != 1:
        yield Problem(run.txt, f"{len(stated)} lines {rules.metric}=NN.NNN%", "one", _EVALUATE)
        return
    percent = stated[0]
    if not 0 <= percent <= 100:
        yield Problem(run.txt, f"{rules.metric}={percent:g}%", "0 to 100 percent", _EVALUATE)
    if "\ufffd" in text:
        yield Problem(run.txt, "bytes that are not UTF-8", "a text file", _EVALUATE)
    coco, looser = _COCO_LINE.search(text), _AP50_LINE.search(text)
    if coco and looser and float(coco[1]) > float(looser[1]):
        found = f"AP {coco[1]} above AP50 {looser[1]}"
        yield Problem(run.txt, found, "AP50 at least as high", _EVALUATE)
    if coco and abs(float(coco[1]) * 100 - percent) > 0.0501:
        required = f"{float(coco[1]) * 100:g} percent, as COCO's own line above it"
        yield Problem(run.txt, f"{rules.metric}={percent:g}%", required, _EVALUATE)
    if run.test.place.division == "closed" and percent < rules.gate_percent:
        required = f"at least {rules.gate_percent:g} percent in the closed division"
        # of some of the images it says nothing of the model
        short = images_run(run.test.detail) < run.test.benchmark.dataset_images
        remedy = "a better model, or the open division"
        yield Problem(run.txt, f"{rules.metric}={percent:g}%", required, remedy, short=short)


def stated_accuracy(text: str, rules: AccuracyRules) -> list[float]:
    """The values of accuracy.txt's lines of the metric, in percent."""
    found = re.findall(rf"^{re.escape(rules.metric)}=(\S+?)%?\s*$", text, re.MULTILINE)
    return [_percent(value) for value in found]


def cut_accuracy_log(run: AccuracyTest) -> Iterator[Problem]:
    """The log is short enough, and what it shows is the beginning and the end of a log of this run."""
    root, rules = run.test.tree.root, run.test.round.submission.accuracy_log
    try:
        log = read_log_in_tree(root / run.log, rules)
    except LogError:
        return  # missing, which the layout's rules say
    if log.size > rules.most_bytes:
        yield Problem(run.log, f"{log.size} bytes", f"at most {rules.most_bytes}", _CUT_REMEDY)
        return
    yield from _first_records(run, log.indices)
    if log.damage is not None:
        yield Problem(
            run.log, log.damage, "LoadGen's log, or its beginning and end", "cut the log anew from its backup"
        )
    needed = run.test.benchmark.dataset_images
    if not run.partial and log.images is not None and log.images != needed:
        short = log.images == images_run(run.test.detail) < needed
        yield Problem(run.log, f"{log.images} images", f"{needed}", "put the whole run's log there", short=short)
    for sequence, index in log.indices:
        if not 0 <= index < needed:
            required = f"numbers below {needed}"
            yield Problem(run.log, f"record {sequence} of image {index}", required, "put this run's own log there")
            break
    numbers = [sequence for sequence, _ in log.indices]
    if sorted(set(numbers)) != sorted(numbers):
        yield Problem(run.log, "records that repeat", "each record once", "put LoadGen's own log there")


def evaluated_again(run: AccuracyTest) -> Iterator[Problem]:
    """The accuracy of the whole log, where it and the annotations are at hand, is the stated one."""
    tree, metric = run.test.tree, run.test.benchmark.accuracy.metric
    log, stated = whole_accuracy_log(tree, run.log), stated_accuracy(run.text(), run.test.benchmark.accuracy)
    if log is None or tree.truth is None:
        wanting = "the whole log" if log is None else "the annotations"
        yield Problem(run.txt, "not evaluated again", wanting, "give --backup and --annotations", "SKIP")
        return
    try:
        answers = read_accuracy_log(log, image_count=len(tree.truth.image_ids))
        results = results_of_log(answers, tree.truth, "auto")
        evaluator: Evaluator = "hotcoco" if has_hotcoco() else "pycocotools"
        percent = 100 * evaluate(tree.truth, results, tree.truth.image_ids, evaluator=evaluator).mAP
    except (LogError, UsageError) as error:
        yield Problem(run.log, error.what, "a log of these annotations", "give the annotations that were run")
        return
    if len(stated) == 1 and abs(stated[0] - percent) > _ROUNDED:
        yield Problem(
            run.txt, f"{metric}={stated[0]:g}%", f"{percent:.3f} percent, which the whole log gives", _EVALUATE
        )


def log_hash(run: AccuracyTest) -> Iterator[Problem]:
    """accuracy.txt has the sha256 of the whole log, as everything else that is at hand says."""
    root, rules = run.test.tree.root, run.test.round.submission.accuracy_log
    stated = [value.lower() for value in stated_hashes(run.text())]
    try:
        log = read_log_in_tree(root / run.log, rules)
    except LogError:
        return  # missing, which the layout's rules say
    if run.partial and not log.cut and not stated:
        return  # the log is there, whole
    if len(stated) != 1 or not re.fullmatch(r"[0-9a-f]{64}", stated[0]):
        found = " and ".join(f"hash={value}" for value in stated) or "no hash= line"
        yield Problem(run.txt, found, "one hash= line with 64 hexadecimal digits", _CUT_REMEDY)
        return
    if log.sha256 is not None:
        if log.sha256 != stated[0]:
            yield Problem(run.txt, f"hash={stated[0]}", f"{log.sha256}, the log's", _CUT_REMEDY)
        return
    backup = run.test.tree.backup
    whole = None if backup is None else backup / run.log
    noted = read_checksums(run.test.tree, run.test.place)[1].get(run.log)
    if noted is not None and stated[0] != noted:
        required = f"{noted}, as in the README.md of measurements"
        yield Problem(run.txt, f"hash={stated[0]}", required, "put the run's own accuracy.txt there")
    if whole is not None and whole.is_file():
        yield from _against_backup(run, whole, stated[0])
    elif noted is None:
        required = "the whole log, to see that the hash is its"
        yield Problem(run.log, "a cut log only", required, "give the folder of the backups as --backup", "SKIP")


def own_answers(run: AccuracyTest) -> Iterator[Problem]:
    """The accuracy log is not that of another scenario of the system, unless the result is inferred from it."""
    tree, place = run.test.tree, run.test.place
    mine = stated_hashes(run.text())
    for other in tree.places:
        same = (other.owner, other.system, other.benchmark) == (place.owner, place.system, place.benchmark)
        if not same or other.scenario <= place.scenario or not mine:
            continue
        folder = tree.folder("accuracy", other)
        path = tree.root / folder / TXT
        theirs = stated_hashes(path.read_text(encoding="utf-8", errors="replace")) if path.is_file() else []
        one, two = (tree.root / where / DETAIL for where in (run.folder, folder))
        copies = one.is_file() and two.is_file() and filecmp.cmp(one, two, shallow=False)
        if mine == theirs and not copies:
            remedy = "put each accuracy run's own log and accuracy.txt there"
            yield Problem(run.txt, f"the hash of {folder}", "a log of its own", remedy)


def summary_is_bare(run: AccuracyTest) -> Iterator[Problem]:
    """An accuracy run's summary log counts messages and says nothing else."""
    yield from message_counts(run.test)
    for line in (*run.test.summary.values, *run.test.summary.other):
        remedy = "put LoadGen's own file of the accuracy run there"
        yield Problem(run.test.summary_path, f"the line {line!r}", "counts of warnings and errors only", remedy)


RULES: dict[str, Rule[AccuracyTest]] = {
    "mode": mode,
    "entries of LoadGen only": lambda run: entries_only(run.test),
    "no error entries": lambda run: no_errors(run.test),
    "dates": lambda run: dates(run.test),
    "seeds": lambda run: seeds(run.test),
    "summary and detail log agree": summary_is_bare,
    "every image": images,
    "accuracy": accuracy_value,
    "accuracy log": cut_accuracy_log,
    "hash of the accuracy log": log_hash,
    "a log of its own": own_answers,
}
EVALUATED_AGAIN: dict[str, Rule[AccuracyTest]] = {"accuracy of the whole log": evaluated_again}
"""Only where it is asked for: it takes a while."""

RULES_OF_ANSWERS = {name: RULES[name] for name in ("accuracy log", "hash of the accuracy log")}
"""For the answers that a compliance test logged."""


def _first_records(run: AccuracyTest, indices: Sequence[tuple[int, int]]) -> Iterator[Problem]:
    """The records that can be seen are of the images that the detail log says were run first."""
    detail = run.test.detail

    def first(key: str) -> object:
        return next(iter(detail.repeated.get(key, [])), detail.values.get(key))

    loaded, queries, size = map(first, ("loaded_qsl_set", "generated_query_count", "generated_samples_per_query"))
    if run.partial or not isinstance(loaded, list) or not isinstance(queries, int) or not isinstance(size, int):
        return
    for sequence, index in indices:
        if sequence < min(queries * size, len(loaded)) and index not in loaded:
            required = "an image of the first loaded_qsl_set in the detail log"
            yield Problem(run.log, f"record {sequence} of image {index}", required, "put this run's own log there")
            return


def _against_backup(run: AccuracyTest, whole: Path, stated: str) -> Iterator[Problem]:
    root, rules = run.test.tree.root, run.test.round.submission.accuracy_log
    sha256 = sha256_file(whole)
    if sha256 != stated:
        yield Problem(run.txt, f"hash={stated}", f"{sha256}, the backup's", "put the run's own accuracy.txt there")
    if not is_cut_of(root / run.log, whole, rules):
        yield Problem(run.log, "another log than its backup", "the backup's beginning and end", "cut it anew")
    if run.partial:
        return
    try:
        count, needed = len(read_accuracy_log(whole).images), run.test.benchmark.dataset_images
    except LogError as error:
        yield Problem(run.log, f"a backup that {error.what}", "a whole log", "run accuracy again")
        return
    if count != needed:
        found, short = f"a backup of {count} images", count == images_run(run.test.detail) < needed
        yield Problem(run.log, found, f"{needed}", "run accuracy with the whole dataset", short=short)


def _percent(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return -1.0
