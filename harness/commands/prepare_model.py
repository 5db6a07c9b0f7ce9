"""`ssd-harness prepare model`: from a published ONNX to a calibrated INT8 model with raw outputs, a step at a time.

--extract cuts a published float32 model at its raw outputs; --calibrate finds the ranges of its activations; --quantize
makes the INT8 model; --download gets a published one.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.benchmark.file_accuracy import file_accuracy
from harness.command_line.argument_types import one_or_more
from harness.command_line.json_output import Made, add_json_option
from harness.command_line.model_argument import add_model_name
from harness.dataset.coco_index import CocoIndex
from harness.dataset.image_list import listed_images
from harness.dataset.synthetic import cached_synthetic
from harness.dataset.tensors import read_image, tensor_of
from harness.errors import ModelError, UsageError
from harness.files import sha256_file
from harness.model.io_check import check_model
from harness.model.protocol import DetectionModel
from harness.model.registry import load_model
from harness.published import get_published, published_names
from harness.quantization import onnx_file
from harness.quantization.calibration import Method, calibrate, runtime_version
from harness.quantization.int8 import quantize
from harness.quantization.ranges_file import RangesFile, read_ranges, write_ranges
from harness.quantization.resumed_calibration import Images, calibrate_minmax
from harness.quantization.sensitivity import output_ranges, sensitivities
from harness.settings import cache_dir
from harness.terminal import Terminal

SUMMARY = "extract, calibrate, quantize or download a model"
EXAMPLES = """\
  ssd-harness prepare model --download NAME --output models
  ssd-harness prepare model --extract models/published.onnx --output raw.onnx
  ssd-harness prepare model --model-name NAME --extract published.onnx --output raw.onnx
  ssd-harness prepare model --calibrate raw.onnx --ranges ranges.yaml
  ssd-harness prepare model --calibrate raw.onnx --images train2017 --list coco_cal_images_list.txt --ranges ranges.yaml
  ssd-harness prepare model --quantize raw.onnx --ranges ranges.yaml --output int8.onnx --evaluate"""

SYNTHETIC_CALIBRATION = (16, 1)
"""Images and seed; another seed than any set that is evaluated."""
SYNTHETIC_EVALUATION = (20, 2017)
SENSITIVITY_IMAGES = 3

_STEPS = {
    "download": ("output",),
    "extract": ("output",),
    "calibrate": ("ranges", "method", "images", "list", "count", "keep_float32"),
    "quantize": ("ranges", "output", "float_outputs", "evaluate", "images", "annotations", "count"),
}
"""Step → the options that go with it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `prepare model`."""
    step = parser.add_mutually_exclusive_group(required=True)
    step.add_argument("--download", metavar="NAME", help=f"get a published model: {published_names('models')}")
    step.add_argument("--extract", type=Path, metavar="ONNX", help="cut this float32 model at its raw outputs")
    step.add_argument("--calibrate", type=Path, metavar="ONNX", help="find this float32 model's activation ranges")
    step.add_argument("--quantize", type=Path, metavar="ONNX", help="make an INT8 model of this float32 one")
    add_model_name(parser)
    parser.add_argument("--output", type=Path, metavar="FILE", help="the model to write; of --download: the folder")
    parser.add_argument("--ranges", type=Path, metavar="YAML", help="the ranges: --calibrate writes, --quantize reads")
    parser.add_argument(
        "--method", choices=("minmax", "entropy", "percentile"), help="of calibration (minmax; only it can be resumed)"
    )
    parser.add_argument(
        "--keep-float32",
        type=one_or_more,
        metavar="N",
        help="leave the N convolution inputs in float32 whose quantization changes the outputs most; of --calibrate",
    )
    parser.add_argument("--images", type=Path, metavar="DIR", help="calibration or evaluation images (synthetic ones)")
    parser.add_argument("--list", type=Path, metavar="FILE", help="names of the calibration images, one a line (all)")
    parser.add_argument("--annotations", type=Path, metavar="JSON", help="of the images, for --evaluate")
    parser.add_argument("--count", type=one_or_more, metavar="N", help="the first N images only")
    parser.add_argument("--float-outputs", action="store_true", help="float32 outputs of the INT8 model, not int8")
    parser.add_argument("--evaluate", action="store_true", help="compare the INT8 model's mAP with the float32 one's")
    add_json_option(parser, "what was made")


def run(args: argparse.Namespace) -> int:
    """Does the step that was named."""
    step = next(name for name in _STEPS if getattr(args, name) is not None)
    _check(args, step)
    terminal, model, made = Terminal(), load_model(args.model_name), Made(args.json)
    if step == "download":
        folder = args.output or cache_dir() / "downloads" / args.download
        paths = [str(path) for path in get_published("models", args.download, folder, terminal)]
        made.add("\n".join(paths), files=paths)
    elif step == "extract":
        _extract(args, terminal, model, made)
    elif step == "calibrate":
        _calibrate(args, terminal, model, made)
    else:
        _quantize(args, terminal, model, made)
    made.finish()
    return 0


def _check(args: argparse.Namespace, step: str) -> None:
    """Refuses options that are missing, or that belong to another step."""
    every = dict.fromkeys(option for options in _STEPS.values() for option in options)
    for option in every:
        if getattr(args, option) and option not in _STEPS[step]:
            raise UsageError(f"--{option.replace('_', '-')} does not go with --{step}")
    for needed in ("ranges", "output"):
        if needed in _STEPS[step] and step != "download" and getattr(args, needed) is None:
            raise UsageError(f"--{step} needs --{needed}", hint="ssd-harness prepare model --help")
    if args.list is not None and args.images is None:
        raise UsageError("--list names images in --images DIR", hint="give both, or neither for synthetic images")
    if step == "quantize":
        if not args.evaluate and (args.images or args.annotations or args.count):
            raise UsageError("--images, --annotations and --count go with --evaluate")
        if (args.images is None) != (args.annotations is None):
            raise UsageError("--evaluate needs --images with --annotations, or neither for synthetic images")


def _extract(args: argparse.Namespace, terminal: Terminal, model: DetectionModel, made: Made) -> None:
    with terminal.task("Extracting"):
        sentences = model.extract(args.extract, args.output)
    for sentence in sentences:
        made.add(sentence)
    _add_file(made, args.output)


def _calibrate(args: argparse.Namespace, terminal: Terminal, model: DetectionModel, made: Made) -> None:
    model = model.for_file(args.calibrate)
    _check_float32(args.calibrate, model)  # before the images, which may take long
    if args.images is None:
        count, seed = args.count or SYNTHETIC_CALIBRATION[0], SYNTHETIC_CALIBRATION[1]
        paths = listed_images(_synthetic(count, seed, terminal)[0])
    else:
        paths = listed_images(args.images, args.list, args.count)
    method: Method = args.method or "minmax"
    sha256 = sha256_file(args.calibrate)
    images = _tensors(paths, model)
    with terminal.task("Calibrating", "images") as report:
        if method == "minmax":
            cache = cache_dir() / "calibration"
            ranges, new = calibrate_minmax(args.calibrate, sha256, images, cache, report)
        else:
            tensors = (tensor() for tensor in images.values())
            ranges = calibrate(args.calibrate, tensors, method=method, progress=report, total=len(images))
            new = len(images)
    float32_inputs = None
    if args.keep_float32 is not None:
        few = [tensor() for tensor in list(images.values())[:SENSITIVITY_IMAGES]]
        with terminal.task("Sensitivity", "activations") as report:
            errors = sensitivities(args.calibrate, ranges, few, report)
        float32_inputs = tuple(list(errors)[: args.keep_float32])
        ranges = {**ranges, **output_ranges(args.calibrate, [tensor() for tensor in images.values()])}
        for name in float32_inputs:
            made.add(f"{name} stays float32: in 8 bits it alone changes the outputs by {errors[name]:.2%}")
    content = RangesFile(
        method=method,
        images=len(images),
        images_sha256=hashlib.sha256("".join(sorted(images)).encode()).hexdigest(),
        model_sha256=sha256,
        onnxruntime=runtime_version(),
        ranges=ranges,
        float32_inputs=float32_inputs,
    )
    write_ranges(args.ranges, content)
    made.add(
        f"{len(ranges)} ranges by {method} over {len(images)} images ({new} new) in {args.ranges}",
        file=str(args.ranges),
        ranges=len(ranges),
        method=method,
        images=len(images),
        images_new=new,
        float32_inputs=list(float32_inputs or ()),
    )


def _quantize(args: argparse.Namespace, terminal: Terminal, model: DetectionModel, made: Made) -> None:
    model = model.for_file(args.quantize)
    _check_float32(args.quantize, model)
    content = read_ranges(args.ranges, sha256_file(args.quantize))
    with terminal.task("Quantizing"):
        quantize(
            args.quantize,
            content.ranges,
            args.output,
            normalisation=model.normalisation,
            quantized_outputs=not args.float_outputs,
            float32_inputs=content.float32_inputs,
        )
    outputs = "float32" if args.float_outputs else "int8"
    _add_file(
        made,
        args.output,
        f": uint8 in, {outputs} out, {content.method} over {content.images} images",
        outputs=outputs,
        method=content.method,
        calibration_images=content.images,
    )
    if args.evaluate:
        _evaluate(args, terminal, model, made)


def _check_float32(file: Path, model: DetectionModel) -> None:
    """Refuses a file that is not the float32 model with its raw outputs."""
    inputs, outputs = onnx_file.specs(onnx_file.load(file))
    hint = "a published model is cut with --extract first"
    if len(inputs) != 1:
        raise ModelError(f"it has {len(inputs)} inputs, not one", where=str(file), hint=hint)
    check_model(inputs[0], outputs, model.input, model.outputs, where=str(file))
    if {spec.dtype for spec in (*inputs, *outputs)} != {"float32"}:
        raise ModelError("it is quantized already", where=str(file), hint="give the float32 model")


def _evaluate(args: argparse.Namespace, terminal: Terminal, model: DetectionModel, made: Made) -> None:
    if args.images is None:
        images, annotations = _synthetic(args.count or SYNTHETIC_EVALUATION[0], SYNTHETIC_EVALUATION[1], terminal)
        dataset = CocoIndex.load(annotations, images)
    else:
        dataset = CocoIndex.load(args.annotations, args.images, args.count)
    found = []
    for name, file in (("float32", args.quantize), ("INT8", args.output)):
        with terminal.task(f"Evaluating {name}", "images") as report:
            found.append(file_accuracy(file, model, dataset, report).mAP)
    float32, int8 = found
    share = f"{int8 / float32:.1%} of it" if float32 > 0 else "nothing to compare: the float32 model finds nothing"
    made.add(
        f"mAP over {len(dataset)} images: {float32:.4f} float32, {int8:.4f} INT8, {share}",
        images=len(dataset),
        mAP_float32=float32,
        mAP_int8=int8,
    )


def _synthetic(count: int, seed: int, terminal: Terminal) -> tuple[Path, Path]:
    with terminal.task(f"Synthetic images of seed {seed}", "images") as report:
        return cached_synthetic(images=count, seed=seed, progress=report)


def _tensors(paths: list[Path], model: DetectionModel) -> Images:
    """By the content of the image and the way it is preprocessed; the same picture twice counts once."""
    key = model.preprocess_key.encode()
    return {
        hashlib.sha256(key + hashlib.sha256(read_image(path)).digest()).hexdigest(): functools.partial(
            _tensor, path, model
        )
        for path in paths
    }


def _tensor(path: Path, model: DetectionModel) -> npt.NDArray[Any]:
    tensor = tensor_of(path, read_image(path), functools.partial(model.tensor, dtype="float32"))
    return np.asarray(tensor[np.newaxis])


def _add_file(made: Made, path: Path, more: str = "", **facts: Any) -> None:
    """Says which file was written; ``more`` is the rest of the line."""
    size, sha256 = path.stat().st_size, sha256_file(path)
    line = f"{path}, {size / 1e6:.1f} MB (sha256 {sha256[:12]}…){more}"
    made.add(line, file=str(path), bytes=size, sha256=sha256, **facts)
