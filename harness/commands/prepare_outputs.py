"""`ssd-harness prepare outputs`: records what a model gives for every image, for simulated devices to play again.

A simulated device with the option ``replay_outputs: DIR`` then gives, for each image, what the real model gave:
detections and mAP are real, only the time is not. An image takes 1.3 MB (INT8) or 5.2 MB (float32 outputs).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.benchmark.inputs import find_inputs
from harness.errors import DataError
from harness.sessions import SessionRequest
from harness.sessions.recorded import save_outputs
from harness.settings import load_run, parse_assignment
from harness.terminal import Terminal

SUMMARY = "record a model's outputs for simulated devices to play again"
EXAMPLES = """\
  ssd-harness prepare outputs --output recorded
  ssd-harness prepare outputs coco --set dataset.count=64 --set model.path=my.onnx --output recorded
  ssd-harness run --backend simulated --set backend.options.replay_outputs=recorded"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `prepare outputs`."""
    parser.add_argument("config", nargs="?", type=Path, default=Path("demo"), help="whose images, model and backend")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="where the recorded outputs go")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="any configuration key")


def run(args: argparse.Namespace) -> int:
    """One inference of every image on one session."""
    settings = load_run(args.config, dict(parse_assignment(text) for text in args.set))
    terminal = Terminal()
    inputs = find_inputs(settings, terminal)
    try:
        args.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror}", where=str(args.output)) from error
    slot = inputs.slots("single_stream")[0]
    request = SessionRequest(
        model=inputs.model_file,
        device=slot.device,
        threads=settings.backend.threads or max(1, len(slot.cores)),
        options=settings.backend.options,
        input=inputs.model.input,
        outputs=inputs.model.outputs,
        example_outputs=inputs.model.example_outputs,
    )
    count = len(inputs.dataset)
    with inputs.backend.open_session(request) as session, terminal.task("Recording", "images") as report:
        for index in range(count):
            [tensor] = inputs.source.load([index])
            save_outputs(args.output, tensor, session.run(tensor))
            report(index + 1, count)
    terminal.result(f"outputs of {count} images in {args.output}")
    return 0
