"""How long an evaluation takes and how much memory: the reference's method against ours, on a made log.

    python tests/benchmarks/accuracy_evaluation.py [--images 5000] [--boxes 500000] [--annotations JSON]

Each method runs in a process of its own, from the log's file to the twelve figures; the peak is that process's.
The baseline does what MLPerf's accuracy-coco.py does: json.load of the whole log, a dictionary per box, a JSON file
of them, and pycocotools on that file.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, cast

import numpy as np

from harness.accuracy.coco_results import results_of_log
from harness.accuracy.evaluate import Evaluator, evaluate
from harness.accuracy.ground_truth import read_ground_truth
from harness.accuracy.log import read_accuracy_log

METHODS = ("baseline", "pycocotools", "hotcoco")
SIZE = (640, 480)


def baseline(log: Path, annotations: Path) -> list[float]:
    """The reference's method."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with log.open() as file:
        records = json.load(file)
    truth = COCO(str(annotations))
    images, categories = truth.getImgIds(), truth.getCatIds()
    detections = []
    seen = set()
    for record in records:
        if record["qsl_idx"] in seen:
            continue
        seen.add(record["qsl_idx"])
        image = truth.imgs[images[record["qsl_idx"]]]
        values = np.frombuffer(bytes.fromhex(record["data"]), np.float32)
        for i in range(0, len(values), 7):
            _, ymin, xmin, ymax, xmax, score, label = values[i : i + 7]
            x, y = float(xmin * image["width"]), float(ymin * image["height"])
            detections.append(
                {
                    "image_id": image["id"],
                    "category_id": categories[int(label) - 1],
                    "bbox": [x, y, float(xmax * image["width"]) - x, float(ymax * image["height"]) - y],
                    "score": float(score),
                }
            )
    results = log.with_suffix(".results.json")
    with results.open("w") as file:
        json.dump(detections, file, sort_keys=True, indent=4)
    evaluation = COCOeval(truth, truth.loadRes(str(results)), "bbox")
    evaluation.params.imgIds = [images[index] for index in seen]
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return [float(figure) for figure in evaluation.stats]


def ours(log: Path, annotations: Path, evaluator: Evaluator) -> list[float]:
    truth = read_ground_truth(annotations)
    results = results_of_log(read_accuracy_log(log, image_count=len(truth.image_ids)), truth, "contiguous")
    return list(evaluate(truth, results, truth.image_ids, evaluator=evaluator).figures().values())


def make(folder: Path, images: int, boxes: int, annotations: Path | None) -> tuple[Path, Path]:
    """A log of so many boxes: true ones moved a little, and false ones of every class; and its annotations."""
    rng = np.random.default_rng(0)
    if annotations is None:
        annotations = folder / "annotations.json"
        count = 36_781 * images // 5000  # of val2017
        corner, side = rng.uniform(0, 0.7, (count, 2)) * SIZE, rng.uniform(0.02, 0.3, (count, 2)) * SIZE
        frequency = 1 / np.arange(1, 81)  # a few classes are most of COCO, too
        categories = 1 + rng.choice(80, count, p=frequency / frequency.sum())
        document = {
            "images": [{"id": i + 1, "width": SIZE[0], "height": SIZE[1]} for i in range(images)],
            "categories": [{"id": i, "name": str(i)} for i in range(1, 81)],
            "annotations": [
                {
                    "id": i + 1,
                    "image_id": int(image),
                    "category_id": int(category),
                    "bbox": [*place.tolist(), *size.tolist()],
                    "area": float(size.prod()),
                    "iscrowd": int(i % 80 == 0),
                }
                for i, (image, category, place, size) in enumerate(
                    zip(rng.integers(1, images + 1, count), categories, corner, side, strict=True)
                )
            ],
        }
        annotations.write_text(json.dumps(document))
    truth = read_ground_truth(annotations)
    table: dict[int, list[Any]] = {image: [] for image in range(len(truth.image_ids))}
    index_of = {image: index for index, image in enumerate(truth.image_ids.tolist())}
    label_of = {category: index + 1 for index, category in enumerate(truth.category_ids.tolist())}
    for image, category, (x, y, w, h) in zip(
        truth.box_image_ids.tolist(), truth.box_category_ids.tolist(), truth.boxes.tolist(), strict=True
    ):
        index = index_of[image]
        ltrb = np.array([y, x, y + h, x + w]) / np.tile([truth.heights[index], truth.widths[index]], 2)
        ltrb += rng.normal(0, 0.01, 4)
        table[index].append([index, *ltrb, rng.random(), label_of[category]])
    for index in rng.integers(0, len(table), max(0, boxes - len(truth.boxes))).tolist():
        ymin, xmin = rng.uniform(0, 0.7, 2)
        height, width = rng.uniform(0.02, 0.3, 2)
        label = int(rng.integers(1, len(truth.category_ids) + 1))
        table[index].append([index, ymin, xmin, ymin + height, xmin + width, 0.6 * rng.random(), label])
    log = folder / "mlperf_log_accuracy.json"
    records = (
        f'{{ "seq_id" : {index}, "qsl_idx" : {index}, "data" : "{np.array(rows, "<f4").tobytes().hex().upper()}" }}'
        for index, rows in table.items()
    )
    log.write_text("[\n" + ",\n".join(records) + "\n]\n")
    return log, annotations


def run_one(method: str, log: Path, annotations: Path) -> None:
    """In the child: the figures, the seconds and the peak as JSON."""
    began = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        figures = (
            baseline(log, annotations) if method == "baseline" else ours(log, annotations, cast(Evaluator, method))
        )
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(json.dumps({"figures": figures, "seconds": seconds, "peak_gb": peak}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--boxes", type=int, default=500_000)
    parser.add_argument("--annotations", type=Path, help="real ones instead of made ones")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        run_one(args.one[0], Path(args.one[1]), Path(args.one[2]))
        return
    with tempfile.TemporaryDirectory() as folder:
        log, annotations = make(Path(folder), args.images, args.boxes, args.annotations)
        megabytes = log.stat().st_size / 1e6
        print(f"{args.images} images, {args.boxes} boxes, log of {megabytes:.1f} MB, {os.cpu_count()} cores")
        print(f"{'method':<12} {'seconds':>9} {'speed-up':>9} {'peak GB':>8}   mAP")
        first = None
        for method in METHODS:
            command = [sys.executable, __file__, "--one", method, str(log), str(annotations)]
            answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            first = answer if first is None else first
            assert np.abs(np.subtract(answer["figures"], first["figures"])).max() < 1e-5, "the figures differ"
            ratio = first["seconds"] / answer["seconds"]
            figures = f"{answer['seconds']:9.2f} {ratio:8.1f}x {answer['peak_gb']:8.2f}   {answer['figures'][0]:.6f}"
            print(f"{method:<12} {figures}", flush=True)


if __name__ == "__main__":
    main()
