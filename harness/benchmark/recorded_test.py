"""One test of a run, with its record: a finished one whose inputs are unchanged is not run again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any

from harness.benchmark.inputs import Inputs
from harness.benchmark.run_directory import RECORD, RunDirectory, log_hashes
from harness.benchmark.system import code_sha256, versions
from harness.files import write_json
from harness.loadgen.plan import Plan
from harness.loadgen.process import Progress, run_test
from harness.terminal import Report, Terminal


def run_recorded(inputs: Inputs, run: RunDirectory, plan: Plan, terminal: Terminal) -> dict[str, Any]:
    """Runs the test, unless it is there; gives its record, which is written when everything else is.

    Raises:
        HarnessError: as `run_test` does.
    """
    fingerprint = _fingerprint(inputs, plan)
    done = run.open_test(plan.folder, fingerprint)
    if done is not None:
        terminal.say(f"{plan.title}: already done, kept")
        return done
    with terminal.task(plan.title, "samples") as report:
        finished = run_test(
            plan,
            lambda progress: _report(report, progress),
            watchdog_s=inputs.settings.watchdog_s,
            startup_s=inputs.settings.startup_s,
        )
    record = {
        "scenario": plan.scenario,
        "mode": plan.mode,
        "fingerprint": fingerprint,
        "rules": plan.rules.model_dump(),
        "performance_sample_count": plan.performance_sample_count,
        "sessions": [asdict(slot) | {"name": slot.name} for slot in plan.slots],
        **asdict(finished),
        "logs": log_hashes(plan.folder),
    }
    write_json(plan.folder / RECORD, record)
    return record


def _report(report: Report, progress: Progress) -> None:
    if progress.phase != "running":
        report(0, None, progress.phase)
        return
    remaining_s = None
    if progress.done:
        seconds_a_sample = progress.elapsed_s / progress.done
        remaining_s = max((progress.samples or 0) - progress.done, 0) * seconds_a_sample
        remaining_s = max(remaining_s, progress.min_duration_s - progress.elapsed_s)
    # a test that goes on for its least duration passes the number it needs
    total = progress.samples if progress.samples is None or progress.done <= progress.samples else None
    report(progress.done, total, "", remaining_s)


def _fingerprint(inputs: Inputs, plan: Plan) -> str:
    """Hash of everything that the test's result depends on."""
    settings = inputs.settings
    parts = {
        "test": (plan.scenario, plan.mode, plan.rules.model_dump(), plan.lengths.model_dump()),
        "audit": (plan.compliance, dict(plan.audit), plan.calibration and asdict(plan.calibration)),
        "round": (inputs.round.round, plan.seeds.model_dump(), inputs.rules.performance_sample_count),
        "model": (inputs.model_sha256, settings.model.model_dump(mode="json", exclude={"path"})),
        "dataset": (inputs.dataset.sha256, len(inputs.dataset), inputs.images_sha256),
        "backend": settings.backend.model_dump(),
        "slots": [asdict(slot) for slot in plan.slots],
        "versions": versions(),
        "code": code_sha256(),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
