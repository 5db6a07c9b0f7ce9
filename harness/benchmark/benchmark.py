"""A whole run: inputs, one LoadGen test after the other, accuracy, summary; and the manifest tells how it ended."""

from __future__ import annotations

import hashlib
import json
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.accuracy.ground_truth import read_ground_truth
from harness.accuracy.run import evaluate_run
from harness.benchmark.find_peak import find_peaks
from harness.benchmark.inputs import Inputs, find_inputs
from harness.benchmark.run_directory import RunDirectory
from harness.benchmark.running_map import RunningMap
from harness.benchmark.system import system, versions
from harness.errors import HarnessError, Interrupted
from harness.files import write_json
from harness.live.display import shown
from harness.loadgen.plan import Mode, Plan
from harness.loadgen.process import run_test
from harness.report.summary import Summary, summarise
from harness.report.trace import write_trace
from harness.settings import RunSettings, Scenario
from harness.terminal import Terminal


def run_benchmark(settings: RunSettings, folder: Path, terminal: Terminal, *, resume: bool = False) -> Summary:
    """Runs everything that the settings ask for.

    Raises:
        HarnessError: as its parts do; the manifest then says "failed" and why.
        Interrupted: on Ctrl-C; the manifest says so.
    """
    manifest = {
        "command": sys.argv,
        "settings": settings.model_dump(mode="json"),
        "round": settings.round,
        "versions": versions(),
        "system": system(),
    }
    run = RunDirectory.create(folder, manifest, resume=resume)
    try:
        inputs = find_inputs(settings, terminal)
        run.manifest.update(inputs.describe(), tests=[])
        run.save()
        for scenario, mode in tests_of(settings):
            run.manifest["tests"].append(_run_test(inputs, run, scenario, mode, terminal))
            run.save()
            if mode == "accuracy":
                _evaluate(inputs, run.test_folder(scenario, mode), terminal)
        if settings.mode == "find-peak":
            run.manifest["peak"] = find_peaks(inputs, run, terminal)
        run.finish("complete")
        return summarise(folder)
    except KeyboardInterrupt:
        run.finish("failed", "interrupted")
        raise Interrupted("interrupted", where=str(folder), hint=f"continue with --resume --output {folder}") from None
    except BaseException as error:
        run.finish("failed", str(error) if isinstance(error, HarnessError) else f"{type(error).__name__}: {error}")
        raise


def tests_of(settings: RunSettings) -> list[tuple[Scenario, Mode]]:
    """The tests in their order. Accuracy is measured once: in Offline, or else in the first scenario."""
    tests: list[tuple[Scenario, Mode]] = []
    if settings.mode in ("performance", "both"):
        tests += [(scenario, "performance") for scenario in settings.scenarios]
    if settings.mode in ("accuracy", "both"):
        tests.append(("offline" if "offline" in settings.scenarios else settings.scenarios[0], "accuracy"))
    return tests


def _run_test(inputs: Inputs, run: RunDirectory, scenario: Scenario, mode: Mode, terminal: Terminal) -> dict[str, Any]:
    plan = inputs.plan(run.test_folder(scenario, mode), scenario, mode)
    fingerprint = _fingerprint(inputs, plan)
    done = run.open_test(scenario, mode, fingerprint)[1]
    if done is not None:
        terminal.say(f"{plan.title}: already done, kept")
        return done
    with (
        _running_map(inputs, plan) as running,
        shown(plan, terminal, subtitle=inputs.subtitle, accuracy=running) as show,
    ):
        finished = run_test(plan, show, watchdog_s=inputs.settings.watchdog_s, startup_s=inputs.settings.startup_s)
    if plan.trace:
        with terminal.task(f"{plan.title}, trace"):
            write_trace(plan.folder, [slot.name for slot in plan.slots], plan.title)
    record = {
        "scenario": scenario,
        "mode": mode,
        "fingerprint": fingerprint,
        "rules": plan.rules.model_dump(),
        "performance_sample_count": plan.performance_sample_count,
        "sessions": [asdict(slot) | {"name": slot.name} for slot in plan.slots],
        **asdict(finished),
    }
    write_json(plan.folder / "test.json", record)
    return record


def _running_map(inputs: Inputs, plan: Plan) -> AbstractContextManager[RunningMap | None]:
    if plan.mode != "accuracy" or plan.model.decoder == "none":
        return nullcontext()
    truth = read_ground_truth(inputs.dataset.annotations).first(len(inputs.dataset))
    return RunningMap(plan.folder / "mlperf_log_accuracy.json", truth)


def _fingerprint(inputs: Inputs, plan: Plan) -> str:
    """Hash of everything that the test's result depends on."""
    settings = inputs.settings
    parts = {
        "test": (plan.scenario, plan.mode, plan.rules.model_dump(), plan.lengths.model_dump()),
        "round": (inputs.round.round, inputs.round.seeds.model_dump(), inputs.rules.performance_sample_count),
        "model": (inputs.model_sha256, settings.model.model_dump(mode="json", exclude={"path"})),
        "dataset": (inputs.dataset.sha256, len(inputs.dataset)),
        "backend": settings.backend.model_dump(),
        "slots": [asdict(slot) for slot in plan.slots],
        "trace": plan.trace,
        "versions": versions(),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _evaluate(inputs: Inputs, folder: Path, terminal: Terminal) -> None:
    with terminal.task("mAP") as report:
        report(0, None, f"{len(inputs.dataset)} images with pycocotools")
        evaluate_run(folder, inputs.dataset)
