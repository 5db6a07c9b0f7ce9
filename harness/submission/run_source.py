"""Run directories as the sources of a submission: whose they are, and which scenario each of them holds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.rounds import Round, load_round
from harness.runs.accuracy_test import accuracy_scenario
from harness.runs.documents import read_document
from harness.runs.figures import Summary
from harness.runs.layout import RunLayout
from harness.runs.records import NodeRecord, StartedManifest, read_manifest, started
from harness.scenarios import Scenario
from harness.setting_errors import NAME
from harness.settings import Division
from harness.submission.system_description import read_json_object, require_sound

_NO_SUBMISSION = "run with --mode submission, or give --division, --submitter and --system"


@dataclass(frozen=True)
class RunSource:
    """One finished run.

    Attributes:
        system_id: name of its systems JSON, and of its folders.
        system: the description, division and submitter filled in.
        not_real: what in it is not real, e.g. "the device is simulated"; empty for a result.
        submitted_as: another benchmark of the round that the same logs are of.
    """

    folder: Path
    manifest: StartedManifest
    division: Division
    submitter: str
    system_id: str
    system: dict[str, Any]
    not_real: tuple[str, ...]
    submitted_as: str | None = None

    def nodes(self, scenario: Scenario) -> tuple[NodeRecord, ...]:
        """The nodes of a scenario's performance test; none where it ran on one machine."""
        return self.manifest.first_performance_tests()[scenario].nodes

    @property
    def benchmark(self) -> str:
        """MLPerf's name."""
        return self.submitted_as or self.manifest.model.benchmark

    @property
    def implementation(self) -> str:
        """The name of the code's folder: the backend's."""
        return re.sub(r"[^A-Za-z0-9.-]+", "-", self.manifest.backend.name)

    @property
    def simulated(self) -> bool:
        """It ran on simulated devices."""
        return self.manifest.backend.simulated

    def performance(self, scenario: Scenario) -> Path:
        """The folder of a performance test."""
        return RunLayout(self.folder).performance(scenario).path

    def accuracy(self, scenario: Scenario) -> Path:
        """The folder of the accuracy run; of another scenario where it was measured once for all."""
        layout = RunLayout(self.folder)
        return layout.accuracy(accuracy_scenario(layout, self.manifest.tests, scenario) or scenario).path

    def compliance(self, scenario: Scenario, test: str) -> Path:
        """The folder of a compliance test."""
        return RunLayout(self.folder).compliance_test(scenario, test)


def read_run(folder: Path, overrides: dict[str, Any], system: Path | None) -> tuple[RunSource, Round]:
    """A run directory and its round.

    Args:
        overrides: ``division``, ``submitter`` and ``round`` where they are given on the command line.
        system: a systems JSON to take instead of the run's.

    Raises:
        LogError: it is no run, or its manifest or summary is damaged.
        UsageError: it is not finished, or does not say whose it is, or its system's description is not right.
    """
    read = read_manifest(folder)
    if read.status != "complete":
        hint = f"finish it: ssd-harness run … --resume --output {folder}"
        raise UsageError(f"the run is {read.status}, not complete", where=str(folder), hint=hint)
    manifest, layout = started(read, folder), RunLayout(folder)
    round_ = load_round(overrides.get("round") or manifest.round)
    stated = manifest.submission
    submitter = overrides.get("submitter") or (stated and stated.submitter)
    division = overrides.get("division") or (stated and stated.division)
    described = read_json_object(system) if system is not None else (stated and stated.system)
    system_id = system.stem if system is not None else (stated and stated.system_id)
    if not submitter or not division or not described or not system_id:
        raise UsageError("the run does not say whose it is", where=str(folder), hint=_NO_SUBMISSION)
    for what, name in (("submitter", submitter), ("system", system_id)):
        if not re.fullmatch(NAME, name):
            hint = "letters, digits, dots, hyphens and underscores"
            raise UsageError(f"{what} {name!r} cannot be a folder's name", where=str(folder), hint=hint)
    summary = read_document(Summary, layout.summary)
    not_real = _not_real(manifest, summary)
    described = _labelled({**described, "division": division, "submitter": submitter}, not_real)
    require_sound(described, round_.submission, str(system or layout.manifest))
    source = RunSource(folder, manifest, division, submitter, system_id, described, not_real)
    return source, round_


def as_benchmarks(source: RunSource, round_: Round, names: Sequence[str]) -> list[RunSource]:
    """A run for each of the benchmarks that it is submitted as; itself where none are named.

    Raises:
        UsageError: a benchmark is not the round's, or asks for other tests than the run's own.
    """
    own = round_.benchmark(source.benchmark)
    for name in names:
        rules = round_.benchmark(name)
        if (rules.scenarios, rules.compliance, rules.loadgen_model) != (
            own.scenarios,
            own.compliance,
            own.loadgen_model,
        ):
            what = f"a run of {source.benchmark} is none of {name}: the round asks for other tests"
            raise UsageError(what, where="--benchmark")
    return [replace(source, submitted_as=name) for name in names] or [source]


def by_scenario(sources: Sequence[RunSource], round_: Round) -> dict[tuple[str, str, Scenario], RunSource]:
    """(system, benchmark, scenario) → the run that holds its performance test.

    Raises:
        UsageError: two runs hold the same, or are of systems of the same name that differ, or of several submitters.
    """
    found: dict[tuple[str, str, Scenario], RunSource] = {}
    owners = {(source.division, source.submitter) for source in sources}
    if len(owners) > 1:
        names = " and ".join(sorted("/".join(owner) for owner in owners))
        raise UsageError(f"the runs are of {names}", where="RUN", hint="build a tree for each")
    systems: dict[str, RunSource] = {}
    for source in sources:
        same = systems.setdefault(source.system_id, source)
        if same.system != source.system:
            fields = [key for key in same.system if same.system[key] != source.system.get(key)]
            what = f"the descriptions of {source.system_id} differ in {', '.join(fields)}"
            raise UsageError(what, where=f"{same.folder}, {source.folder}", hint="give one --system for all")
        for scenario in round_.benchmark(source.benchmark).scenarios:
            if not source.performance(scenario).is_dir():
                continue
            key = (source.system_id, source.benchmark, scenario)
            if key in found:
                what = f"{scenario} of {source.system_id} is in two runs"
                raise UsageError(what, where=f"{found[key].folder}, {source.folder}", hint="leave one of them out")
            found[key] = source
    if not found:
        where = ", ".join(str(source.folder) for source in sources)
        raise UsageError("no performance test in the runs", where=where, hint="run with --mode submission")
    return found


def _not_real(manifest: StartedManifest, summary: Summary) -> tuple[str, ...]:
    reasons = []
    if manifest.backend.simulated:
        reasons.append("the devices are SIMULATED")
    if manifest.dataset.synthetic:
        reasons.append("the dataset is SYNTHETIC")
    if manifest.submission is not None and manifest.submission.rehearsal:
        reasons.append("this is a REHEARSAL")
    if not summary.submittable and not reasons:
        reasons.append("NOT SUBMITTABLE: " + "; ".join(summary.not_submittable_because))
    return tuple(reasons)


def _labelled(system: dict[str, Any], not_real: tuple[str, ...]) -> dict[str, Any]:
    """The description, saying in its name and its notes what is not real."""
    if not not_real:
        return system
    label = "; ".join(not_real).encode("ascii", "replace").decode()
    labelled = dict(system)
    name, notes = str(system.get("system_name", "")), str(system.get("hw_notes", ""))
    if "SIMULATED" in label and "simulated" not in name.lower():
        labelled["system_name"] = f"{name} (simulated)"
    if label not in notes:
        labelled["hw_notes"] = f"{label}: no result. {notes}".strip()
    return labelled
