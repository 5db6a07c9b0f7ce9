"""Which image a sample index may mean, and what a score."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from harness.doctor.choices import Choice
from harness.doctor.evidence import Evidence, Floats, Ints

ORDER_ADVICE = "count the samples in the order of the annotations' list of images, all of them"


def order_choices(evidence: Evidence) -> list[Choice]:
    """Which image a sample index means."""
    truth = evidence.truth
    count = len(truth.image_ids)
    every = np.arange(count)
    choices = [Choice("order-of-annotations", "order", "the samples are in the annotations' order", "", _at(every))]
    by_id = np.argsort(truth.ids_in_file, kind="stable")
    by_text = np.argsort(truth.ids_in_file.astype(str), kind="stable")
    by_name = np.argsort(np.array(truth.file_names, dtype=str), kind="stable") if truth.file_names else by_id
    annotated = np.flatnonzero(np.isin(truth.image_ids, truth.box_image_ids))
    if evidence.kind == "COCO results":
        return choices
    sorted_orders = [("id", "in ascending order of the image ids", by_id)]
    if not np.array_equal(by_name, by_id):
        sorted_orders.append(("file-name", "in ascending order of the file names", by_name))
    sorted_orders.append(("id-as-text", "in the order of the image ids as text (100 before 99)", by_text))
    for name, what, order in sorted_orders:
        choices.append(Choice(f"order-of-{name}", "order", f"the samples are counted {what}", ORDER_ADVICE, _at(order)))
        text = f"the samples' order was sorted twice: {what}"
        inverse = _at(np.argsort(order))
        choices.append(Choice(f"order-against-{name}", "order", text, ORDER_ADVICE, inverse))
    for name, what, order in (
        ("annotated", "without the images that have no boxes", annotated),
        ("from-1", "from 1", np.arange(count + 1) - 1),
        ("ahead", "one too low: the first image is left out", np.append(every[1:], -1)),
        ("rotated-ahead", "one too low, the first image at the end", np.roll(every, -1)),
        ("rotated-behind", "one too high, the last image at the beginning", np.roll(every, 1)),
        ("backwards", "from the last to the first", every[::-1]),
    ):
        choices.append(Choice(f"order-{name}", "order", f"the samples are counted {what}", ORDER_ADVICE, _at(order)))
    return choices


def _at(order: Ints) -> Callable[[Ints], Ints]:
    def read(places: Ints) -> Ints:
        inside = (places >= 0) & (places < len(order))
        return np.where(inside, order[places.clip(0, len(order) - 1)], -1)

    return read


def score_choices() -> list[Choice]:
    """What a score means for the ranking."""
    choices = [
        Choice("scores-as-expected", "scores", "the best detection has the highest score", "", lambda scores: scores)
    ]
    choices.append(
        Choice(
            "scores-reversed",
            "scores",
            "scores are reversed: the best detection has the lowest (1 − score, or the background's share)",
            "write the class's own probability after softmax",
            _reversed,
        )
    )
    return choices


def _reversed(scores: Floats) -> Floats:
    return -scores
