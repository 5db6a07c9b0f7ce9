"""The mAP of published logs, to 0.01 points of what was published or, on rebuilt ground truth, of what the test data's
README.md states for it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.accuracy.coco_results import read_coco_results, results_of_log
from harness.accuracy.evaluate import Evaluator, differences, evaluate
from harness.accuracy.ground_truth import GroundTruth, read_ground_truth
from harness.accuracy.log import read_accuracy_log

POINTS = 0.01
FUJITSU = "v0.7_Fujitsu_T4x4_Offline_TEST01"


@pytest.fixture(scope="module")
def val2017(data: Path) -> GroundTruth:
    return read_ground_truth(data / "coco" / "annotations" / "instances_val2017_reconstructed.json")


# both evaluators on the short log; the whole ones take pycocotools some 5 s each
@pytest.mark.parametrize(
    ("name", "evaluator", "images", "labels", "map_percent"),
    [
        (FUJITSU, "pycocotools", 63, "contiguous", 25.38),
        (FUJITSU, "hotcoco", 63, "contiguous", 25.38),
        ("v0.5_NVIDIA_T4x20_ssd-small_Offline", "pycocotools", 5000, "coco", 22.914),
        ("v0.5_NVIDIA_T4x20_ssd-small_Offline", "hotcoco", 5000, "coco", 22.914),
        ("v0.5_dividiti_cuda_yolo-v3", "hotcoco", 5000, "coco", 28.551),
    ],
)
def test_a_published_accuracy_log_gives_its_map(
    data: Path, val2017: GroundTruth, name: str, evaluator: Evaluator, images: int, labels: str, map_percent: float
) -> None:
    if evaluator == "hotcoco":
        pytest.importorskip("hotcoco")
    log = read_accuracy_log(data / "accuracy_logs" / f"{name}.mlperf_log_accuracy.json", image_count=5000)
    results = results_of_log(log, val2017)
    assert results.labels == labels
    accuracy = evaluate(val2017, results, results.image_ids, evaluator=evaluator)
    assert accuracy.images == images
    assert 100 * accuracy.mAP == pytest.approx(map_percent, abs=POINTS)


def test_the_test01_log_repeats_its_images_as_loadgen_sampled_them(data: Path) -> None:
    log = read_accuracy_log(data / "accuracy_logs" / f"{FUJITSU}.mlperf_log_accuracy.json")
    assert (len(log.sequence), len(log.images), log.repeated) == (280, 63, 217)  # the data's README.md: 280 and 63


def test_pycocotools_own_example_gives_its_published_ap(data: Path) -> None:
    folder = data / "cocoapi_fakebbox100"
    truth = read_ground_truth(folder / "instances_val2014_100.json")
    results, _ = read_coco_results(folder / "instances_val2014_fakebbox100_results.json", truth)
    accuracy = evaluate(truth, results, truth.image_ids)
    # pycocoEvalDemo.ipynb of the COCO API
    assert accuracy.mAP == pytest.approx(0.505, abs=0.0005)
    assert pytest.approx(0.697, abs=0.0005) == accuracy.AP50
    assert pytest.approx(0.573, abs=0.0005) == accuracy.AP75
    pytest.importorskip("hotcoco")
    assert differences(accuracy, evaluate(truth, results, truth.image_ids, evaluator="hotcoco")) == {}
