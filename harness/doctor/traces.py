"""Mistakes that cannot be undone from the log, because something is no longer there: they are known by their traces."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from harness.doctor.cause import Cause
from harness.doctor.evidence import Evidence, Floats, Ints
from harness.doctor.matching import objects_of
from harness.doctor.reading import Read

USUAL_THRESHOLD = 0.4
"""A lowest score above it is a threshold for looking at pictures. Published logs are cut at 0.05 and at 0.3."""
DETECTIONS_KEPT = 200  # the SSD benchmarks', and more than COCO's 100 a class can use in most images
_PAIRS_LOOKED_AT = 3_000_000
_CROWDED = 8  # objects in an image of which some are found by any detector


def score_causes(scores: Floats) -> Iterator[Cause]:
    """Scores that are no probabilities, or cut off."""
    if len(scores) < 10:
        return
    low, high = float(scores.min()), float(scores.max())
    softmax = "write softmax over all classes with the background, then take the class's share"
    if low < 0 or high > 1 + 1e-6:
        share = float(np.mean((scores < 0) | (scores > 1)))
        yield Cause(
            "scores-not-softmaxed",
            "confidences are not softmaxed: they are logits, or otherwise no probabilities",
            f"scores go from {low:.4g} to {high:.4g}; {100 * share:.1f} % of them are outside 0..1",
            softmax,
        )
    elif low == high:
        yield Cause(
            "scores-constant", "all scores are the same", f"every one of {len(scores)} is {low:.4g}", "write the scores"
        )
    elif low >= 0.499 and high <= 0.7311:
        yield Cause(
            "scores-sigmoid-of-softmax",
            "confidences went through a sigmoid after the softmax",
            f"scores go from {low:.4f} to {high:.4f}: sigmoid makes 0.5..0.7311 of 0..1",
            softmax,
        )
    elif low >= USUAL_THRESHOLD:
        yield Cause(
            "score-threshold",
            f"a score threshold of about {_rounded(low)} was applied",
            f"no score of {len(scores)} is below {low:.4f}; mAP needs the uncertain detections too",
            "decode with the model's own threshold: 0.05 or less",
        )


def _rounded(low: float) -> str:
    return f"{np.floor(low * 20 + 1e-3) / 20:.2f}"


def count_causes(evidence: Evidence) -> Iterator[Cause]:
    """Detections cut off at a number, of an image or of a class in an image."""
    counts = np.bincount(np.unique(evidence.places, return_inverse=True)[1])
    most = _cap(counts)
    advice = f"keep {DETECTIONS_KEPT} detections of an image (all classes together)"
    if most is not None and most < DETECTIONS_KEPT:
        yield Cause(
            "too-few-detections",
            f"no more than {most} detections of an image are kept",
            f"{int((counts == most).sum())} of {len(counts)} images have exactly {most}, none has more",
            advice,
        )
        return
    truth = evidence.truth
    several = _counts(truth.box_image_ids[~truth.crowds], truth.box_category_ids[~truth.crowds])
    in_class = _counts(evidence.places, evidence.labels)
    most = _cap(in_class)
    if most is not None and most <= 20 and len(in_class) >= 50 and (several > most).mean() > 0.01:
        yield Cause(
            "too-few-detections-of-a-class",
            f"no more than {most} detections of a class in an image are kept",
            f"{int((in_class == most).sum())} times a class has exactly {most} in an image, never more",
            "keep 200 of a class before NMS, and 200 of an image after it",
        )


def _counts(one: Ints, other: Ints) -> Ints:
    """How many rows there are of each pair that occurs."""
    span = int(other.max(initial=0)) - int(other.min(initial=0)) + 1
    counts: Ints = np.unique(one * span + other, return_counts=True)[1]
    return counts


def _cap(counts: Ints) -> int | None:
    """The largest count, if so many have it that it must be a limit."""
    if len(counts) < 10:
        return None
    most = int(counts.max())
    at = int((counts == most).sum())
    near = max(int((counts == most - 1).sum()), int((counts == most - 2).sum()))
    return most if at >= max(5, 0.01 * len(counts)) and at > 1.5 * near else None


def image_causes(evidence: Evidence, read: Read) -> Iterator[Cause]:
    """Images of which there is no record, or of which the record is empty though there is much to find.

    Args:
        evidence: the log.
        read: its detections in the images where they belong.
    """
    truth = evidence.truth
    total = len(truth.image_ids)
    inside = np.unique(read.images[read.images >= 0])
    missing = total - len(inside)
    # a log of fewer than half of the images is one of a part by intention, as TEST01's are
    if evidence.kind == "accuracy log" and 0 < missing <= total / 2:
        yield Cause(
            "images-missing",
            f"{missing} of {total} images are missing",
            f"the log has {len(inside)} of the annotations' {total} images",
            "run all images of the dataset; a run of the first N is evaluated with --count N",
        )
    if evidence.kind == "COCO results":  # do not say which images were looked at
        inside = np.arange(total)
    yield from _empty_images(read, objects_of(truth).counts, inside)


def _empty_images(read: Read, objects: Ints, inside: Ints) -> Iterator[Cause]:
    """More images without detections than the number of their objects explains.

    A detector that finds nothing where there is little must find something where there is much.
    """
    found = np.bincount(read.places[read.places >= 0], minlength=len(objects))
    crowded = inside[objects[inside] >= _CROWDED]
    empty = int((found[crowded] == 0).sum())
    if len(crowded) >= 5 and empty > max(1, 0.02 * len(crowded)):
        all_empty = int((found[inside] == 0).sum())
        yield Cause(
            "images-without-detections",
            f"images are missing: about {100 * empty / len(crowded):.0f} % of them have no detections at all",
            f"{all_empty} of {len(inside)} images are empty, {empty} of the {len(crowded)} with {_CROWDED} objects "
            "or more",
            "see that no sample failed, and that every image's detections are written",
        )


def notes_on(evidence: Evidence) -> Iterator[str]:
    """Sentences on what a reader should know, though sound logs have it too."""
    total = len(evidence.truth.image_ids)
    inside = np.unique(evidence.images[(evidence.images >= 0) & (evidence.images < total)])
    if evidence.kind == "accuracy log" and len(inside) < total / 2:
        yield f"the log has {len(inside)} of the annotations' {total} images; figures are over those"
    if len(evidence) and 0 <= evidence.scores.min() < USUAL_THRESHOLD and evidence.scores.max() <= 1:
        yield f"the lowest score is {evidence.scores.min():.3f}: detections below it were not kept"
    counts = np.bincount(np.unique(evidence.places, return_inverse=True)[1]) if len(evidence) else np.zeros(1, int)
    yield f"an image has at most {counts.max()} detections, {np.median(counts):.0f} in the middle"


def nms_causes(read: Read) -> Iterator[Cause]:
    """The traces of the MLPerf reference's NMS, and of none.

    That NMS does not clamp negative overlaps: two boxes apart in both directions by gaps whose product is more than a
    third of the sum of their areas, and less than that sum, suppress each other at IoU 0.5. Such pairs are as common as
    their neighbours, unless it was at work.
    """
    gap, duplicates, looked_at = np.zeros(4, np.int64), 0, 0
    for boxes in _groups(read):
        i, j = np.triu_indices(len(boxes), 1)
        top, left, bottom, right = boxes.T
        area = (bottom - top) * (right - left)
        height = np.minimum(bottom[i], bottom[j]) - np.maximum(top[i], top[j])
        width = np.minimum(right[i], right[j]) - np.maximum(left[i], left[j])
        both = area[i] + area[j]
        apart = (height < 0) & (width < 0) & (both > 0)
        gap += np.histogram((height * width)[apart] / both[apart], (0.2, 0.32, 0.36, 0.95, 2.0))[0]
        overlap = height.clip(0) * width.clip(0)
        same = overlap > 0.75 * (both - overlap)
        duplicates += len(np.unique(j[same]))
        looked_at += len(boxes)
    around = int(gap[0] + gap[3])
    if around >= 40 and gap[2] < 0.02 * around:
        yield Cause(
            "nms-reference",
            "the NMS is the MLPerf reference's, which also suppresses boxes that are apart in x and in y",
            f"of pairs of a class that are apart, {int(gap[2])} are at a distance at which it suppresses, "
            f"but {around} just nearer or farther",
            "decode with nms: corrected (0.2201 mAP against 0.2132 in a published pair)",
        )
    if looked_at >= 50 and duplicates > 0.1 * looked_at:
        yield Cause(
            "nms-missing",
            "the NMS is missing, or its IoU threshold is far too high",
            f"{duplicates} of {looked_at} detections lie on another of their class with an IoU above 0.75",
            "apply NMS at IoU 0.5 within each class",
        )


def _groups(read: Read) -> Iterator[Floats]:
    """The boxes, best first, of each class in each image that has two or more."""
    known = np.flatnonzero((read.places >= 0) & (read.categories >= 0) & np.isfinite(read.boxes).all(axis=1))
    order = known[np.lexsort((-read.scores[known], read.categories[known], read.places[known]))]
    key = np.stack([read.places[order], read.categories[order]])
    if not len(order):
        return
    begins = np.flatnonzero((np.diff(key) != 0).any(axis=0)) + 1
    seen = 0
    for group in np.split(order, begins):
        if len(group) > 1:
            seen += len(group) * (len(group) - 1) // 2
            yield read.boxes[group]
        if seen > _PAIRS_LOOKED_AT:
            return
