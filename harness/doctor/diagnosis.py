"""The search for what is wrong: every single mistake, every two, and the traces of those that cannot be undone."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from harness.accuracy.evaluate import Accuracy, Evaluator, evaluate, percent_text
from harness.doctor.by_image import resized_images, turned_images, unknown_order
from harness.doctor.cause import Cause
from harness.doctor.choices import Choice
from harness.doctor.class_use import class_causes, class_use, exchanged_classes
from harness.doctor.displaced_boxes import displaced_boxes, shift_note
from harness.doctor.evidence import Evidence, Floats
from harness.doctor.no_reading_fits import no_reading_fits
from harness.doctor.reading import Reading, Readings
from harness.doctor.traces import count_causes, image_causes, nms_causes, notes_on, score_causes
from harness.doctor.trial import Trial, significance

_TRIAL = {"images": 1200, "best": 60}
_PAIR_TRIAL = {"images": 160, "best": 25}
_FINALISTS: dict[Evaluator, int] = {"hotcoco": 12, "pycocotools": 3}  # which takes seconds for each
CERTAINTY = 4.0
"""Standard errors by which a reading must be better to be believed: far above the best of thousands by chance."""
LEAST_GAIN = 0.002
"""mAP that a repair must give at least: 0.2 points."""
_CERTAINTY_OF_ESTIMATES = 2.0  # which come with an interval of their own
_CERTAINTY_BY_IMAGE = 2.0  # these come with a count of images of their own, and a tenth of the images may be harmed
_SURELY_SOMETHING = 0.5  # average precision that needs no comparison: other images may have the same objects
_NOTHING = 0.01  # average precision of boxes that have nothing to do with the images


@dataclass(frozen=True)
class Attempt:
    """One reading and what it gives.

    Attributes:
        names: of the mistakes that it assumes.
        problems: the same in words.
        mAP: of the log repaired so, over the images in it.
    """

    names: tuple[str, ...]
    problems: tuple[str, ...]
    mAP: float  # noqa: N815 -- the field's own name


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with a log.

    Attributes:
        causes: all that is wrong, together, the most important first; empty: nothing is.
        mAP: as the log is.
        repaired_mAP: with what can be repaired repaired; None if nothing can.
        attempts: the best readings, best first, with what each gives; the log as it is among them.
        notes: what is unusual but not wrong.
        evaluator: that gave the figures.
        images: how many they are over.
        tried: how many readings were tried.
    """

    causes: tuple[Cause, ...]
    mAP: float  # noqa: N815
    repaired_mAP: float | None  # noqa: N815
    attempts: tuple[Attempt, ...]
    notes: tuple[str, ...]
    evaluator: str
    images: int
    tried: int


def diagnose(evidence: Evidence, evaluator: Evaluator, say: Callable[[str], None] = lambda doing: None) -> Diagnosis:
    """Finds what is wrong.

    Args:
        evidence: the log, as written.
        evaluator: for the figures.
        say: told what is being done.
    """
    if not len(evidence):
        images = f"{len(evidence.images)} images are recorded, and there is not one detection"
        advice = "see what the model gives (ssd-harness doctor model) and which score threshold is applied"
        nothing = Cause("no-detections", "nothing was detected in any image", images, advice)
        return Diagnosis((nothing,), 0.0, None, (), (), evaluator, len(evidence.images), 0)
    search = _Search(evidence, evaluator, say)
    if not search.trial.objects.counts.any():
        what = f"none of the {len(search.trial.objects.counts)} images of the annotations has an object besides crowds"
        nothing = Cause("no-objects", "there is nothing to find, and no mAP is defined", what, "give other annotations")
        return Diagnosis((nothing,), -1.0, None, (), (), evaluator, len(evidence.images), 0)
    return search.diagnosis()


def diagnose_default_model(evidence: Evidence, evaluator: Evaluator) -> Diagnosis:
    """The diagnosis of a log that the harness's own model made of photographs: nothing else need be looked for."""
    readings = Readings.of(evidence)
    results = readings.results(readings.default)
    accuracy = evaluate(evidence.truth, results, results.image_ids, evaluator=evaluator)
    cause = Cause(
        "default-model",
        "the model is the harness's own one, which knows synthetic objects only, and the images are photographs",
        f"its mAP on them is {percent_text(accuracy.mAP)}, and means nothing for the device or its speed",
        "give a model that was trained on COCO with --model",
    )
    attempt = Attempt((), (), accuracy.mAP)
    return Diagnosis((cause,), accuracy.mAP, None, (attempt,), (), accuracy.evaluator, accuracy.images, 1)


class _Search:
    def __init__(self, evidence: Evidence, evaluator: Evaluator, say: Callable[[str], None]) -> None:
        self.evidence = evidence
        self.evaluator = evaluator
        self.say = say
        self.readings = Readings.of(evidence)
        self.trial = Trial.of(self.readings, **_TRIAL)
        self.small = Trial.of(self.readings, **_PAIR_TRIAL)
        self.whole = Trial.of(self.readings, images=None, best=_TRIAL["best"])
        self.tried = 0
        self._parts: dict[Reading, Floats] = {}
        self._accuracy: dict[Reading, Accuracy | None] = {}

    def diagnosis(self) -> Diagnosis:
        default = self.readings.default
        self.say("trying single mistakes")
        singles = self.readings.singles()
        self.say("trying combinations of two")
        candidates = sorted(
            dict.fromkeys([*singles, *self._promising_pairs(singles)]), key=lambda reading: -self.parts(reading).sum()
        )
        best = self._displaced(self._chosen(candidates))
        best = self._classes_put_right(best)
        self.say("looking at each image by itself")
        best, lost = self._by_image(best)
        self.say("evaluating the best readings")
        attempts = self._attempts([default, best, *candidates[: _FINALISTS[self.evaluator]]])
        as_is, repaired = self.accuracy(default), self.accuracy(best)
        return Diagnosis(
            causes=(*self._mistakes(best), *lost, *self._traces(best, lost)),
            mAP=as_is.mAP if as_is else 0.0,
            repaired_mAP=repaired.mAP if repaired and best != default else None,
            attempts=tuple(attempts),
            notes=tuple(self._notes(best, lost)),
            evaluator=as_is.evaluator if as_is else self.evaluator,
            images=as_is.images if as_is else 0,
            tried=self.tried,
        )

    def _displaced(self, best: Reading) -> Reading:
        """The reading with the displacement of its boxes undone, if that is better."""
        default = self.readings.default
        choice = displaced_boxes(self.trial, default)
        if choice is not None:
            moved = default.with_choice(choice)
            if self._surpasses(moved, best, _CERTAINTY_OF_ESTIMATES):  # else a known formula is the better name
                return moved
        choice = displaced_boxes(self.trial, best) if best != default else None
        if choice is not None and self._surpasses(best.with_choice(choice), best):
            return best.with_choice(choice)
        return best

    def _classes_put_right(self, best: Reading) -> Reading:
        """The reading with classes put right that are given for each other, if that is better."""
        if best.labels is not self.readings.default.labels:
            return best
        choice = exchanged_classes(class_use(self.whole, best), self.evidence.truth, best)
        if choice is not None and self._surpasses(best.with_choice(choice), best, _CERTAINTY_OF_ESTIMATES):
            return best.with_choice(choice)
        return best

    def _by_image(self, best: Reading) -> tuple[Reading, list[Cause]]:
        """A reading that treats images differently, if that is better; and what is wrong if no reading fits at all."""
        default = self.readings.default
        made = []
        for reading in dict.fromkeys([best, default]):
            for look in (turned_images, resized_images):
                choice = look(self.readings, self.trial, reading)
                if choice is not None and reading.at(choice.step) is default.at(choice.step):
                    made.append(reading.with_choice(choice))
        for reading in made:
            if self._surpasses(reading, best, certainty=_CERTAINTY_BY_IMAGE):
                best = reading
        if self._fits_at_all(best):
            return best, []
        order = unknown_order(self.readings, self.trial, default)
        if order is not None:
            return default.with_choice(order), []
        return default, [no_reading_fits(self.readings, self.trial)]

    def _fits_at_all(self, best: Reading) -> bool:
        """Whether detections agree with the annotations better than with those of other images."""
        elsewhere = [float(self.trial.parts_elsewhere(best, step).sum()) for step in (1, 3, 7)]
        fit = float(self.parts(best).sum())
        return fit > min(_SURELY_SOMETHING, max(_NOTHING, 4 * float(np.mean(elsewhere))))

    def _traces(self, best: Reading, lost: list[Cause]) -> list[Cause]:
        """What else can be seen; of images only where it is known which they are."""
        read = self.readings.read(best)
        known = not lost and best.order.name != "order-unknown"
        scores = [*score_causes(self.evidence.scores)]
        images = [*image_causes(self.evidence, read)] if known else []
        if any(cause.name == "score-threshold" for cause in scores):  # which empties images by itself
            images = [cause for cause in images if cause.name != "images-without-detections"]
        classes: list[Cause] = []
        if known and best.labels is self.readings.default.labels:  # another labelling loses classes by itself
            classes = [*class_causes(class_use(self.whole, best), self.evidence.truth)]
        return [
            *classes,
            *scores,
            *images,
            *count_causes(self.evidence),
            *nms_causes(read),
        ]

    def _notes(self, best: Reading, lost: list[Cause]) -> Iterator[str]:
        yield from notes_on(self.evidence)
        if not lost and best.displacement is self.readings.default.displacement:
            note = shift_note(self.trial, best)
            if note is not None:
                yield note

    def _attempts(self, readings: list[Reading]) -> list[Attempt]:
        """Each once, best first; of those that give the same, the simplest."""
        made: dict[float, Attempt] = {}
        for attempt in sorted(map(self._attempt, dict.fromkeys(readings)), key=lambda each: len(each.names)):
            made.setdefault(round(attempt.mAP, 9), attempt)
        return sorted(made.values(), key=lambda attempt: -attempt.mAP)

    def _mistakes(self, best: Reading) -> list[Cause]:
        return [self._cause(choice, best) for choice in self.readings.mistakes(best)]

    def parts(self, reading: Reading) -> Floats:
        if reading not in self._parts:
            self._parts[reading] = self.trial.parts(reading)
        return self._parts[reading]

    def accuracy(self, reading: Reading) -> Accuracy | None:
        if reading not in self._accuracy:
            results = self.readings.results(reading)
            self._accuracy[reading] = (
                evaluate(self.evidence.truth, results, results.image_ids, evaluator=self.evaluator)
                if len(results.image_ids)
                else None
            )
        return self._accuracy[reading]

    def _promising_pairs(self, singles: list[Reading]) -> list[Reading]:
        default = self.readings.default
        scored = []
        for one, other in itertools.combinations(singles, 2):
            (step,), (other_step,) = one.differences(default), other.differences(default)
            if step != other_step:
                both = one.with_choice(other.at(other_step))
                scored.append((float(self.small.parts(both).sum()), both))
        self.tried = len(singles) + len(scored)
        scored.sort(key=lambda each: -each[0])
        return [reading for _, reading in scored[:40]]

    def _chosen(self, candidates: list[Reading]) -> Reading:
        """The simplest reading that no other surpasses with certainty."""
        best = default = self.readings.default
        for count in (1, 2):
            of_count = [reading for reading in candidates if len(reading.differences(default)) == count]
            if of_count and self._surpasses(of_count[0], best):
                best = of_count[0]
        return best

    def _surpasses(self, one: Reading, other: Reading, certainty: float = CERTAINTY) -> bool:
        parts, others = self.parts(one), self.parts(other)
        if parts.sum() <= others.sum() or significance(parts, others) < certainty:
            return False
        after, before = self.accuracy(one), self.accuracy(other)
        return after is not None and after.mAP > (before.mAP if before else 0) + LEAST_GAIN

    def _attempt(self, reading: Reading) -> Attempt:
        mistakes = self.readings.mistakes(reading)
        accuracy = self.accuracy(reading)
        return Attempt(
            tuple(choice.name for choice in mistakes),
            tuple(choice.problem for choice in mistakes),
            accuracy.mAP if accuracy else 0.0,
        )

    def _cause(self, choice: Choice, best: Reading) -> Cause:
        without = best.with_choice(self.readings.default.at(choice.step))
        repaired, as_written = self.accuracy(best), self.accuracy(without)
        evidence = (
            f"read so, the mAP is {100 * (repaired.mAP if repaired else 0):.2f} %; "
            f"otherwise {100 * (as_written.mAP if as_written else 0):.2f} %"
        )
        if choice.evidence:
            evidence = f"{choice.evidence}; {evidence}"
        return Cause(choice.name, choice.problem, evidence, choice.advice)
