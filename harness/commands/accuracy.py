"""``ssd-harness accuracy``: the mAP of any MLPerf accuracy log of a COCO detector, or of a COCO results file."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from harness.accuracy.coco_results import CocoResults, is_coco_results, read_coco_results, results_of_log
from harness.accuracy.evaluate import (
    FIGURES,
    MEANINGS,
    Accuracy,
    Evaluator,
    ImageChoice,
    chosen_images,
    differences,
    evaluate,
    has_hotcoco,
    missing_images,
    percent_text,
)
from harness.accuracy.ground_truth import GroundTruth, read_ground_truth
from harness.accuracy.log import read_accuracy_log
from harness.command_line.argument_types import one_or_more
from harness.command_line.json_output import add_json_option, show_or_write
from harness.commands import accuracy_against, accuracy_doctor
from harness.errors import DataError, LogError, UsageError
from harness.files import sha256_file
from harness.runs.evaluation import AccuracySource, accuracy_source
from harness.terminal import output

SUMMARY = "Evaluate any MLPerf accuracy log of a COCO detector: mAP and the other COCO figures."
EXAMPLES = """\
  ssd-harness accuracy mlperf_log_accuracy.json --annotations instances_val2017.json
  ssd-harness accuracy log.json.gz --annotations instances_val2017.json --per-class --cross-check
  ssd-harness accuracy detections.json --annotations instances_val2017.json --json -
  ssd-harness accuracy log.json --annotations instances_val2017.json --doctor
  ssd-harness accuracy results/demo --doctor
  ssd-harness accuracy results/new --against results/old
"""


@dataclass(frozen=True, eq=False)
class _Source:
    """What was read: an accuracy log or a COCO results file."""

    kind: str
    results: CocoResults
    sha256: str
    records: int
    repeated: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own arguments."""
    parser.add_argument(
        "log",
        type=Path,
        metavar="LOG|RUN",
        help="mlperf_log_accuracy.json or a COCO results file, plain or gzipped; or the folder of a run of ours",
    )
    parser.add_argument(
        "--annotations", type=Path, metavar="JSON", help="the COCO instances file that the run had; a RUN knows its own"
    )
    parser.add_argument(
        "--against",
        type=Path,
        metavar="OTHER",
        help="another LOG or RUN: what changed from it, and is it more than chance",
    )
    parser.add_argument(
        "--doctor", action="store_true", help="find out why the mAP is wrong; exit status 1 if something is"
    )
    parser.add_argument(
        "--count", type=one_or_more, metavar="N", help="the run saw only the first N images of the annotations"
    )
    parser.add_argument(
        "--images-evaluated",
        choices=("all", "annotated", "logged"),
        help="all images of the annotations (MLPerf's measure); without those that have no boxes (4952 of val2017's "
        "5000); or those in the log. Default: logged for an accuracy log, all for a COCO results file",
    )
    parser.add_argument(
        "--evaluator",
        choices=("pycocotools", "hotcoco"),
        help="pycocotools is the reference; hotcoco (the default where installed) gives the same figures sooner",
    )
    parser.add_argument("--cross-check", action="store_true", help="evaluate with both; exit status 1 if they differ")
    parser.add_argument(
        "--require-complete", action="store_true", help="exit status 1 if an image of the annotations is not in the log"
    )
    parser.add_argument(
        "--labels",
        choices=("contiguous", "coco", "auto"),
        default="auto",
        help="contiguous: 1..80 in the annotations' category order; coco: category ids; auto (default): whichever of "
        "the two knows all labels",
    )
    parser.add_argument("--per-class", action="store_true", help="also the AP of each category")
    add_json_option(parser, "the figures")


def run(args: argparse.Namespace) -> int:
    """Evaluates and prints; 1 if the evaluators differ or images that are required are missing."""
    if args.cross_check and not has_hotcoco():
        raise DataError(
            "--cross-check needs hotcoco", hint="pip install hotcoco (the extra fast-eval), or leave it out"
        )
    with contextlib.ExitStack() as stack:
        return _run(args, stack)


def _run(args: argparse.Namespace, stack: contextlib.ExitStack) -> int:
    source_run = source_of(args, stack)
    truth = read_ground_truth(args.annotations).first(args.count)
    if args.doctor:
        return accuracy_doctor.run(args, truth, source_run)
    source = _read(args, args.log, truth)
    choice: ImageChoice = args.images_evaluated or ("logged" if source.kind == "accuracy log" else "all")
    image_ids = chosen_images(truth, source.results, choice)
    evaluator: Evaluator = args.evaluator or ("hotcoco" if has_hotcoco() else "pycocotools")
    if args.against is not None:
        other = accuracy_source(args.against).log if args.against.is_dir() else whole_file(args.against, stack)
        before = _read(args, other, truth).results
        return accuracy_against.run(args, truth, other, before, source.results, evaluator)
    accuracy = evaluate(truth, source.results, image_ids, evaluator=evaluator)
    report: dict[str, Any] = _report(args, truth, source, choice, accuracy)
    if args.cross_check:
        second: Evaluator = "pycocotools" if evaluator == "hotcoco" else "hotcoco"
        again = evaluate(truth, source.results, image_ids, evaluator=second)
        report["cross_check"] = {"evaluator": again.evaluator, "differences": differences(accuracy, again)}
    show_or_write(report, args.json, lambda: _print(output(), report, accuracy if args.per_class else None))
    differ = args.cross_check and bool(report["cross_check"]["differences"])
    return 1 if differ or (args.require_complete and report["partial"]) else 0


def source_of(args: argparse.Namespace, stack: contextlib.ExitStack) -> AccuracySource | None:
    """Puts the files of a run, if one is given, in the places of LOG, --annotations and --count.

    Returns:
        What the run was made with, if its own annotations are used.

    Raises:
        LogError: no such file, or the folder is no run with an accuracy test.
        DatasetError: the run's annotations are not there, or not what they were.
        UsageError: no annotations.
    """
    for path in (args.log, args.against):
        if path is not None and not path.exists():
            raise LogError("no such file or folder", where=str(path), hint="give a log, or the --output of a run")
    source, own = None, args.annotations is None
    if args.log.is_dir():
        source = accuracy_source(args.log, args.annotations)
        args.log, args.annotations = source.log, source.annotations
        args.count = args.count or source.images
    if args.annotations is None:
        raise UsageError("--annotations is needed with a log", hint="ssd-harness accuracy --help")
    args.shown_log = args.log
    args.log, args.annotations = whole_file(args.log, stack), whole_file(args.annotations, stack)
    return source if own else None


def whole_file(path: Path, stack: contextlib.ExitStack) -> Path:
    """The path of a file that can be read more than once: a pipe's content is kept until the stack is closed."""
    if path.is_file() or not path.exists():
        return path
    kept = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ssd-harness-"))) / path.name
    with path.open("rb") as file, kept.open("wb") as copy:
        shutil.copyfileobj(file, copy)
    return kept


def _read(args: argparse.Namespace, path: Path, truth: GroundTruth) -> _Source:
    if is_coco_results(path):
        if args.labels == "contiguous" or args.require_complete:
            what = "this is a COCO results file, which has category ids and does not say which images were looked at"
            raise UsageError(what, where=str(path), hint="leave out --labels contiguous and --require-complete")
        results, sha256 = read_coco_results(path, truth)
        return _Source("COCO results", results, sha256, len(results), 0)
    log = read_accuracy_log(path, image_count=len(truth.image_ids))
    results = results_of_log(log, truth, args.labels)
    return _Source("accuracy log", results, log.sha256, len(log.sequence), log.repeated)


def _report(
    args: argparse.Namespace, truth: GroundTruth, source: _Source, choice: ImageChoice, accuracy: Accuracy
) -> dict[str, Any]:
    missing = missing_images(truth, source.results)
    return {
        "log": str(args.shown_log),
        "kind": source.kind,
        "sha256": source.sha256,
        "annotations": str(args.annotations),
        "annotations_sha256": sha256_file(args.annotations),
        "labels": source.results.labels,
        "records": source.records,
        "records_repeated": source.repeated,
        "images_in_annotations": len(truth.image_ids),
        "images_in_log": len(source.results.image_ids),
        "images_missing": len(missing),
        "images_missing_first": missing[:10].tolist(),
        "images_evaluated": choice,
        # COCO results do not tell an image in which nothing was found from one that was not looked at
        "partial": bool(len(missing)) and source.kind == "accuracy log",
        "accuracy": accuracy.as_json(),
        "per_class": dict(accuracy.per_class),
    }


def _print(console: Console, report: dict[str, Any], per_class_of: Accuracy | None) -> None:
    accuracy = report["accuracy"]
    table = Table(title=f"{accuracy['images']} images, {accuracy['detections']} detections, {accuracy['evaluator']}")
    table.add_column("figure")
    table.add_column("%", justify="right")
    table.add_column("what it is")
    for name in FIGURES:
        table.add_row(name, _percent(accuracy[name]), MEANINGS[name], style="bold" if name == "mAP" else None)
    console.print(table)
    if per_class_of is not None:
        _print_classes(console, per_class_of)
    repeated = f", {report['records_repeated']} of them repeat an image" if report["records_repeated"] else ""
    console.print(f"{report['kind']} with {report['records']} entries{repeated}; labels read as {report['labels']}")
    if report["images_missing"]:
        _print_missing(console, report)
    if "cross_check" in report:
        check = report["cross_check"]
        if not check["differences"]:
            console.print(f"cross-check: {check['evaluator']} gives the same figures", style="green")
        for name, (one, other) in check["differences"].items():
            line = f"cross-check: {name} is {one:.9f}, but {other:.9f} by {check['evaluator']}"
            console.print(line, style="bold red")


def _print_missing(console: Console, report: dict[str, Any]) -> None:
    how_many = f"{report['images_missing']} of the annotations' {report['images_in_annotations']} images"
    meaning = {
        "logged": "the mAP is over the others and cannot be compared with one over all images",
        "all": "they count as images in which nothing was found",
        "annotated": "those with boxes count as images in which nothing was found",
    }[report["images_evaluated"]]
    if report["partial"]:
        console.print(f"PARTIAL: {how_many} are not in the log; {meaning}", style="bold yellow")
    else:
        console.print(f"{how_many} have no detections; {meaning}")


def _print_classes(console: Console, accuracy: Accuracy) -> None:
    table = Table(title="AP of each category, best first")
    table.add_column("category")
    table.add_column("%", justify="right")
    for name, figure in sorted(accuracy.per_class, key=lambda entry: -entry[1]):
        table.add_row(name, _percent(figure))
    console.print(table)


def _percent(figure: float) -> str:
    return percent_text(figure).removesuffix(" %")
