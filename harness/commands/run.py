"""``ssd-harness run``: LoadGen tests from a configuration and the command line, ending with a table."""

from __future__ import annotations

import argparse
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.benchmark.overrides import with_replaced_parts
from harness.command_line.argument_types import scenario
from harness.command_line.option_names import OPTIONS
from harness.errors import HarnessError, UsageError
from harness.rounds import load_round
from harness.scenarios import SCENARIOS, TITLES, scenario_named
from harness.setting_errors import ONE_OF_TWO, PHOTOGRAPHS_MISSING, SUBMISSION_MISSING, SettingError
from harness.setting_paths import parse_assignment
from harness.settings import RunSettings, load_run

if TYPE_CHECKING:
    from harness.runs.figures import Summary

EXPECTED_FRACTION = 0.99  # kernels of other processors and releases move the mAP by some tenths of a percent

SUMMARY = "run performance and accuracy tests and print the figures"
EXAMPLES = """\
  ssd-harness run                                          the demo: synthetic images, the default model
  ssd-harness run smoke                                    the wiring only, on a simulated device
  ssd-harness run --images val2017 --annotations instances_val2017.json --model my.onnx --count 64
  ssd-harness run --scenario offline --duration 60 --devices 'cpu*2' --output results/mine
  ssd-harness run scenarios --mode find-peak --scenario server
  ssd-harness run --set backend.warmup=10 --set model.nms=reference
  ssd-harness run coco --mode submission --division closed --system mine.json --submitter ORG \\
      --images val2017 --annotations instances_val2017.json --model my.onnx
"""


def add_measurement_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what says which configuration is measured, on what and for how long; `overrides_of` reads it."""
    parser.add_argument(
        "config", nargs="?", type=Path, help="a YAML file, or the name of a shipped one (demo; coco for a submission)"
    )
    add = parser.add_argument_group("what is measured").add_argument
    names = ", ".join(SCENARIOS)
    add("--scenario", metavar="NAMES", help=f"the scenarios, comma-separated, in any usual spelling: {names}")
    add("--duration", type=float, metavar="SECONDS", help="the least seconds of each performance test")
    add("--queries", type=int, metavar="N", help="the least queries of each performance test (in Offline: samples)")
    add("--repeat", type=int, metavar="N", help="make each performance test N times, to see what is noise")
    add("--round", metavar="R", help="the MLPerf round whose rules apply, e.g. v2.0 (default: the model's own)")
    add = parser.add_argument_group("the device, the model and the images").add_argument
    add("--backend", metavar="NAME", help="the device runtime, e.g. onnxruntime or simulated")
    add("--devices", metavar="SPEC", help="the devices and their sessions, e.g. 'cpu*2'")
    add("--cluster", metavar="WHERE", help="nodes: local:N, auto, HOST:PORT or ray://HOST:PORT; --devices is per node")
    add("--on-device-failure", choices=("stop", "continue"), help="stop the run (default), or go on without the device")
    add("--model", type=Path, metavar="FILE", help="the model file, ONNX for most backends (default: the built-in one)")
    add("--model-name", metavar="NAME", help="which model that is: a folder of harness/model, or package.module:object")
    add("--images", type=Path, metavar="DIR", help="the folder of COCO images (default: a synthetic set)")
    add("--annotations", type=Path, metavar="JSON", help="the COCO annotations of those images")
    add("--count", type=int, metavar="N", help="use the first N images only")
    add = parser.add_argument_group("any setting").add_argument
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a configuration key and its value; may be repeated (`ssd-harness config keys` lists them)",
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `run`."""
    add_measurement_arguments(parser)
    add = parser.add_argument_group("the kind of run").add_argument
    add("--mode", choices=("performance", "accuracy", "both", "find-peak", "submission"), help="what to find out")
    add("--trace", action="store_true", default=None, help="also write a trace for Perfetto; not submittable then")
    add("--profile", action="store_true", default=None, help="also count each layer's time; not submittable then")
    add = parser.add_argument_group("a submission (--mode submission)").add_argument
    add("--division", choices=("closed", "open"), help="the division it is for")
    add("--submitter", metavar="ORG", help="the organisation, as its folder is called")
    add("--system", type=Path, metavar="JSON", help="the system's description (`ssd-harness doctor system` begins one)")
    add = parser.add_argument_group("where the files go").add_argument
    add(
        "--output",
        type=Path,
        metavar="DIR",
        help="the run directory (default: results/<name>-<date>-<time>, or of a submission)",
    )
    add("--overwrite", action="store_true", help="replace the finished run in --output, once this one has results")
    add("--resume", action="store_true", help="keep the finished tests of an interrupted run; a submission always does")
    group = parser.add_argument_group("what is shown")
    shown = group.add_mutually_exclusive_group()
    shown.add_argument("--no-live", dest="style", action="store_const", const="lines", help="lines, on a terminal too")
    shown.add_argument("--quiet", dest="style", action="store_const", const="quiet", help="only results and errors")
    shown.add_argument(
        "--json-progress", dest="style", action="store_const", const="json", help="progress as JSON lines on stderr"
    )
    group.add_argument("--why", action="store_true", help="every reason why the run cannot be submitted")


def load_settings(args: argparse.Namespace, overrides: dict[str, Any]) -> RunSettings:
    """The configuration with what the command line says of it.

    Raises:
        UsageError: a wrong value; names the option where one gave it, else the key.
    """
    try:
        return load_run(args.config, overrides)
    except SettingError as error:
        option = _option_of(error.key, args)
        if option is not None:
            raise UsageError(error.problem, where=option, hint="ssd-harness run --help") from error
        if error.rule == ONE_OF_TWO:
            missing = "--annotations" if args.annotations is None else "--images"
            raise UsageError(f"{missing} is missing", hint="give both --images DIR and --annotations JSON") from error
        if error.rule == SUBMISSION_MISSING:
            hint = "`ssd-harness doctor system --output mine.json` writes the description"
            what = "--mode submission needs --division, --submitter and --system"
            raise UsageError(what, hint=hint) from error
        if error.rule == PHOTOGRAPHS_MISSING:
            hint = "give --images DIR and --annotations JSON, and --model FILE, as the default model knows shapes only"
            raise UsageError(f"{args.config} needs COCO's images and annotations", hint=hint) from error
        raise


def _option_of(key: str, args: argparse.Namespace) -> str | None:
    """The option of the command line that a key's value came from, or is missing from; None: it is of the file."""
    if key.endswith(".min_duration_s") and args.duration is not None:
        return "--duration"
    if key.endswith(".min_queries") and args.queries is not None:
        return "--queries"
    for prefix, option in OPTIONS.items():
        given = getattr(args, option[2:].replace("-", "_"), None)
        if (key == prefix or key.startswith(f"{prefix}.")) and (given is not None or key.startswith("submission.")):
            return option
    return None


def run(args: argparse.Namespace) -> int:
    """Runs the tests and prints the figures; 1 if one is INVALID or the mAP is below what was asked for."""
    if args.config is None:
        args.config = Path("coco" if args.mode == "submission" else "demo")
    settings = load_settings(args, _without_expectation(_overrides(args)))
    if args.resume and args.output is None and settings.submission is None:
        raise UsageError("--resume needs the run's --output", hint="give the folder of the run that was interrupted")

    from harness.benchmark.announcement import announcement
    from harness.benchmark.benchmark import run_benchmark
    from harness.benchmark.inputs import with_round
    from harness.benchmark.submission import submission_folder, with_required_scenarios
    from harness.report.summary_tables import print_summary
    from harness.runs.directory import default_folder
    from harness.runs.layout import RunLayout
    from harness.terminal import JSON_SCHEMA, Terminal, output

    settings = with_round(settings)
    if args.scenario is None:
        settings = with_required_scenarios(settings)
    folder = args.output
    if folder is None:
        whose = settings.submission
        folder = default_folder(settings.name) if whose is None else submission_folder(whose, settings.round)
    terminal = Terminal(args.style)
    terminal.tell("start", schema=JSON_SCHEMA, output=str(folder))
    for line in (*announcement(settings, folder), *_ignored(args, settings)):
        terminal.say(line)
    try:
        summary = run_benchmark(settings, folder, terminal, resume=args.resume, overwrite=args.overwrite)
    except HarnessError as error:
        terminal.tell("end", status=error.exit_status, error=error.what, where=error.where, next=error.hint)
        raise
    finally:
        with suppress(OSError):  # there is something in it
            folder.rmdir()
    console = output()
    print_summary(summary, folder, console, why=args.why)
    reached, said = _judge_accuracy(settings, summary)
    if said:
        console.print(said)
    status = 0 if summary.valid and reached else 1
    terminal.tell("end", status=status, summary=str(RunLayout(folder).summary))
    return status


def overrides_of(args: argparse.Namespace) -> dict[str, Any]:
    """Configuration key → value, of the options that `add_measurement_arguments` adds."""
    options = {
        "repeat": args.repeat,
        "scenarios": [scenario(name) for name in args.scenario.split(",")] if args.scenario else None,
        "backend.name": args.backend,
        "backend.devices": args.devices,
        "cluster.address": args.cluster,
        "backend.on_device_failure": args.on_device_failure,
        "round": args.round,
        "model.name": args.model_name,
        "model.path": args.model,
        "dataset.images": args.images,
        "dataset.annotations": args.annotations,
        "dataset.count": args.count,
    }
    overrides = with_replaced_parts(args.config, _given(options))
    for name in SCENARIOS:
        if args.duration is not None:
            overrides[f"tests.{name}.min_duration_s"] = args.duration
        if args.queries is not None:
            overrides[f"tests.{name}.min_queries"] = args.queries
    return overrides | dict(parse_assignment(text) for text in args.set)


def _overrides(args: argparse.Namespace) -> dict[str, Any]:
    options = {
        "mode": args.mode,
        "submission.division": args.division,
        "submission.submitter": args.submitter,
        "submission.system": args.system,
        "trace": args.trace,
        "profile": args.profile,
    }
    return _given(options) | overrides_of(args)


def _ignored(args: argparse.Namespace, settings: RunSettings) -> list[str]:
    """A line for each option and setting that has no effect."""
    unused = []
    if settings.backend.name == "simulated" and args.model is not None:
        unused.append((f"--model {args.model}", "a simulated device runs no model"))
    if settings.mode == "accuracy":
        options = {"--duration": args.duration, "--queries": args.queries}
        unused += [(option, "an accuracy test has every image once") for option in _given(options)]
    if args.repeat is not None and settings.mode not in ("performance", "both"):
        unused.append(("--repeat", f"--mode {settings.mode} makes each of its tests once"))
    for key, _ in map(parse_assignment, args.set):
        if key == "model.precision" and settings.model.path is not None:
            unused.append((key, "it is of the built-in model, and --model is another one"))
        if key.startswith("dataset.synthetic") and settings.dataset.images is not None:
            unused.append((key, "the images are those of --images"))
        if key.startswith("tests.") and (test := scenario_named(key.split(".")[1])) not in settings.scenarios:
            unused.append((key, f"{TITLES[test]} is not among the scenarios of this run; --scenario names them"))
    return [f"note: {what} is not used: {why}" for what, why in unused]


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if value is not None}


def _without_expectation(overrides: dict[str, Any]) -> dict[str, Any]:
    """What the file expects of its own model and images says nothing of others."""
    if any(key.startswith(("model.", "dataset.")) for key in overrides):
        return {"expected_map_percent": None} | overrides
    return overrides


def _judge_accuracy(settings: RunSettings, summary: Summary) -> tuple[bool, str]:
    """Whether the mAP is what was asked for and expected, and the sentence that says so; empty when nothing was."""
    accuracy = summary.accuracy
    if accuracy is None:
        return True, ""
    percent, gate, expected = accuracy.mAP * 100, _gate(settings, summary), settings.expected_map_percent
    if accuracy.mAP < 0:
        return True, "mAP is not defined: these images have no objects to find, and no gate is judged by them"
    if gate is not None and percent < gate:
        return False, f"mAP {percent:.3f} % is below the gate of {gate:g} %"
    if expected is None or summary.backend.simulated:
        return True, ""
    if percent < expected * EXPECTED_FRACTION:
        said = f"mAP {percent:.3f} % is below the expected {expected:g} %: something from image to detection is wrong"
        return False, f"{said}; `ssd-harness accuracy RUN --doctor` looks for it"
    return True, f"mAP as expected ({expected:g} %)"


def _gate(settings: RunSettings, summary: Summary) -> float | None:
    """The one asked for, or the round's for a closed submission that is no rehearsal."""
    gate, submission = settings.min_map_percent, summary.submission
    if gate is None and submission and submission.division == "closed" and not submission.rehearsal:
        return load_round(settings.round).benchmark(summary.model.benchmark).accuracy.gate_percent
    return gate
