"""The compliance tests of a run: each is one more performance test with the run's own inputs and settings, verified."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.benchmark.inputs import Inputs, cluster_of, find_inputs
from harness.benchmark.recorded import run_recorded
from harness.errors import Interrupted, UsageError
from harness.loadgen.log import AUDIT_FOUND
from harness.loadgen.plan import Calibration, Plan
from harness.report.page import write_report
from harness.runs.accuracy_test import accuracy_scenario
from harness.runs.directory import RunDirectory, alone_in
from harness.runs.documents import SCHEMA, write_document
from harness.runs.figures import ComplianceVerdicts, RecordedVerdict
from harness.runs.followed_round import name_of_round
from harness.runs.layout import ComplianceFolders, RunLayout, TestFolder
from harness.runs.records import StartedManifest, TestRecord, started
from harness.runs.summary import summarise
from harness.scenarios import TITLES, Scenario
from harness.settings import RunSettings, validate
from harness.source_code import code_sha256
from harness.submission.compliance_files import TestVerdict, verify_test
from harness.submission.official_verification import verify_officially
from harness.terminal import Terminal


@dataclass(frozen=True)
class ComplianceOutcome:
    """What came out of one compliance test of one scenario."""

    scenario: Scenario
    test: str
    verdict: TestVerdict

    def __str__(self) -> str:
        """One line for a person."""
        verdict = self.verdict
        name = f"{TITLES[self.scenario]} {self.test}"
        if not verdict.passed:
            return f"[FAIL] {name}: {'; '.join(verdict.reasons)}"
        return f"[PASS] {name}: {verdict.found}"


def run_compliance(
    folder: Path,
    wanted: Sequence[str] | None,
    terminal: Terminal,
    *,
    again: bool = False,
    official: Path | None = None,
) -> list[ComplianceOutcome]:
    """Runs and verifies the tests of every scenario whose performance the run has; finished tests are kept.

    Args:
        folder: of the run.
        wanted: names of tests; none: all of the round. One that another is compared with is run with it.
        again: runs the wanted tests once more, though they are finished.
        official: a clone of mlcommons/inference, whose scripts verify too.

    Raises:
        UsageError: no complete run, no such test, or the run's inputs or sessions are no longer the same.
        HarnessError: as `run_recorded` and `verify_test` do.
        Interrupted: on Ctrl-C.
    """
    folder = folder.resolve()
    with alone_in(folder):
        run = RunDirectory.open(folder)
        read = run.manifest
        records = {} if read.tests is None else started(read, folder).first_performance_tests()
        if read.status != "complete" or not records:
            hint = f"finish it: ssd-harness run … --resume --output {folder}"
            raise UsageError("the run is not complete, or has no performance test", where=str(folder), hint=hint)
        manifest = started(read, folder)
        settings = validate(RunSettings, manifest.settings, str(run.layout.manifest))
        settings = settings.model_copy(update={"round": name_of_round(folder, manifest)})
        try:
            with cluster_of(settings, terminal) as cluster:
                inputs = find_inputs(_rooted(settings, manifest.directory), terminal, cluster)
                _check_same(inputs, manifest, terminal)
                names = _with_compared(inputs, wanted)
                for scenario, record in records.items():
                    folders = _folders(run.layout, manifest, scenario)
                    for name in names:
                        if name in inputs.rules.compliance_of(scenario):
                            if again and (wanted is None or name in wanted):
                                run.forget_test(folders.logs(name))
                            run_recorded(inputs, run, _plan(inputs, folders, record, name), terminal)
            outcomes = list(_outcomes(inputs, run.layout, manifest, official))
        except KeyboardInterrupt:
            hint = "the same command goes on with what is not finished"
            raise Interrupted("interrupted", where=str(folder), hint=hint) from None
        _write(run.layout, outcomes, records)
        summarise(folder)
        write_report(folder)
    return [outcome for outcome in outcomes if outcome.test in names]


def _rooted(settings: RunSettings, directory: str | None) -> RunSettings:
    """The settings with relative paths made absolute: they are meant from the folder that the run was started in.

    Which of a backend's options are paths only the backend knows: those that name something there are taken for one.
    """
    root = Path(directory or ".")
    if not root.is_dir():
        return settings

    def from_root(path: Path | None) -> Path | None:
        return None if path is None else root / path

    model, dataset = settings.model, settings.dataset
    paths = {"images": from_root(dataset.images), "annotations": from_root(dataset.annotations)}
    options = {
        key: str(root / value) if isinstance(value, str) and value and (root / value).exists() else value
        for key, value in settings.backend.options.items()
    }
    return settings.model_copy(
        update={
            "model": model.model_copy(update={"path": from_root(model.path)}),
            "dataset": dataset.model_copy(update=paths),
            "backend": settings.backend.model_copy(update={"options": options}),
        }
    )


def _folders(layout: RunLayout, manifest: StartedManifest, scenario: Scenario) -> ComplianceFolders:
    compared = accuracy_scenario(layout, manifest.tests, scenario) or scenario
    return ComplianceFolders(layout.folder, scenario, layout.accuracy(compared).path)


def _check_same(inputs: Inputs, manifest: StartedManifest, terminal: Terminal) -> None:
    described = inputs.describe()
    had_by_part = {"model": manifest.model.as_json(), "dataset": manifest.dataset.as_json()}
    for what, keys in {"model": ("sha256",), "dataset": ("sha256", "images", "images_sha256")}.items():
        has_now = described[what].as_json()
        for key in keys:
            had, has = had_by_part[what].get(key), has_now[key]
            if had != has:
                hint = "a compliance test must have the run's own inputs: bring them back, or run again"
                raise UsageError(f"{key} of the {what} is {has}, the run had {had}", where=what, hint=hint)
    if manifest.code_sha256 != code_sha256():
        terminal.say("Note: the harness has changed since the run; figures may differ for that reason alone")


def _with_compared(inputs: Inputs, wanted: Sequence[str] | None) -> list[str]:
    """The tests in the round's order, with those that they are compared with."""
    tests = inputs.rules.compliance
    names = set(tests if wanted is None else wanted)
    for name in sorted(names - set(tests)):
        raise UsageError(f"no such compliance test: {name}", where="--test", hint=f"of: {', '.join(tests)}")
    names |= {other for name in names if (other := tests[name].compared_with) in tests}
    names |= {other for name in names if (other := tests[name].verified_by) is not None}
    return [name for name in tests if name in names]


def _plan(inputs: Inputs, folders: ComplianceFolders, record: TestRecord, name: str) -> Plan:
    """The performance test of the record once more, with the settings of a compliance test."""
    test = inputs.rules.compliance[name]
    plan = inputs.plan(folders.logs(name), record.scenario, "performance")
    if plan.cluster is not None and [slot.name for slot in plan.slots] != record.session_names:
        had, has = (
            ", ".join(dict.fromkeys(name.split("/")[0] for name in names))
            for names in (record.session_names, [slot.name for slot in plan.slots])
        )
        hint = "a compliance test must have the run's own sessions: bring them back, or run again"
        raise UsageError(f"the cluster's nodes are {has}, the run had {had}", where="cluster", hint=hint)
    measured = record.latency_s is not None and record.samples_per_second is not None
    calibration = Calibration(record.latency_s or 0.0, record.samples_per_second or 0.0) if measured else None
    return dataclasses.replace(
        plan,
        seeds=test.seeds or plan.seeds,
        audit=test.audit,
        compliance=name,
        expected_messages=(AUDIT_FOUND, *test.expected_errors),
        calibration=calibration,
    )


def _outcomes(
    inputs: Inputs, layout: RunLayout, manifest: StartedManifest, official: Path | None
) -> Iterator[ComplianceOutcome]:
    """The outcome of every test whose logs are there, also from an earlier call."""
    for scenario in manifest.first_performance_tests():
        folders = _folders(layout, manifest, scenario)
        for name in inputs.rules.compliance_of(scenario):
            if not TestFolder(folders.logs(name)).record.is_file():
                continue
            verdict = verify_test(name, folders, inputs.round, inputs.rules, inputs.dataset.annotations)
            if official is not None:
                verdict = verify_officially(official, verdict, inputs.rules.compliance[name], name, folders)
            yield ComplianceOutcome(scenario, name, verdict)


def _write(layout: RunLayout, outcomes: Sequence[ComplianceOutcome], records: dict[Scenario, TestRecord]) -> None:
    verdicts: dict[Scenario, dict[str, RecordedVerdict]] = {}
    for outcome in outcomes:
        recorded = RecordedVerdict(**dataclasses.asdict(outcome.verdict), passed=outcome.verdict.passed)
        verdicts.setdefault(outcome.scenario, {})[outcome.test] = recorded
    # a verdict is of one performance test, and says nothing of a later one
    fingerprints = {scenario: record.fingerprint for scenario, record in records.items()}
    found = ComplianceVerdicts(schema=SCHEMA, performance_tests=fingerprints, scenarios=verdicts)
    write_document(layout.compliance, found)
