"""The compliance tests of a run: each is one more performance test with the run's own inputs and settings, verified."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.benchmark.inputs import Inputs, find_inputs
from harness.benchmark.recorded import run_recorded
from harness.benchmark.system import code_sha256
from harness.errors import Interrupted, UsageError
from harness.files import write_json
from harness.loadgen.plan import LOADGEN_SCENARIOS, Calibration, Plan
from harness.report.page import write_report
from harness.runs.directory import RECORD, RunDirectory, alone_in
from harness.runs.submittable import COMPLIANCE_NAME
from harness.runs.summary import first_performance_tests, summarise
from harness.settings import RunSettings, Scenario, validate
from harness.submission.compliance_files import ComplianceFolders, TestVerdict, verify_test
from harness.submission.official_verification import verify_officially
from harness.terminal import Terminal


@dataclass(frozen=True)
class Outcome:
    """What came out of one compliance test of one scenario."""

    scenario: Scenario
    test: str
    verdict: TestVerdict

    def __str__(self) -> str:
        """One line for a person."""
        verdict = self.verdict
        name = f"{LOADGEN_SCENARIOS[self.scenario]} {self.test}"
        if not verdict.passed:
            return f"[FAIL] {name}: {'; '.join(verdict.reasons)}"
        return f"[PASS] {name}: {verdict.found}"


def run_compliance(
    folder: Path, wanted: Sequence[str] | None, terminal: Terminal, *, official: Path | None = None
) -> list[Outcome]:
    """Runs and verifies the tests of every scenario whose performance the run has; finished tests are kept.

    Args:
        folder: of the run.
        wanted: names of tests; none: all of the round. One that another is compared with is run with it.
        official: a clone of mlcommons/inference, whose scripts verify too.

    Raises:
        UsageError: no complete run, no such test, or the run's inputs are no longer the same.
        HarnessError: as `run_recorded` and `verify_test` do.
        Interrupted: on Ctrl-C.
    """
    folder = folder.resolve()
    with alone_in(folder):
        run = RunDirectory.open(folder)
        records = first_performance_tests(run.manifest.get("tests", []))
        if run.manifest.get("status") != "complete" or not records:
            hint = f"finish it: ssd-harness run … --resume --output {folder}"
            raise UsageError("the run is not complete, or has no performance test", where=str(folder), hint=hint)
        settings = validate(RunSettings, run.manifest["settings"], str(folder / "manifest.json"))
        try:
            with _directory_of(run):
                inputs = find_inputs(settings, terminal)
                _check_same(inputs, run, terminal)
                names = _with_compared(inputs, wanted)
                for scenario, record in records.items():
                    for name in names:
                        if name in inputs.rules.compliance_of(scenario):
                            run_recorded(inputs, run, _plan(inputs, run, record, name), terminal)
                outcomes = list(_outcomes(inputs, run, list(records), official))
        except KeyboardInterrupt:
            hint = "the same command goes on with what is not finished"
            raise Interrupted("interrupted", where=str(folder), hint=hint) from None
        _write(folder, outcomes, records)
        summarise(folder)
        write_report(folder)
    return [outcome for outcome in outcomes if outcome.test in names]


@contextmanager
def _directory_of(run: RunDirectory) -> Iterator[None]:
    """In the folder that the run was started in: relative paths of its settings are meant from there."""
    here, there = Path.cwd(), Path(run.manifest.get("directory", "."))
    if there.is_dir():
        os.chdir(there)
    try:
        yield
    finally:
        os.chdir(here)


def _check_same(inputs: Inputs, run: RunDirectory, terminal: Terminal) -> None:
    described = inputs.describe()
    for what, keys in {"model": ("sha256",), "dataset": ("sha256", "images", "images_sha256")}.items():
        for key in keys:
            had, has = run.manifest[what].get(key), described[what][key]
            if had != has:
                hint = "a compliance test must have the run's own inputs: bring them back, or run again"
                raise UsageError(f"{key} of the {what} is {has}, the run had {had}", where=what, hint=hint)
    if run.manifest.get("code_sha256") != code_sha256():
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


def _plan(inputs: Inputs, run: RunDirectory, record: dict[str, Any], name: str) -> Plan:
    """The performance test of the record once more, with the settings of a compliance test."""
    test, folders = inputs.rules.compliance[name], ComplianceFolders(run.folder, record["scenario"])
    plan = inputs.plan(folders.logs(name), record["scenario"], "performance")
    return dataclasses.replace(
        plan,
        seeds=test.seeds or plan.seeds,
        audit=test.audit,
        compliance=name,
        calibration=Calibration(record["latency_s"], record["samples_per_second"]),
    )


def _outcomes(
    inputs: Inputs, run: RunDirectory, scenarios: Sequence[Scenario], official: Path | None
) -> Iterator[Outcome]:
    """Of every test whose logs are there, also from an earlier call."""
    for scenario in scenarios:
        folders = ComplianceFolders(run.folder, scenario)
        for name in inputs.rules.compliance_of(scenario):
            if not (folders.logs(name) / RECORD).is_file():
                continue
            verdict = verify_test(name, folders, inputs.round, inputs.rules, inputs.dataset.annotations)
            if official is not None:
                verdict = verify_officially(official, verdict, inputs.rules.compliance[name], name, folders)
            yield Outcome(scenario, name, verdict)


def _write(folder: Path, outcomes: Sequence[Outcome], records: dict[Scenario, dict[str, Any]]) -> None:
    data: dict[str, dict[str, Any]] = {}
    for outcome in outcomes:
        verdict = dataclasses.asdict(outcome.verdict) | {"passed": outcome.verdict.passed}
        data.setdefault(outcome.scenario, {})[outcome.test] = verdict
    # a verdict is of one performance test, and says nothing of a later one
    fingerprints = {scenario: records[scenario]["fingerprint"] for scenario in records}
    write_json(folder / COMPLIANCE_NAME, {"schema": 1, "performance_tests": fingerprints, "scenarios": data})
