"""``accuracy.txt``, the file in which a submission states its accuracy."""

from __future__ import annotations

from pathlib import Path

from harness.accuracy.evaluate import Accuracy, percent_text
from harness.files import write_text

ACCURACY_TXT = "accuracy.txt"

# figure, title, IoU thresholds, area, detections an image: the lines of pycocotools' COCOeval.summarize
_LINES = (
    ("mAP", "Average Precision  (AP)", "0.50:0.95", "all", 100),
    ("AP50", "Average Precision  (AP)", "0.50", "all", 100),
    ("AP75", "Average Precision  (AP)", "0.75", "all", 100),
    ("APs", "Average Precision  (AP)", "0.50:0.95", "small", 100),
    ("APm", "Average Precision  (AP)", "0.50:0.95", "medium", 100),
    ("APl", "Average Precision  (AP)", "0.50:0.95", "large", 100),
    ("AR1", "Average Recall     (AR)", "0.50:0.95", "all", 1),
    ("AR10", "Average Recall     (AR)", "0.50:0.95", "all", 10),
    ("AR100", "Average Recall     (AR)", "0.50:0.95", "all", 100),
    ("ARs", "Average Recall     (AR)", "0.50:0.95", "small", 100),
    ("ARm", "Average Recall     (AR)", "0.50:0.95", "medium", 100),
    ("ARl", "Average Recall     (AR)", "0.50:0.95", "large", 100),
)


def accuracy_txt(accuracy: Accuracy, log_sha256: str) -> str:
    """The file's text: COCO's twelve lines, then the two that the submission checker reads.

    An mAP that is not defined is written so, which the checker takes for none.

    Args:
        accuracy: over all images of the dataset, by pycocotools for a submission.
        log_sha256: of the untruncated accuracy log.
    """
    figures = accuracy.figures()
    lines = [
        f" {title} @[ IoU={iou:<9} | area={area:>6} | maxDets={limit:>3} ] = {figures[name]:0.3f}"
        for name, title, iou, area, limit in _LINES
    ]
    return "\n".join([*lines, f"mAP={percent_text(accuracy.mAP).replace(' %', '%')}", f"hash={log_sha256}"]) + "\n"


def write_accuracy_txt(path: Path, accuracy: Accuracy, log_sha256: str) -> None:
    """Writes ``accuracy.txt``, whole or not at all."""
    write_text(path, accuracy_txt(accuracy, log_sha256))
