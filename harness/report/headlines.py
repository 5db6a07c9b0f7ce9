"""The first things that a person wants to know of a run."""

from __future__ import annotations

from dataclasses import dataclass

from harness.accuracy.evaluate import percent_text
from harness.runs.figures import ScenarioFigures, Summary
from harness.runs.score import Score, percentile_name, score_of
from harness.scenarios import TITLES, Scenario


@dataclass(frozen=True)
class Headline:
    """One figure: ``Offline``, ``443.1``, ``samples/s``."""

    title: str
    value: str
    unit: str
    note: str = ""


@dataclass(frozen=True)
class Validity:
    """The run's verdict in words.

    Attributes:
        word: VALID, INVALID, or FAILED where the run did not reach its end.
        sentence: what that means here.
        because: the reasons where it is not VALID.
        caveats: what its figures are not, e.g. of a real device.
        disturbed: what kept the machine from being quiet, a sentence each.
        not_submittable_because: what MLPerf would not take; empty for a submittable run.
    """

    word: str
    sentence: str
    because: tuple[str, ...]
    caveats: tuple[str, ...]
    disturbed: tuple[str, ...]
    not_submittable_because: tuple[str, ...]


def validity_of(summary: Summary) -> Validity:
    """The words for ``valid`` and ``submittable``."""
    caveats = []
    if summary.backend.simulated:
        caveats.append("SIMULATED device: its times are of no real system.")
    if summary.dataset.synthetic:
        caveats.append("Synthetic images: the accuracy is not COCO's.")
    if summary.traced:
        caveats.append("Traced: the times include the tracing.")
    if summary.profiled:
        caveats.append("Profiled: the times include the counting.")
    disturbed = [
        f"{TITLES[scenario]} was disturbed: {reason}."
        for scenario, figures in summary.scenarios.items()
        for reason in figures.disturbed_by
    ]
    because = [
        f"{TITLES[scenario]}: {reason}"
        for scenario, figures in summary.scenarios.items()
        for reason in figures.invalid_because
    ]
    because += [f"accuracy: {reason}" for reason in summary.accuracy_invalid_because]
    invalid_runs = [
        f"{TITLES[scenario]}: repetition {number} is INVALID"
        for scenario, figures in summary.scenarios.items()
        for number, run in enumerate(figures.runs, 1)
        if not run.valid and number > 1
    ]
    if summary.status != "complete":
        word, sentence = "FAILED", "The run did not reach its end; what it measured until then is below."
    elif summary.valid:
        word, sentence = "VALID", "Every test met LoadGen's conditions for a valid result."
    else:
        word, sentence = "INVALID", "LoadGen's conditions for a valid result were not met."
    reasons = tuple(summary.not_submittable_because)
    return Validity(word, sentence, (*because, *invalid_runs), tuple(caveats), tuple(disturbed), reasons)


def headlines(summary: Summary) -> list[Headline]:
    """Each scenario's own metric, and the mAP."""
    found = [_of_scenario(scenario, figures) for scenario, figures in summary.scenarios.items()]
    for scenario, peak in summary.peak.items():
        rate = "–" if peak.qps is None else f"{peak.qps:.4g}"
        found.append(Headline(f"{TITLES[scenario]} peak", rate, "queries/s" if scenario == "server" else "samples/s"))
    if summary.accuracy is not None:
        accuracy = summary.accuracy
        note = f"{accuracy.images} images, AP50 {percent_text(accuracy.AP50)}"
        figure, *unit = percent_text(accuracy.mAP).rsplit(" %")
        found.append(Headline("mAP", figure, "%" if unit else "", note))
    return found


def _of_scenario(scenario: Scenario, figures: ScenarioFigures) -> Headline:
    """The scored figure, with what else a person looks for beside it."""
    title, score = TITLES[scenario], score_of(scenario, figures)
    if scenario == "offline":
        note = f"{figures.samples} samples"
    elif scenario == "server":
        shown = {name: figures.latency_ms[name] for name in ("p50", "p99") if name in figures.latency_ms}
        note = ", ".join(f"{name} {latency:.3f} ms" for name, latency in shown.items())
        if figures.latency_bound_ms is not None:
            note += f" of {figures.latency_bound_ms:g} ms"
        if figures.target_samples_per_second is not None:
            note += f"; target {figures.target_samples_per_second:.5g}/s"
        if figures.completed_samples_per_second is not None:
            note += f", answered {figures.completed_samples_per_second:.5g}/s"
    else:
        name = percentile_name(figures)
        latency = figures.latency_ms.get(name)
        note = f"{score.measure} of {figures.queries} queries"
        if score.measure != name and latency is not None:
            note += f"; {name} {latency:.3f} ms"
    if score.value is None:
        note = f"too few queries for the {note}"
    digits = "–" if score.value is None else _digits(score)
    return Headline(title if figures.valid else f"{title}, INVALID", digits, score.unit, note)


def _digits(score: Score) -> str:
    assert score.value is not None
    if score.unit == "ms":
        return f"{score.value:.3f}" if score.value < 1000 else f"{score.value:.1f}"
    return f"{score.value:.5g}"
