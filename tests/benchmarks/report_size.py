"""How long the report of a full-size run takes, and how much memory: 24 576 samples and 5000 images.

    .venv/bin/python -m tests.benchmarks.report_size

The run is made up, in the form of a real one: SingleStream and Offline of 24 576 samples each, the latter on eight
sessions, and an accuracy test over 5000 images with 20 detections each, whose log, ground truth and gallery are read
as in a run.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from harness.accuracy.ground_truth import read_ground_truth
from harness.dataset.coco_index import CocoIndex
from harness.report.page import write_report
from harness.runs.evaluation import evaluate_run
from harness.runs.gallery import keep_gallery
from tests.support.made_logs import log_text, rows
from tests.support.made_runs import made_record, made_run, made_samples

SAMPLES, IMAGES, DETECTIONS, CATEGORIES = 24576, 5000, 20, 80


def make_dataset(folder: Path) -> CocoIndex:
    """5000 images (one JPEG, linked) with seven boxes each."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    picture = folder / "picture.jpg"
    cv2.imwrite(str(picture), cv2.resize(rng.integers(0, 255, (12, 16, 3), np.uint8), (640, 480)))
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    for k in range(IMAGES):
        name = f"{k:012d}.jpg"
        (folder / "images" / name).hardlink_to(picture)
        images.append({"id": k + 1, "file_name": name, "width": 640, "height": 480})
        for x, y, w, h in rng.uniform((0, 0, 20, 20), (440, 280, 200, 200), (7, 4)).round(1).tolist():
            box = {
                "bbox": [x, y, w, h],
                "area": w * h,
                "category_id": int(rng.integers(1, CATEGORIES + 1)),
                "iscrowd": 0,
            }
            annotations.append({"id": len(annotations) + 1, "image_id": k + 1, **box})
    categories = [{"id": k, "name": f"category {k}"} for k in range(1, CATEGORIES + 1)]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "instances.json").write_text(json.dumps(document))
    return CocoIndex.load(folder / "instances.json", folder / "images")


def make_accuracy(run: Path, dataset: CocoIndex) -> None:
    """An accuracy test whose detections are the objects, moved a little, and as many wrong ones as make up 20."""
    rng = np.random.default_rng(1)
    where = run / "offline" / "accuracy"
    where.mkdir(parents=True)
    document = json.loads(dataset.annotations.read_text())
    boxes: dict[int, list[tuple[float, ...]]] = {}
    for annotation in document["annotations"]:
        x, y, w, h = np.array(annotation["bbox"]) + rng.normal(0, 4, 4)
        box = (y / 480, x / 640, (y + h) / 480, (x + w) / 640, float(rng.uniform(0.3, 1)), annotation["category_id"])
        boxes.setdefault(annotation["image_id"] - 1, []).append(box)
    payloads = []
    for k in range(IMAGES):
        wrong = rng.uniform(
            (0, 0, 0.5, 0.5, 0.05, 1), (0.4, 0.4, 1, 1, 0.5, CATEGORIES), (DETECTIONS - len(boxes[k]), 6)
        )
        wrong[:, 5] = wrong[:, 5].round()
        payloads.append((k, rows(k, *boxes[k], *map(tuple, wrong.tolist()))))
    (where / "mlperf_log_accuracy.json").write_text(log_text(payloads))
    (where / "mlperf_log_detail.txt").write_text(':::MLLOG {"key": "x", "value": 1, "metadata": {}}\n')
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["tests"].append(made_record("offline", "accuracy"))
    (run / "manifest.json").write_text(json.dumps(manifest))


def main() -> None:
    if len(sys.argv) > 1:  # the measured process: its memory is its own
        began = time.monotonic()
        path = write_report(Path(sys.argv[1]))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"report.html: {time.monotonic() - began:.1f} s, {peak:.0f} MB, {path.stat().st_size / 1e6:.2f} MB large")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scenarios = {
            "single_stream": made_samples(SAMPLES),
            "offline": made_samples(SAMPLES, sessions=8, offline=True),
        }
        run = made_run(folder / "run", scenarios)
        size = (run / "offline/performance/run_1/samples.csv.gz").stat().st_size
        print(f"{SAMPLES} samples a test, {size / SAMPLES:.1f} bytes a sample on disk; {IMAGES} images")
        dataset = make_dataset(folder / "coco")
        make_accuracy(run, dataset)
        began = time.monotonic()
        truth = read_ground_truth(dataset.annotations).first(len(dataset))
        evaluated = evaluate_run(run / "offline" / "accuracy", dataset, truth)
        print(f"evaluation by pycocotools, with every image: {time.monotonic() - began:.1f} s")
        began = time.monotonic()
        keep_gallery(run / "offline" / "accuracy", dataset, evaluated)
        print(f"gallery: {time.monotonic() - began:.1f} s")
        subprocess.run([sys.executable, "-m", "tests.benchmarks.report_size", str(run)], check=True)


if __name__ == "__main__":
    main()
