"""Whether a model file is fed and read as it wants to be: a few images, in every way that the model object knows.

With annotations, what is found decides; without, how sure and how consistent the outputs are.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np

from harness.accuracy.ground_truth import GroundTruth
from harness.dataset.tensors import read_image
from harness.doctor.cause import Cause
from harness.doctor.evidence import Floats
from harness.doctor.matching import Objects, match, objects_of, own_precision, pairs_of
from harness.doctor.model_runner import OutputMaps, Runner, Say, output_order
from harness.doctor.reading import significance
from harness.model.probing import InputReading, OutputReading, OutputSigns
from harness.model.protocol import DetectionModel
from harness.records import Detections
from harness.sessions import SessionRequest, open_session

CERTAINTY, GAIN = 1.5, 1.25
"""By how many standard errors over the images, and how many times, another way must be better to be believed. The
images are few, and the ways are few too."""
LEAST_FOUND = 0.02
"""Average precision within an image from which on what is found decides."""
_CLEAR_BACKGROUND = 0.5
_MOST_MISTAKES = 2  # in the outputs, together
_NO_DIFFERENCE = 0.98  # of the quality: what another way leaves unharmed cannot be told from it


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        about: what: "colour order".
        verdict: "ok", "wrong", or "unknown" where the images do not tell.
        evidence: why.
    """

    about: str
    verdict: str
    evidence: str


@dataclass(frozen=True)
class ModelDiagnosis:
    """What was found out about a model file.

    Attributes:
        checks: each thing looked at.
        findings: what is wrong.
        found: mean average precision within an image as the model is, and in the best way; None without annotations.
        signs: of the outputs, as the model is.
        images: how many were run.
    """

    checks: tuple[Check, ...]
    findings: tuple[Cause, ...]
    found: tuple[float, float] | None
    signs: OutputSigns
    images: int


@dataclass(frozen=True)
class Ways:
    """One way to feed and to read the model."""

    input: InputReading
    outputs: tuple[OutputReading, ...]


def examine(
    file: Path, model: DetectionModel, images: Sequence[Path], truth: GroundTruth | None, backend: str, say: Say
) -> ModelDiagnosis:
    """Runs the images in every way, and says which is right.

    Args:
        truth: whose first images those are; None: nothing is known of what is in them.
        say: told what is being done.

    Raises:
        ModelError: the file cannot be loaded, or its outputs cannot be those of the model in any order.
        DatasetError: an image cannot be read.
    """
    threads = len(os.sched_getaffinity(0))
    request = SessionRequest.of(model, file, threads=threads)
    with open_session(backend, request) as session:
        order, order_finding = output_order(session, model, str(file))
        runner = Runner(session, model, order, [read_image(path) for path in images], say)
        return _Examination(runner, model, truth).diagnosis(order_finding)


class _Examination:
    def __init__(self, runner: Runner, model: DetectionModel, truth: GroundTruth | None) -> None:
        self.runner = runner
        self.model = model
        self.truth = truth
        self.objects: Objects | None = None if truth is None else objects_of(truth)
        self.decode = model.decoder("native").decode

    def diagnosis(self, order_finding: Cause | None) -> ModelDiagnosis:
        inputs = self.model.probe.inputs(self.runner.dtype)
        stages = self.model.probe.outputs()
        expected = Ways(inputs[0], tuple(stage[0] for stage in stages))
        best, best_quality, raw = expected, np.zeros(len(self.runner.images)), []
        qualities: dict[str, Floats] = {}
        for number, reading in enumerate(inputs, 1):
            outputs = self.runner.run(reading, number, len(inputs))
            works = number > 1 and self.objects is not None and best_quality.mean() >= LEAST_FOUND
            # where something is found, only another way to feed it can be better, and the search is left out
            chosen = best.outputs if works else self._best_reading(outputs, stages)
            quality = self._quality(outputs, chosen)
            qualities[reading.name] = quality
            if number == 1:
                raw, default_quality = outputs, self._quality(outputs, expected.outputs)
                best, best_quality = Ways(reading, chosen), quality
            elif _better(quality, best_quality):
                best, best_quality = Ways(reading, chosen), quality
        signs = _mean([self.model.probe.signs(each) for each in raw])
        told = {} if best.input is not inputs[0] else self._told(raw, best, stages, best_quality)
        others = [figure.sum() for name, figure in qualities.items() if name != best.input.name]
        fed_told = best_quality.sum() * _NO_DIFFERENCE > max(others, default=0.0)
        findings = [order_finding] if order_finding is not None else []
        findings += self._findings(best, default_quality, best_quality)
        found = None if self.objects is None else (float(default_quality.mean()), float(best_quality.mean()))
        enough = best_quality.mean() >= (LEAST_FOUND if self.objects is not None else 1e-9)
        told = {about: enough and tells for about, tells in told.items()}
        checks = self._checks(best, qualities, findings, signs, told, bool(enough and fed_told))
        return ModelDiagnosis(tuple(checks), tuple(findings), found, signs, len(self.runner.images))

    def _best_reading(self, outputs: list[OutputMaps], stages: list[list[OutputReading]]) -> tuple[OutputReading, ...]:
        """The reading of the outputs that is best, the expected one unless another is clearly better."""
        chosen = self._by_signs(outputs, stages)
        best, quality = chosen, self._quality(outputs, chosen)
        if self.objects is None:
            return best
        ways = [way for way in itertools.product(*stages) if _mistakes(way) <= _MOST_MISTAKES and way != best]
        for way in sorted(ways, key=_mistakes):
            other = self._quality(outputs, way)
            if _better(other, quality) or (_mistakes(way) < _mistakes(best) and other.sum() >= quality.sum()):
                best, quality = way, other
        return best

    def _by_signs(self, outputs: list[OutputMaps], stages: list[list[OutputReading]]) -> tuple[OutputReading, ...]:
        """Stage after stage: classes by the background's share, boxes by their agreement."""
        chosen = [stage[0] for stage in stages]
        for at, stage in enumerate(stages):
            figures = []
            for reading in stage:
                chosen[at] = reading
                signs = _mean([self.model.probe.signs(_read(each, chosen)) for each in outputs])
                figures.append(signs.background if stage[0].about in _ABOUT_CLASSES else signs.agreement)
            best = int(np.argmax(figures))
            enough = _ABOUT_CLASSES.get(stage[0].about, 0.0)
            clearly = figures[best] > GAIN * figures[0] and figures[best] >= enough
            chosen[at] = stage[best] if clearly else stage[0]
        return tuple(chosen)

    def _quality(self, outputs: list[OutputMaps], reading: Sequence[OutputReading]) -> Floats:
        """(I,) how good each image's outputs are: the average precision within it, or sureness and agreement."""
        read = [_read(each, reading) for each in outputs]
        if self.objects is None:
            signs = [self.model.probe.signs(each) for each in read]
            return np.array([each.agreement * np.log1p(each.confident) * each.background for each in signs])
        return self._found([self.decode(each) for each in read])

    def _found(self, found: list[Detections]) -> Floats:
        assert self.objects is not None
        places = np.repeat(np.arange(len(found)), [len(each) for each in found])
        boxes = np.concatenate([each.boxes for each in found])[:, [1, 0, 3, 2]].astype(np.float64)
        categories = np.concatenate([each.labels for each in found]).astype(np.int64) - 1
        scores = np.concatenate([each.scores for each in found]).astype(np.float64)
        pairs = pairs_of(self.objects, places, np.arange(len(found)))
        matches = match(self.objects, pairs, boxes, categories)
        return own_precision(matches, scores, places, self.objects.counts[: len(found)])

    def _told(
        self, outputs: list[OutputMaps], best: Ways, stages: list[list[OutputReading]], quality: Floats
    ) -> dict[str, bool]:
        """Of each thing that may be read in several ways, whether every other way is worse."""
        told = {}
        for at, stage in enumerate(stages):
            others = [
                self._quality(outputs, [*best.outputs[:at], reading, *best.outputs[at + 1 :]]).sum()
                for reading in stage
                if reading is not best.outputs[at]
            ]
            told[stage[0].about] = bool(max(others) < _NO_DIFFERENCE * quality.sum())
        return told

    def _findings(self, best: Ways, before: Floats, after: Floats) -> list[Cause]:
        if self.objects is not None and after.mean() < LEAST_FOUND:
            return []
        what = "average precision" if self.objects is not None else "sureness and agreement of the outputs"
        gain = f"{what} {before.mean():.3f} as it is, {after.mean():.3f} in the other way, over {len(after)} images"
        wrong: list[InputReading | OutputReading] = [best.input] if best.input.problem else []
        wrong += [reading for reading in best.outputs if reading.problem]
        return [Cause(each.name, each.problem, gain, each.advice) for each in wrong]

    def _checks(
        self,
        best: Ways,
        qualities: dict[str, Floats],
        findings: list[Cause],
        signs: OutputSigns,
        told: dict[str, bool],
        fed_told: bool,
    ) -> list[Check]:
        names = {finding.name for finding in findings}
        shown = {name: round(float(each.mean()), 3) for name, each in qualities.items()}
        fed = ", ".join(f"{name} {figure}" for name, figure in shown.items())
        checks = []
        for about in ("normalisation", "colour order"):
            wrong = best.input.name in names and about in best.input.about
            if about == "normalisation" and self.runner.dtype != "float32":
                checks.append(Check(about, "unknown", "it takes bytes: its normalisation is inside"))
                continue
            checks.append(Check(about, _verdict(wrong, fed_told), f"by input: {fed}"))
        measured = (
            f"background {100 * signs.background:.1f} % of the softmax, entropy {100 * signs.entropy:.1f} % of the "
            f"most, {signs.confident:.0f} sure places an image"
        )
        boxes = (
            f"boxes {signs.size_ratio:.2f} times their priors, agreeing at IoU {signs.agreement:.2f}, "
            f"{100 * signs.inside:.0f} % inside the image"
        )
        for reading in best.outputs:
            wrong = reading.name in names or (reading.about == "output order" and "outputs-in-another-order" in names)
            evidence = measured if reading.about in _ABOUT_CLASSES else boxes
            tells = told.get(reading.about, False)
            if reading.about == "output order" and self.runner.named:
                tells, evidence = True, "the outputs have the expected names"
            elif not (wrong or tells):
                evidence = f"other ways do as well on these images; {evidence}"
            checks.append(Check(reading.about, _verdict(wrong, tells), evidence))
        return checks


_ABOUT_CLASSES = {"class layout": _CLEAR_BACKGROUND, "background": _CLEAR_BACKGROUND}


def _mistakes(way: Sequence[OutputReading]) -> int:
    return sum(bool(reading.problem) for reading in way)


def _verdict(wrong: bool, told: bool) -> str:
    return "wrong" if wrong else "ok" if told else "unknown"


def _better(one: Floats, other: Floats) -> bool:
    return bool(one.sum() > GAIN * other.sum() and significance(one, other) > CERTAINTY)


def _read(outputs: OutputMaps, readings: Sequence[OutputReading]) -> OutputMaps:
    for reading in readings:
        outputs = reading.outputs(outputs)
    return outputs


def _mean(signs: list[OutputSigns]) -> OutputSigns:
    figures = np.mean([astuple(each) for each in signs], axis=0).tolist()
    return OutputSigns(*figures)
