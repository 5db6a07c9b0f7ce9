"""One test of a run, with its record: a finished one whose inputs are unchanged is not run again."""

from __future__ import annotations

import hashlib
import json
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict

from harness.benchmark.inputs import Inputs
from harness.benchmark.machine_sampler import MachineSampler
from harness.benchmark.machine_watch import MachineWatch
from harness.benchmark.running_map import RunningMap
from harness.live.display import shown
from harness.loadgen.messages import Finished
from harness.loadgen.plan import Plan
from harness.loadgen.process import run_test
from harness.runs.directory import RunDirectory, log_hashes
from harness.runs.documents import write_document
from harness.runs.layout import TestFolder
from harness.runs.machine_load import clocks_mhz, energy_joules, write_machine_load
from harness.runs.profiles import profile_record
from harness.runs.records import MachineRecord, TestRecord
from harness.runs.trace import write_trace
from harness.source_code import code_sha256
from harness.system import versions
from harness.terminal import Terminal

NOT_RECORDED = ("measured_ns", "profiles")
"""Of what the child says: these have files of their own."""


def run_recorded(inputs: Inputs, run: RunDirectory, plan: Plan, terminal: Terminal, *, number: int = 1) -> TestRecord:
    """Runs the test, unless it is there; gives its record, which is written when everything else is.

    Args:
        number: counts the repetitions of a performance test.

    Raises:
        HarnessError: as `run_test` does.
    """
    title = plan.title if number == 1 else f"{plan.title} {number}"
    fingerprint = _fingerprint(inputs, plan)
    done = run.open_test(plan.folder, fingerprint)
    if done is not None:
        terminal.say(f"{title}: already done, kept")
        return done
    watch, sampler = MachineWatch(), MachineSampler()
    with (
        sampler,
        _running_map(inputs, plan) as running,
        shown(plan, terminal, title=title, subtitle=inputs.subtitle, accuracy=running) as show,
    ):
        finished = run_test(plan, show, watchdog_s=inputs.settings.watchdog_s, startup_s=inputs.settings.startup_s)
    machine = _with_load(watch.record(), sampler, plan, finished)
    files = TestFolder(plan.folder)
    if finished.profiles:
        write_document(files.profile, profile_record(finished.profiles))
    if plan.trace:
        with terminal.task(f"{title}, trace"):
            write_trace(plan.folder, [slot.name for slot in plan.slots], title)
    record = TestRecord.model_validate(
        {
            "scenario": plan.scenario,
            "mode": plan.mode,
            "number": number,
            "fingerprint": fingerprint,
            "rules": plan.rules.model_dump(mode="json"),
            "performance_sample_count": plan.performance_sample_count,
            "sessions": [asdict(slot) | {"name": slot.name} for slot in plan.slots],
            **{key: value for key, value in asdict(finished).items() if key not in NOT_RECORDED},
            "machine": machine,
            "logs": log_hashes(plan.folder),
        }
    )
    write_document(files.record, record)
    return record


def _with_load(machine: MachineRecord, sampler: MachineSampler, plan: Plan, finished: Finished) -> MachineRecord:
    """The record with energy and clocks of the measured part; the machine's load over time goes into a file."""
    began_ns, ended_ns = finished.measured_ns
    table, end_s = sampler.table(began_ns), (ended_ns - began_ns) / 1e9
    write_machine_load(TestFolder(plan.folder).machine_load, table)
    found = {"energy_joules": energy_joules(table, end_s), "clocks_mhz": clocks_mhz(table, end_s)}
    return machine.model_copy(update={name: values for name, values in found.items() if values})


def _running_map(inputs: Inputs, plan: Plan) -> AbstractContextManager[RunningMap | None]:
    if plan.mode != "accuracy" or plan.model.decoder == "none":
        return nullcontext()
    assert inputs.truth is not None, "a run with an accuracy test has its annotations"
    return RunningMap(TestFolder(plan.folder).accuracy_log, inputs.truth, labels=inputs.rules.labels)


def _fingerprint(inputs: Inputs, plan: Plan) -> str:
    """Hash of everything that the test's result depends on."""
    settings = inputs.settings
    parts = {
        "test": (plan.scenario, plan.mode, plan.rules.model_dump(), plan.scenario_settings.model_dump()),
        "audit": (plan.compliance, dict(plan.audit), plan.calibration and asdict(plan.calibration)),
        "round": (inputs.round.round, plan.seeds.model_dump(), inputs.rules.performance_sample_count),
        "model": (inputs.model_sha256, settings.model.model_dump(mode="json", exclude={"path"})),
        "dataset": (inputs.dataset.sha256, len(inputs.dataset), inputs.images_sha256),
        "backend": settings.backend.model_dump(),
        "slots": [asdict(slot) for slot in plan.slots],
        "trace": plan.trace,
        "profile": plan.profile,
        "versions": versions(),
        "code": code_sha256(),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
