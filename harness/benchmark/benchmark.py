"""A whole run: inputs, one LoadGen test after the other, accuracy, summary; and the manifest tells how it ended."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from harness.benchmark.find_peak import find_peaks
from harness.benchmark.inputs import Inputs, cluster_of, find_inputs, with_round
from harness.benchmark.recorded import run_recorded
from harness.benchmark.submission import describe_submission
from harness.errors import HarnessError, Interrupted, named_line
from harness.loadgen.plan import Mode
from harness.report.page import write_report
from harness.runs.directory import RunDirectory, alone_in, check_free, holds_run
from harness.runs.documents import SCHEMA
from harness.runs.evaluation import evaluate_run
from harness.runs.figures import Summary
from harness.runs.followed_round import keep_round
from harness.runs.gallery import has_gallery, keep_gallery
from harness.runs.records import Manifest
from harness.runs.summary import summarise
from harness.scenarios import Scenario
from harness.settings import RunSettings
from harness.signals import uninterrupted
from harness.source_code import code_sha256
from harness.system import system, versions
from harness.terminal import Terminal


def run_benchmark(
    settings: RunSettings, folder: Path, terminal: Terminal, *, resume: bool = False, overwrite: bool = False
) -> Summary:
    """Runs everything that the settings ask for.

    A submission that is there is resumed whether that is asked for or not: its tests are too long to be lost. A
    complete run is replaced with ``overwrite`` only, and any earlier run stands until this one has results.

    Raises:
        HarnessError: as its parts do; the manifest then says "failed" and why.
        Interrupted: on Ctrl-C; the manifest says so.
    """
    settings = with_round(settings)
    manifest = Manifest(
        schema=SCHEMA,
        status="running",
        command=tuple(sys.argv),
        directory=str(Path.cwd()),
        settings=settings.model_dump(mode="json"),
        round=settings.round,
        versions=versions(),
        code_sha256=code_sha256(),
        system=system(),
    )
    if settings.mode == "submission":
        resume = holds_run(folder) and not overwrite
    with alone_in(folder), cluster_of(settings, terminal) as cluster:
        if not resume and not overwrite:
            check_free(folder)
        # a mistake in what a run needs must not touch the run that is there
        replaces = holds_run(folder) and not resume
        inputs = find_inputs(settings, terminal, cluster) if replaces else None
        run = RunDirectory.create(folder, manifest, resume=resume)
        try:
            _run(settings, run, inputs or find_inputs(settings, terminal, cluster), terminal)
            run.finish("complete")
            summary = summarise(folder)
        except KeyboardInterrupt as interrupt:
            what = f"interrupted; {interrupt}" if str(interrupt) else "interrupted"
            hint = f"the same command with --resume --output {folder} goes on with what is not finished"
            if _end(run, what):
                hint = "there were no results yet, and the earlier run is as it was"
            raise Interrupted(what, where=str(folder), hint=hint) from None
        except BaseException as error:
            _end(run, _reason(error, folder))
            raise
        with terminal.task("Report") as report:
            report(0, None, run.layout.report.name)
            write_report(folder)
        return summary


def _reason(error: BaseException, folder: Path) -> str:
    if isinstance(error, HarnessError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{os.fsdecode(error.filename or folder)}: {error.strerror}"
    return named_line(error)


def _end(run: RunDirectory, reason: str) -> bool:
    """Writes down why a run failed, or gives way to an earlier one, and then is True; its own failure is a lesser one.

    A second Ctrl-C does not stop it.
    """
    with uninterrupted(), suppress(OSError):
        if run.give_way():
            return True
        run.finish("failed", reason)
    return False


def _run(settings: RunSettings, run: RunDirectory, inputs: Inputs, terminal: Terminal) -> None:
    keep_round(run.folder, settings.round)
    run.update(**inputs.describe(), tests=())
    if settings.submission is not None:
        submission = describe_submission(settings.submission, inputs, run.manifest)
        run.update(submission=submission)
        for reason in submission.rehearsal_because:
            terminal.say(f"REHEARSAL, no submission: {reason}")
    for scenario, mode, number in tests_of(settings):
        folder = run.test_folder(scenario, mode, number)
        plan = inputs.plan(folder, scenario, mode)
        run.add_test(run_recorded(inputs, run, plan, terminal, number=number))
        if mode == "accuracy" and not has_gallery(folder):  # what an evaluation writes last
            _evaluate(inputs, folder, terminal)
    if settings.mode == "find-peak":
        run.update(peak=find_peaks(inputs, run, terminal))


def tests_of(settings: RunSettings) -> list[tuple[Scenario, Mode, int]]:
    """The tests in their order, the last number counting repetitions from 1.

    In a submission every scenario has both modes, the accuracy first: it is the shorter one. Otherwise accuracy is
    measured once: in Offline, or else in the first scenario. Repetitions take turns, so that a machine that slows down
    meets all scenarios alike.
    """
    if settings.mode == "submission":
        modes: tuple[Mode, ...] = ("accuracy", "performance")
        return [(scenario, mode, 1) for scenario in settings.scenarios for mode in modes]
    tests: list[tuple[Scenario, Mode, int]] = []
    if settings.mode in ("performance", "both"):
        for number in range(1, settings.repeat + 1):
            tests += [(scenario, "performance", number) for scenario in settings.scenarios]
    if settings.mode in ("accuracy", "both"):
        tests.append(("offline" if "offline" in settings.scenarios else settings.scenarios[0], "accuracy", 1))
    return tests


def _evaluate(inputs: Inputs, folder: Path, terminal: Terminal) -> None:
    with terminal.task("mAP") as report:
        report(0, None, f"{len(inputs.dataset)} images with pycocotools")
        assert inputs.truth is not None, "a run with an accuracy test has its annotations"
        evaluated = evaluate_run(folder, inputs.dataset, inputs.truth, inputs.rules.labels)
        report(0, None, "images for the report")
        keep_gallery(folder, inputs.dataset, evaluated)
