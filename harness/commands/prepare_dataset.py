"""`ssd-harness prepare dataset`: checks a COCO dataset and preprocesses its images into the cache.

A run does the same by itself; this does it beforehand. Stopped half-way it goes on where it was.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import platformdirs

from harness.dataset.coco_index import CocoIndex
from harness.dataset.synthetic import write_synthetic
from harness.dataset.tensor_cache import TensorCache
from harness.errors import UsageError
from harness.model.ssd_resnet34.heads import INPUT
from harness.model.ssd_resnet34.preprocess import PREPROCESS_KEY, preprocess

SUMMARY = "check a COCO dataset (or write a synthetic one) and preprocess its images into the cache"
EXAMPLES = """examples:
  ssd-harness prepare dataset --images val2017 --annotations annotations/instances_val2017.json
  ssd-harness prepare dataset --images val2017 --annotations annotations/instances_val2017.json --count 500
  ssd-harness prepare dataset --synthetic 200 --seed 7 --output datasets/synthetic-200"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `prepare dataset`."""
    parser.add_argument("--images", type=Path, metavar="DIR", help="the folder of the images")
    parser.add_argument("--annotations", type=Path, metavar="JSON", help="their COCO instances annotations")
    parser.add_argument("--count", type=_one_or_more, metavar="N", help="the first N images only")
    parser.add_argument("--synthetic", type=_one_or_more, metavar="N", help="write a synthetic dataset of N images")
    parser.add_argument("--seed", type=_zero_or_more, default=0, metavar="S", help="of the synthetic dataset (0)")
    parser.add_argument("--output", type=Path, metavar="DIR", help="where the synthetic dataset goes")
    parser.add_argument("--workers", type=_one_or_more, metavar="N", help="processes (one per core)")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="the cache folder, instead of the user's")


def run(args: argparse.Namespace) -> int:
    """Writes the dataset if it is to be synthetic, then indexes, checks and caches it."""
    images, annotations = _dataset(args)
    started = time.perf_counter()
    index = CocoIndex.load(annotations, images, args.count)
    _say(
        f"{len(index)} of {index.images_available} images, {len(index.category_ids)} categories"
        f" in {annotations} (sha256 {index.sha256[:12]}…)",
        started,
    )

    started = time.perf_counter()
    cache = TensorCache(
        (args.cache or _user_cache()) / "tensors",
        functools.partial(preprocess, dtype="uint8"),
        PREPROCESS_KEY,
        INPUT.shape[1:],
    )
    tensors = cache.build(index.paths, _progress("preprocessed"), args.workers)
    size_gb = len(index) * cache.bytes_per_image / 1e9
    _say(f"{len(tensors)} tensors ({tensors.made} new), {size_gb:.2f} GB in {cache.folder}", started)
    return 0


def _dataset(args: argparse.Namespace) -> tuple[Path, Path]:
    """The images folder and the annotations file, written now if they are to be synthetic."""
    if args.synthetic is None:
        if args.images is None or args.annotations is None or args.output is not None:
            raise UsageError(
                "which dataset?",
                hint="either --images DIR --annotations JSON, or --synthetic N --output DIR",
            )
        return args.images, args.annotations
    if args.images is not None or args.annotations is not None or args.count is not None or args.output is None:
        raise UsageError(
            "--synthetic N goes with --output DIR and --seed S, and not with --images, --annotations or --count"
        )
    started = time.perf_counter()
    result = write_synthetic(args.output, images=args.synthetic, seed=args.seed, progress=_progress("drawn"))
    _say(f"{args.synthetic} synthetic images of seed {args.seed} in {args.output}", started)
    return result


def _user_cache() -> Path:
    return Path(os.environ.get("SSD_HARNESS_CACHE") or platformdirs.user_cache_dir("ssd-harness"))


def _say(what: str, started: float) -> None:
    sys.stdout.write(f"{what}: {time.perf_counter() - started:.1f} s\n")


def _progress(what: str) -> Callable[[int, int], None]:
    """Reports on stderr: one line written over in a terminal, elsewhere a plain line now and then."""
    terminal = sys.stderr.isatty()
    interval_s = 0.2 if terminal else 10.0
    last = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= interval_s or (terminal and done == total):
            last = now
            end = "\r" if terminal and done < total else "\n"
            sys.stderr.write(f"{what} {done} of {total}{end}")
            sys.stderr.flush()

    return report


def _one_or_more(text: str) -> int:
    return _at_least(1, text)


def _zero_or_more(text: str) -> int:
    return _at_least(0, text)


def _at_least(least: int, text: str) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of {least} or more")
    return int(text)
