"""What a run for a submission adds to a run: whose it is, which scenarios it needs, and whether it is a rehearsal."""

from __future__ import annotations

from pathlib import Path

from harness.benchmark.inputs import Inputs
from harness.model.registry import load_model
from harness.rounds import load_round
from harness.runs.records import Manifest, SubmissionRecord
from harness.runs.submittable import easier, missing_scenarios, unlike_the_round
from harness.settings import RunSettings, SubmissionSettings
from harness.submission.system_description import read_system


def with_required_scenarios(settings: RunSettings) -> RunSettings:
    """The settings with the scenarios that the division asks of the system; unchanged where it asks for none.

    Raises:
        UsageError: the system's description cannot be used.
    """
    if settings.submission is None:
        return settings
    round_ = load_round(settings.round)
    benchmarks = load_model(settings.model.name).benchmarks
    rules = round_.benchmark(round_.benchmark_of(benchmarks, settings.submission.division))
    system = read_system(settings.submission, round_.submission)
    required = rules.required_of(settings.submission.division, system["system_type"])
    return settings.model_copy(update={"scenarios": required}) if required else settings


def submission_folder(submission: SubmissionSettings, round_name: str) -> Path:
    """``results/ROUND-DIVISION-SUBMITTER-SYSTEM``: the same command comes back to it."""
    system = submission.system.stem
    return Path("results") / f"{round_name}-{submission.division}-{submission.submitter}-{system}"


def describe_submission(submission: SubmissionSettings, inputs: Inputs, manifest: Manifest) -> SubmissionRecord:
    """Whose the submission is, and what keeps the run from being one, for the manifest.

    Args:
        manifest: what `Inputs.describe` gives is in it.

    Raises:
        UsageError: the system's description cannot be used.
    """
    described = SubmissionRecord(
        division=submission.division,
        submitter=submission.submitter,
        system_id=submission.system.stem,
        system=read_system(submission, inputs.round.submission),
    )
    reasons = unlike_the_round(manifest, inputs.rules)
    for scenario in inputs.settings.scenarios:
        rules = inputs.rules.scenario(scenario)
        reasons += easier(scenario, rules.model_copy(update=inputs.settings.test(scenario).rules), rules)
    reasons += missing_scenarios(described, inputs.rules, inputs.settings.scenarios)
    return described.model_copy(update={"rehearsal": bool(reasons), "rehearsal_because": tuple(reasons)})
