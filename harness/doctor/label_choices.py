"""Ways to write a label."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from harness.doctor.choices import Choice
from harness.doctor.evidence import Evidence, Ints


def label_choices(evidence: Evidence) -> list[Choice]:
    """How a label may mean a category."""
    truth = evidence.truth
    count = len(truth.category_ids)
    contiguous, coco = _contiguous(count), _ids(truth.category_ids)
    readings = {"contiguous": contiguous, "coco": coco}
    expected = evidence.reading
    if expected == "auto":
        known = {name: (read(evidence.labels) >= 0).mean() if len(evidence) else 1 for name, read in readings.items()}
        expected = "contiguous" if known["contiguous"] >= known["coco"] else "coco"
    range_text, id_text = f"1..{count}", "category ids"
    as_text = {"contiguous": f"contiguous, {range_text}", "coco": id_text}
    other = "coco" if expected == "contiguous" else "contiguous"
    write = f"write label i of the model as {'i' if expected == 'contiguous' else 'the i-th category id'}, from 1"
    choices = [Choice(f"labels-{expected}", "labels", f"labels are {as_text[expected]}", "", readings[expected])]

    def add(name: str, problem: str, read: Callable[[Ints], Ints], advice: str = write) -> None:
        choices.append(Choice(name, "labels", problem, advice, read))

    add(
        f"labels-{other}",
        f"labels are {as_text[other]}, but were read as {as_text[expected]} (80 and 91 ids mixed up)",
        readings[other],
        f"say --labels {other}, or map them when the log is written",
    )
    for step in (1, 2):
        low, high = ("one" if step == 1 else "two") + " too low", ("one" if step == 1 else "two") + " too high"
        for shift, how in ((step, low), (-step, high)):
            why = "counted from 0, or without the background" if shift > 0 else "the background was counted twice"
            add(f"labels-shifted-{-shift:+d}", f"labels are {how} ({why})", _after(readings[expected], shift))
            if expected == "coco":
                text = f"labels are the ids of categories that are {how} ({why} before the map to ids)"
                add(f"categories-shifted-{-shift:+d}", text, _shifted(coco, shift, count))
                text = f"labels are {range_text}, not category ids, and {how}"
                add(f"labels-contiguous-{-shift:+d}", text, _after(contiguous, shift))
            else:
                text = f"labels are category ids, not {range_text}, and {how}"
                add(f"labels-coco-{-shift:+d}", text, _after(coco, shift))
    ids = truth.category_ids
    # label → id, taken for a label again; clipped as an index into the list usually is
    for name, table in (("dropped", None), ("clipped", count)):
        add(f"labels-mapped-twice-{name}", "labels were mapped to category ids twice", _mapped_twice(ids, table))
    add(
        "labels-unmapped-twice",
        "category ids were taken for ids where they already were 1..80, and mapped back",
        _unmapped_twice(ids),
    )
    alphabetical = np.argsort(np.array(truth.category_names, dtype=str), kind="stable")
    add("labels-alphabetical", "labels count the categories in alphabetical order", _permuted(alphabetical))
    add(
        "labels-alphabetical-from-0",
        "labels count the categories in alphabetical order from 0",
        _permuted(alphabetical, 0),
    )
    return choices


def _contiguous(count: int) -> Callable[[Ints], Ints]:
    return lambda labels: np.where((labels >= 1) & (labels <= count), labels - 1, -1)


def _ids(ids: Ints) -> Callable[[Ints], Ints]:
    order = np.argsort(ids)

    def read(labels: Ints) -> Ints:
        found = order[np.searchsorted(ids, labels, sorter=order).clip(max=len(ids) - 1)]
        return np.where(ids[found] == labels, found, -1)

    return read


def _after(read: Callable[[Ints], Ints], shift: int) -> Callable[[Ints], Ints]:
    return lambda labels: read(labels + shift)


def _shifted(read: Callable[[Ints], Ints], shift: int, count: int) -> Callable[[Ints], Ints]:
    def shifted(labels: Ints) -> Ints:
        categories = read(labels)
        moved = categories + shift
        return np.where((categories >= 0) & (moved >= 0) & (moved < count), moved, -1)

    return shifted


def _lookup(table: dict[int, int]) -> Callable[[Ints], Ints]:
    keys, values = np.array(sorted(table)), np.array([table[key] for key in sorted(table)])

    def read(labels: Ints) -> Ints:
        found = np.searchsorted(keys, labels).clip(max=len(keys) - 1)
        return np.where(keys[found] == labels, values[found], -1)

    return read


def _mapped_twice(ids: Ints, clip: int | None) -> Callable[[Ints], Ints]:
    table: dict[int, int] = {}
    for category, once in enumerate(ids.tolist()):
        again = min(once, clip) if clip is not None else once
        if 1 <= again <= len(ids):
            table.setdefault(int(ids[again - 1]), category)
    return _lookup(table or {-1: -1})


def _unmapped_twice(ids: Ints) -> Callable[[Ints], Ints]:
    """A contiguous label looked up among the ids; what is written is its place there."""
    places = {int(each): place for place, each in enumerate(ids.tolist())}
    return _lookup({places[label] + 1: label - 1 for label in range(1, len(ids) + 1) if label in places} or {-1: -1})


def _permuted(order: Ints, first: int = 1) -> Callable[[Ints], Ints]:
    def read(labels: Ints) -> Ints:
        place = labels - first
        return np.where((place >= 0) & (place < len(order)), order[place.clip(0, len(order) - 1)], -1)

    return read
