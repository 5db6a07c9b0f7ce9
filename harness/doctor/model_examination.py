"""Runs a few images through a model file in every way that the model object knows, and finds out which way is right.

With annotations, the objects that are found decide; without, how sure and how consistent the outputs are.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from harness.accuracy.ground_truth import GroundTruth
from harness.cpu_quota import usable_cores
from harness.dataset.tensors import read_image
from harness.doctor.cause import Cause
from harness.doctor.evidence import Floats
from harness.doctor.matching import Objects, match, objects_of, own_precision, pairs_of
from harness.doctor.model_runner import OutputMaps, Runner, Say, output_order
from harness.doctor.trial import significance
from harness.model.probing import InputReading, OutputReading, OutputTraces
from harness.model.protocol import DetectionModel
from harness.records import Detections
from harness.sessions import SessionRequest, open_session

CERTAINTY, GAIN = 1.5, 1.25
"""By how many standard errors over the images, and by what factor, another way must be better than the expected one.

Both are low because the images are few; there are few ways, too."""
LEAST_FOUND = 0.02
"""Mean average precision within an image above which the objects found decide."""
_CLEAR_BACKGROUND = 0.5
_MOST_MISTAKES = 2  # in the outputs, together
_NO_DIFFERENCE = 0.98  # a way that gives this share of the best way's quality cannot be distinguished from it

Verdict: TypeAlias = Literal["ok", "wrong", "unknown", "not applicable"]


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        about: What was looked at: "colour order".
        verdict: "ok"; "wrong"; "unknown" where the images cannot show it; "not applicable" where the model leaves
            no choice, as the normalisation of one that takes bytes.
        evidence: What the verdict rests on.
    """

    about: str
    verdict: Verdict
    evidence: str


@dataclass(frozen=True)
class ModelDiagnosis:
    """What was found out about a model file.

    Attributes:
        checks: Each thing that was looked at.
        causes: What is wrong.
        found: Mean average precision within an image as the model is, and in the best way; None without annotations.
        traces: Of the outputs, as the model is.
        images: How many images were run.
    """

    checks: tuple[Check, ...]
    causes: tuple[Cause, ...]
    found: tuple[float, float] | None
    traces: OutputTraces
    images: int

    @property
    def complete(self) -> bool:
        """Whether the images showed everything that there was to look at."""
        return all(check.verdict in ("ok", "not applicable") for check in self.checks)


@dataclass(frozen=True)
class Way:
    """One way to feed and to read the model."""

    input: InputReading
    outputs: tuple[OutputReading, ...]


@dataclass(frozen=True, eq=False)
class _Fed:
    """The raw outputs of every image, fed in one way."""

    reading: InputReading
    outputs: list[OutputMaps]


@dataclass(frozen=True, eq=False)
class _Experiment:
    """What running the images in every way gave.

    Attributes:
        expected, best: The expected way and the best one.
        before, after: (I,) the quality of each image in the expected way and in the best.
        fed: (I,) the quality by each way to feed the model, each read in its best way.
        input_shown: Whether every other way to feed the model is worse than the best.
        outputs_shown: For each thing in the outputs, whether every other way to read it is worse than the best.
        traces: Of the outputs in the expected way.
    """

    expected: Way
    best: Way
    before: Floats
    after: Floats
    fed: Mapping[str, Floats]
    input_shown: bool
    outputs_shown: Mapping[str, bool]
    traces: OutputTraces


def examine(
    file: Path, model: DetectionModel, images: Sequence[Path], truth: GroundTruth | None, backend: str, say: Say
) -> ModelDiagnosis:
    """Runs the images in every way, and says which is right.

    Args:
        file: The model.
        model: The model object that says how files of this model may be fed and read.
        images: Encoded images.
        truth: Annotations whose first images those are; None if it is not known what is in them.
        backend: The name of the backend that runs the model.
        say: Called with what is being done.

    Raises:
        ModelError: The file cannot be loaded, or its outputs cannot be those of the model in any order.
        DatasetError: An image cannot be read.
    """
    threads = usable_cores()
    request = SessionRequest.of(model, file, threads=threads)
    with open_session(backend, request) as session:
        order, order_cause = output_order(session, model, str(file))
        runner = Runner(session, model, order, [read_image(path) for path in images], say)
        return _Examination(runner, model, truth).diagnosis(order_cause)


class _Examination:
    """The search for the best way to feed and to read one model."""

    def __init__(self, runner: Runner, model: DetectionModel, truth: GroundTruth | None) -> None:
        self.runner = runner
        self.model = model
        self.objects: Objects | None = None if truth is None else objects_of(truth)
        self.sizes = [] if truth is None else [*zip(truth.widths.astype(int), truth.heights.astype(int), strict=True)]
        self.decode = model.decoder("native").decode

    def diagnosis(self, order_cause: Cause | None) -> ModelDiagnosis:
        experiment = self._experiment()
        causes = [] if order_cause is None else [order_cause]
        causes += self._causes(experiment)
        found = None
        if self.objects is not None:
            found = (float(experiment.before.mean()), float(experiment.after.mean()))
        names = frozenset(cause.name for cause in causes)
        checks = (*self._input_checks(experiment, names), *self._output_checks(experiment, names))
        return ModelDiagnosis(checks, tuple(causes), found, experiment.traces, len(self.runner.images))

    def _experiment(self) -> _Experiment:
        inputs = self.model.probe.inputs(self.runner.dtype)
        alternatives = self.model.probe.outputs()
        expected = Way(inputs[0], tuple(ways[0] for ways in alternatives))
        raw = _Fed(inputs[0], self.runner.run(inputs[0], 1, len(inputs)))
        best = Way(inputs[0], self._best_reading(raw, alternatives))
        before, after = self._quality(raw, expected.outputs), self._quality(raw, best.outputs)
        fed = {inputs[0].name: after}
        for number, reading in enumerate(inputs[1:], 2):
            fed_so = _Fed(reading, self.runner.run(reading, number, len(inputs)))
            # once objects are found, only the feeding can still be wrong, and the search for a reading is left out
            works = self.objects is not None and after.mean() >= LEAST_FOUND
            chosen = best.outputs if works else self._best_reading(fed_so, alternatives)
            fed[reading.name] = self._quality(fed_so, chosen)
            if _better(fed[reading.name], after):
                best, after = Way(reading, chosen), fed[reading.name]
        enough = bool(after.mean() >= (LEAST_FOUND if self.objects is not None else 1e-9))
        others = max((quality.sum() for name, quality in fed.items() if name != best.input.name), default=0.0)
        shown = {}
        if best.input is inputs[0] and enough:
            shown = self._outputs_shown(raw, best, alternatives, after)
        traces = _mean([self.model.probe.traces(outputs) for outputs in raw.outputs])
        input_shown = enough and bool(after.sum() * _NO_DIFFERENCE > others)
        return _Experiment(expected, best, before, after, fed, input_shown, shown, traces)

    def _best_reading(self, fed: _Fed, alternatives: list[list[OutputReading]]) -> tuple[OutputReading, ...]:
        """The best way to read the outputs: the expected one unless another is clearly better."""
        chosen = self._by_traces(fed.outputs, alternatives)
        best, quality = chosen, self._quality(fed, chosen)
        if self.objects is None:
            return best
        ways = [way for way in itertools.product(*alternatives) if _mistakes(way) <= _MOST_MISTAKES and way != best]
        for way in sorted(ways, key=_mistakes):
            other = self._quality(fed, way)
            if _better(other, quality) or (_mistakes(way) < _mistakes(best) and other.sum() >= quality.sum()):
                best, quality = way, other
        return best

    def _by_traces(
        self, outputs: list[OutputMaps], alternatives: list[list[OutputReading]]
    ) -> tuple[OutputReading, ...]:
        """One thing after the other: classes by the background's share, boxes by their agreement."""
        chosen = [ways[0] for ways in alternatives]
        for at, ways in enumerate(alternatives):
            of_classes = ways[0].shown_by == "classes"
            figures = []
            for reading in ways:
                chosen[at] = reading
                traces = _mean([self.model.probe.traces(_read(maps, chosen)) for maps in outputs])
                figures.append(traces.background if of_classes else traces.agreement)
            best = int(np.argmax(figures))
            clearly = figures[best] > GAIN * figures[0] and figures[best] >= (_CLEAR_BACKGROUND if of_classes else 0)
            chosen[at] = ways[best] if clearly else ways[0]
        return tuple(chosen)

    def _quality(self, fed: _Fed, readings: Sequence[OutputReading]) -> Floats:
        """(I,) how good each image's outputs are: the average precision within it, or sureness and agreement."""
        read = [_read(maps, readings) for maps in fed.outputs]
        if self.objects is None:
            traces = [self.model.probe.traces(maps) for maps in read]
            return np.array([each.agreement * np.log1p(each.confident) * each.background for each in traces])
        sizes = self.sizes[: len(read)] if fed.reading.keeps_aspect else [None] * len(read)
        found = [self.decode(maps, image_size=size) for maps, size in zip(read, sizes, strict=True)]
        return _precision(found, self.objects)

    def _outputs_shown(
        self, fed: _Fed, best: Way, alternatives: list[list[OutputReading]], quality: Floats
    ) -> dict[str, bool]:
        """For each thing that may be read in several ways, whether every other way is worse."""
        shown = {}
        for at, ways in enumerate(alternatives):
            others = [
                self._quality(fed, [*best.outputs[:at], reading, *best.outputs[at + 1 :]]).sum()
                for reading in ways
                if reading is not best.outputs[at]
            ]
            shown[ways[0].about] = bool(max(others) < _NO_DIFFERENCE * quality.sum())
        return shown

    def _causes(self, experiment: _Experiment) -> list[Cause]:
        before, after, best = experiment.before, experiment.after, experiment.best
        if self.objects is not None and after.mean() < LEAST_FOUND:
            return []
        what = "average precision" if self.objects is not None else "sureness and agreement of the outputs"
        gain = f"{what} {before.mean():.3f} as it is, {after.mean():.3f} in the other way, over {len(after)} images"
        wrong: list[InputReading | OutputReading] = [best.input] if best.input.problem else []
        wrong += [reading for reading in best.outputs if reading.problem]
        return [Cause(reading.name, reading.problem, gain, reading.advice) for reading in wrong]

    def _input_checks(self, experiment: _Experiment, causes: frozenset[str]) -> Iterator[Check]:
        best = experiment.best.input
        fed = ", ".join(f"{name} {round(float(quality.mean()), 3)}" for name, quality in experiment.fed.items())
        subjects = {about: None for reading in self.model.probe.inputs(self.runner.dtype) for about in reading.about}
        for about in dict.fromkeys(("normalisation", "colour order", *subjects)):
            if about == "normalisation" and self.runner.dtype != "float32":
                yield Check(about, "not applicable", "the model takes bytes: its normalisation is inside")
                continue
            wrong = best.name in causes and about in best.about
            yield Check(about, _verdict(wrong, experiment.input_shown), f"by input: {fed}")

    def _output_checks(self, experiment: _Experiment, causes: frozenset[str]) -> Iterator[Check]:
        traces = experiment.traces
        measured = {"classes": _classes_shown(traces), "boxes": _boxes_shown(traces)}
        for reading in experiment.best.outputs:
            of_order = reading.about == "output order"
            wrong = reading.name in causes or (of_order and "outputs-in-another-order" in causes)
            shown, evidence = experiment.outputs_shown.get(reading.about, False), measured[reading.shown_by]
            if of_order and self.runner.named:
                shown, evidence = True, "the outputs have the expected names"
            elif not (wrong or shown):
                evidence = f"other ways do as well on these images; {evidence}"
            yield Check(reading.about, _verdict(wrong, shown), evidence)


def _precision(found: list[Detections], objects: Objects) -> Floats:
    """(I,) the average precision within each image, which are the first of the objects' images."""
    places = np.repeat(np.arange(len(found)), [len(detections) for detections in found])
    boxes = np.concatenate([detections.boxes for detections in found])[:, [1, 0, 3, 2]].astype(np.float64)
    categories = np.concatenate([detections.labels for detections in found]).astype(np.int64) - 1
    scores = np.concatenate([detections.scores for detections in found]).astype(np.float64)
    pairs = pairs_of(objects, places, np.arange(len(found)))
    return own_precision(match(objects, pairs, boxes, categories), scores, places, objects.counts[: len(found)])


def _mistakes(readings: Sequence[OutputReading]) -> int:
    return sum(bool(reading.problem) for reading in readings)


def _verdict(wrong: bool, shown: bool) -> Verdict:
    return "wrong" if wrong else "ok" if shown else "unknown"


def _better(quality: Floats, other: Floats) -> bool:
    return bool(quality.sum() > GAIN * other.sum() and significance(quality, other) > CERTAINTY)


def _read(outputs: OutputMaps, readings: Sequence[OutputReading]) -> OutputMaps:
    for reading in readings:
        outputs = reading.outputs(outputs)
    return outputs


def _classes_shown(traces: OutputTraces) -> str:
    background = f"background {100 * traces.background:.1f} %"
    if traces.entropy is not None:
        background += f" of the softmax, entropy {100 * traces.entropy:.1f} % of the most"
    return f"{background}, {traces.confident:.0f} sure places an image"


def _boxes_shown(traces: OutputTraces) -> str:
    sizes = "" if traces.size_ratio is None else f"{traces.size_ratio:.2f} times their priors, "
    return f"boxes {sizes}agreeing at IoU {traces.agreement:.2f}, {100 * traces.inside:.0f} % within the image"


def _mean(traces: list[OutputTraces]) -> OutputTraces:
    columns = zip(*map(astuple, traces), strict=True)
    means: list[Any] = [None if None in column else float(np.mean(column)) for column in columns]
    return OutputTraces(*means)
