"""How well the doctor does: defects planted into real logs, and what it says first.

    python tests/benchmarks/doctor_cases.py [--data DIR] [--run RUN] [--only TEXT] [--evaluator hotcoco]

--run adds the accuracy log of a run of ours, as of the default model on the synthetic dataset.
"""

from __future__ import annotations

import argparse
import itertools
import time
from pathlib import Path

from harness.accuracy.ground_truth import read_ground_truth
from harness.accuracy.log import read_accuracy_log
from harness.doctor.diagnosis import diagnose
from harness.doctor.evidence import evidence_of_log
from harness.runs.evaluation import accuracy_source
from tests.conftest import DATA
from tests.support.planted_mistakes import DEFECTS, HARMLESS, Defect, both

LOGS = (("Fujitsu", "v0.7_Fujitsu_T4x4_Offline_TEST01"), ("ssd-small", "v0.5_NVIDIA_T4x20_ssd-small_Offline"))
HEALTHY = Defect((), lambda log, truth: (log, truth))
PAIRS = (
    ("boxes as x1y1x2y2", "labels one too low"),
    ("boxes as x1y1wh", "pixels of 1200"),
    ("labels one too high", "score threshold 0.5"),
    ("letterbox", "labels one too low"),
    ("id order", "mirrored"),
    ("pixels", "labels mapped twice"),
    ("boxes as cxcywh", "10 detections"),
    ("id order", "boxes as x1y1x2y2"),
)


def cases() -> list[tuple[str, Defect]]:
    """Name and defect."""
    combined = [(f"{one} + {other}", both(DEFECTS[one], DEFECTS[other])) for one, other in PAIRS]
    harmless = [(name, Defect((), plant)) for name, plant in HARMLESS.items()]
    return [("healthy", HEALTHY), *harmless, *DEFECTS.items(), *combined]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--only", default="", help="cases whose log and name have these words")
    parser.add_argument("--evaluator", default="hotcoco", choices=("hotcoco", "pycocotools"))
    args = parser.parse_args()
    annotations = args.data / "coco/annotations/instances_val2017_reconstructed.json"
    logs = {
        name: (args.data / "accuracy_logs" / f"{file}.mlperf_log_accuracy.json", annotations) for name, file in LOGS
    }
    if args.run is not None:
        source = accuracy_source(args.run)
        logs["our run"] = source.log, source.annotations
    right, total = 0, 0
    for name, (title, defect) in itertools.product(logs, cases()):
        if not all(word in f"{name} {title}" for word in args.only.split()):
            continue
        log, truth = read_accuracy_log(logs[name][0]), read_ground_truth(logs[name][1])
        planted, planted_truth = defect.plant(log, truth)
        began = time.perf_counter()
        found = diagnose(evidence_of_log(planted, planted_truth, "auto"), args.evaluator)
        seconds = time.perf_counter() - began
        names = [cause.name for cause in found.causes]
        first = names[: len(defect.names)] if defect.names else names
        ok = len(first) == len(defect.names) and all(any(n in first for n in wanted) for wanted in defect.names)
        right, total = right + ok, total + 1
        after = "" if found.repaired_mAP is None else f" -> {100 * found.repaired_mAP:.2f}"
        print(
            f"{'ok   ' if ok else 'WRONG'} {seconds:5.1f} s  {100 * found.mAP:5.2f}{after:9} "
            f"{name:9} {title:45} {', '.join(names) or 'nothing wrong'}",
            flush=True,
        )
    print(f"{right} of {total} right")


if __name__ == "__main__":
    main()
