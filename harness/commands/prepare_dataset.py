"""`ssd-harness prepare dataset`: checks a COCO dataset and preprocesses its images into the cache.

A run does the same by itself; this does it beforehand. Stopped half-way it goes on where it was.
"""

from __future__ import annotations

import argparse
import functools
from pathlib import Path

from harness.command_line.argument_types import one_or_more, zero_or_more
from harness.command_line.json_output import Made, add_json_option
from harness.command_line.model_argument import add_model_name
from harness.dataset.coco_index import CocoIndex
from harness.dataset.licences import keep_licences
from harness.dataset.synthetic import write_synthetic
from harness.dataset.tensor_cache import TensorCache
from harness.errors import UsageError
from harness.model.registry import load_model
from harness.published import get_published, published_names
from harness.rounds import load_round
from harness.settings import cache_dir
from harness.terminal import Terminal

SUMMARY = "check a COCO dataset (or download it, or write a synthetic one) and preprocess its images into the cache"
EXAMPLES = """\
  ssd-harness prepare dataset --download coco-val2017 --output coco
  ssd-harness prepare dataset --images val2017 --annotations annotations/instances_val2017.json
  ssd-harness prepare dataset --images val2017 --annotations annotations/instances_val2017.json --count 500
  ssd-harness prepare dataset --images val2017 --annotations annotations/instances_val2017.json --licence-safe v6.1
  ssd-harness prepare dataset --synthetic 200 --seed 7 --output datasets/synthetic-200"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `prepare dataset`."""
    parser.add_argument("--images", type=Path, metavar="DIR", help="the folder of the images")
    parser.add_argument("--annotations", type=Path, metavar="JSON", help="their COCO instances annotations")
    parser.add_argument("--count", type=one_or_more, metavar="N", help="the first N images only")
    parser.add_argument(
        "--licence-safe",
        metavar="ROUND",
        help="only the images that the round's benchmarks have, by licence; writes their annotations to --output",
    )
    parser.add_argument("--download", metavar="NAME", help=f"get a dataset: {published_names('datasets')}")
    parser.add_argument("--synthetic", type=one_or_more, metavar="N", help="write a synthetic dataset of N images")
    parser.add_argument("--seed", type=zero_or_more, metavar="S", help="of the synthetic dataset (0)")
    parser.add_argument("--output", type=Path, metavar="DIR", help="where the synthetic or downloaded dataset goes")
    add_model_name(parser)
    parser.add_argument("--model", type=Path, metavar="FILE", help="its file, where that decides the input's size")
    parser.add_argument("--workers", type=one_or_more, metavar="N", help="processes (one per core)")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="the cache folder, instead of the user's")
    add_json_option(parser, "what there is and what was made")


def run(args: argparse.Namespace) -> int:
    """Writes the dataset if it is to be synthetic, then indexes, checks and caches it; or downloads one."""
    terminal, made = Terminal(), Made(args.json)
    if args.download is None:
        _prepare(args, terminal, made)
    else:
        _download(args, terminal, made)
    made.finish()
    return 0


def _prepare(args: argparse.Namespace, terminal: Terminal, made: Made) -> None:
    images, annotations = _dataset(args, terminal)
    if args.licence_safe is not None:
        annotations = _licence_safe(args, annotations, made)
    index = CocoIndex.load(annotations, images, args.count)
    index.check_sizes()
    made.add(
        f"{len(index)} of {index.images_available} images, {len(index.category_ids)} categories"
        f" in {annotations} (sha256 {index.sha256[:12]}…)",
        images=len(index),
        images_available=index.images_available,
        categories=len(index.category_ids),
        annotations=str(annotations),
        sha256=index.sha256,
    )
    model = load_model(args.model_name, args.model)
    cache = TensorCache(
        (args.cache or cache_dir()) / "tensors",
        functools.partial(model.tensor, dtype="uint8"),
        model.preprocess_key,
        model.input.shape[1:],
    )
    with terminal.task("Preprocessing", "images") as report:
        tensors = cache.build(index.paths, report, args.workers)
    size = len(index) * cache.bytes_per_image
    made.add(
        f"{len(tensors)} tensors ({tensors.made} new), {size / 1e9:.2f} GB in {cache.folder}",
        tensors=len(tensors),
        tensors_new=tensors.made,
        tensor_bytes=size,
        cache=str(cache.folder),
    )


def _licence_safe(args: argparse.Namespace, annotations: Path, made: Made) -> Path:
    """Writes the annotations of the images that a round's benchmarks have, and gives the file."""
    licences = {
        licence for rules in load_round(args.licence_safe).benchmarks.values() for licence in rules.dataset_licences
    }
    if not licences:
        raise UsageError(f"round {args.licence_safe} has the whole dataset", where="--licence-safe")
    output: Path = (args.output or annotations.parent) / f"{annotations.stem}_licence_safe.json"
    count = keep_licences(annotations, licences, output)
    made.add(f"{count} images of licences {', '.join(map(str, sorted(licences)))}: {output}", licences=sorted(licences))
    return output


def _download(args: argparse.Namespace, terminal: Terminal, made: Made) -> None:
    others = ("images", "annotations", "count", "licence_safe", "synthetic", "seed", "model", "workers", "cache")
    if any(getattr(args, name) is not None for name in others):
        raise UsageError("--download goes with --output DIR only", hint="then prepare what was downloaded")
    folder = args.output or cache_dir() / "downloads" / args.download
    paths = [str(path) for path in get_published("datasets", args.download, folder, terminal)]
    made.add("\n".join(paths), files=paths)


def _dataset(args: argparse.Namespace, terminal: Terminal) -> tuple[Path, Path]:
    """The images folder and the annotations file, written now if they are to be synthetic."""
    if args.synthetic is None:
        stray = args.output is not None and args.licence_safe is None
        if args.images is None or args.annotations is None or stray:
            raise UsageError(
                "which dataset?",
                hint="either --images DIR --annotations JSON, or --synthetic N --output DIR, or --download NAME",
            )
        if args.seed is not None:
            raise UsageError("--seed is of a synthetic dataset", hint="give --synthetic N, or leave it out")
        return args.images, args.annotations
    if args.images is not None or args.annotations is not None or args.count is not None or args.output is None:
        raise UsageError(
            "--synthetic N goes with --output DIR and --seed S, and not with --images, --annotations or --count"
        )
    seed = args.seed or 0
    with terminal.task(f"Synthetic images of seed {seed}", "images") as report:
        return write_synthetic(args.output, images=args.synthetic, seed=seed, progress=report)
