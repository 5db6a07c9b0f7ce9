"""`ssd-harness prepare outputs`: records what a model gives for every image, for simulated devices to play again.

A simulated device with the option ``replay_outputs: DIR`` then gives, for each image, what the real model gave:
detections and mAP are real, only the time is not. An image takes 1.3 MB (INT8) or 5.2 MB (float32 outputs).

With ``--ground-truth`` there is no model: the objects of the annotations, or a share of them, go into one small file,
and a simulated device with the option ``objects: FILE`` gives outputs in which they are found.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.accuracy.annotated_objects import annotated_objects
from harness.accuracy.ground_truth import read_ground_truth
from harness.benchmark.inputs import Inputs, find_inputs
from harness.command_line.argument_types import share
from harness.command_line.json_output import Made, add_json_option
from harness.errors import DataError, UsageError
from harness.sessions import SessionRequest
from harness.sessions.known_objects import save_objects
from harness.sessions.recorded import content_key, save_outputs
from harness.setting_paths import parse_assignment
from harness.settings import load_run
from harness.terminal import Terminal

SUMMARY = "record a model's outputs for simulated devices to play again"
EXAMPLES = """\
  ssd-harness prepare outputs --output recorded
  ssd-harness prepare outputs coco --set dataset.count=64 --set model.path=my.onnx --output recorded
  ssd-harness run --backend simulated --set backend.options.replay_outputs=recorded
  ssd-harness prepare outputs --ground-truth --found 0.5 --output objects.npz
  ssd-harness run --backend simulated --set backend.options.objects=objects.npz"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `prepare outputs`."""
    parser.add_argument("config", nargs="?", type=Path, default=Path("demo"), help="whose images, model and backend")
    parser.add_argument("--output", type=Path, required=True, metavar="PATH", help="where they go: a folder, or a file")
    add = parser.add_argument
    add("--ground-truth", action="store_true", help="no model: the annotations' objects, for simulated devices to find")
    add("--found", type=share, default=1.0, metavar="SHARE", help="of the objects, with --ground-truth (1: all)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="any configuration key")
    add_json_option(parser, "what was recorded")


def run(args: argparse.Namespace) -> int:
    """One inference of every image on one session; or the objects of every image."""
    overrides = dict(parse_assignment(text) for text in args.set)
    if args.ground_truth:
        overrides |= {"backend": {"name": "simulated"}}
    elif args.found != 1:
        raise UsageError("--found goes with --ground-truth")
    settings = load_run(args.config, overrides)
    terminal = Terminal()
    inputs = find_inputs(settings, terminal)
    try:
        (args.output.parent if args.ground_truth else args.output).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror}", where=str(args.output)) from error
    made = Made(args.json)
    if args.ground_truth:
        _write_objects(inputs, args.output, args.found, terminal, made)
    else:
        _record(inputs, args.output, terminal, made)
    made.finish()
    return 0


def _record(inputs: Inputs, folder: Path, terminal: Terminal, made: Made) -> None:
    slot = inputs.slots("single_stream")[0]
    request = SessionRequest.of(
        inputs.model,
        inputs.model_file,
        device=slot.device,
        threads=inputs.settings.backend.threads or max(1, len(slot.cores)),
        options=inputs.settings.backend.options,
    )
    count = len(inputs.dataset)
    with inputs.backend.open_session(request) as session, terminal.task("Recording", "images") as report:
        for index in range(count):
            [tensor] = inputs.source.load([index])
            save_outputs(folder, tensor, session.run(tensor))
            report(index + 1, count)
    made.add(f"outputs of {count} images in {folder}", images=count, folder=str(folder))


def _write_objects(inputs: Inputs, file: Path, share_found: float, terminal: Terminal, made: Made) -> None:
    truth = read_ground_truth(inputs.dataset.annotations)
    count, keys, objects = len(inputs.dataset), [], []
    with terminal.task("Objects", "images") as report:
        for index in range(count):
            [tensor] = inputs.source.load([index])
            keys.append(content_key(tensor))
            objects.append(annotated_objects(truth, index, share_found))
            report(index + 1, count)
    save_objects(file, keys, objects)
    found = sum(map(len, objects))
    made.add(f"{found} objects of {count} images in {file}", objects=found, images=count, file=str(file))
