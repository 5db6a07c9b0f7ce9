"""The mAP of an accuracy test while it runs, so that a person can stop a broken one early."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from time import thread_time
from types import TracebackType

from harness.accuracy.coco_results import LabelMap, results_of_log
from harness.accuracy.evaluate import evaluate, has_hotcoco
from harness.accuracy.ground_truth import GroundTruth
from harness.accuracy.growing_log import GrowingLog
from harness.errors import HarnessError

POLL_S = 1.0
LEAST_IMAGES, MOST_IMAGES = 10, 250
"""Between two evaluations: a twentieth of the dataset, within these."""
SHARE_OF_TIME = 0.02
"""The share of the test's time that evaluations may take, on one core at the lowest priority."""

_LOGGER = logging.getLogger(__name__)


class RunningMap:
    """Reads the log that LoadGen is writing and evaluates it every few hundred images, in a thread of its own.

    Without hotcoco it does nothing: an evaluation by pycocotools would take the time of many images. A context manager:
    the thread ends with the block.

    Args:
        log: ``mlperf_log_accuracy.json`` of the test; need not be there yet.
        truth: of the dataset as it is run.
        labels: what the log writes for a class.
    """

    def __init__(self, log: Path, truth: GroundTruth, labels: LabelMap = "contiguous") -> None:
        self._log = GrowingLog(log, image_count=len(truth.image_ids))
        self._truth, self._labels = truth, labels
        self._every = min(max(len(truth.image_ids) // 20, LEAST_IMAGES), MOST_IMAGES)
        self._latest: tuple[float, int] | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="running mAP", daemon=True)

    @property
    def latest(self) -> tuple[float, int] | None:
        """(mAP in 0..1, images it is of); None before the first."""
        return self._latest

    def __enter__(self) -> RunningMap:
        if has_hotcoco():
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def update(self) -> None:
        """Evaluates if enough images have come.

        Raises:
            LogError: the log is damaged.
        """
        self._log.update()
        images = self._log.images
        if images - (self._latest[1] if self._latest else 0) < self._every:
            return
        results = results_of_log(self._log.so_far(), self._truth, self._labels)
        accuracy = evaluate(self._truth, results, results.image_ids, evaluator="hotcoco")
        if accuracy.mAP >= 0:  # else these images have no objects to find
            self._latest = (accuracy.mAP, images)

    def _watch(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)  # the devices' cores are for the devices
        wait_s = POLL_S
        while not self._over.wait(wait_s):
            began = thread_time()  # not the clock on the wall: the lowest priority waits most of the time
            try:
                self.update()
            except HarnessError as error:  # the evaluation after the test says so, and fails
                _LOGGER.warning("no running mAP: %s", error)
                return
            wait_s = max(POLL_S, (thread_time() - began) / SHARE_OF_TIME)
