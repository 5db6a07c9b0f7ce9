"""Images a second of the preprocessing pool, this checkout against another one, turn by turn; and whether the tensors
are the same.

    python tests/benchmarks/preprocessing.py IMAGES --against CHECKOUT --rounds 5

Both need their ``.venv``. The rate counts from the first finished image to the last, without the workers' start.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import os
import statistics
import subprocess
import tempfile
from pathlib import Path
from time import monotonic
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def once(images: Path) -> dict[str, Any]:
    from harness.dataset.tensor_cache import TensorCache
    from harness.model.registry import load_model

    model = load_model("ssd_resnet34")
    sources = sorted(images.iterdir())
    moments: list[tuple[int, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        preprocess = functools.partial(model.tensor, dtype="uint8")
        cache = TensorCache(Path(folder), preprocess, model.preprocess_key, model.input.shape[1:])
        tensors = cache.build(sources, lambda done, total: moments.append((done, monotonic())))
        made = [(done, at) for done, at in moments if done]
        digest = hashlib.sha256()
        for index in range(len(sources)):
            digest.update(tensors.load([index])[0].tobytes())
    return {
        "images_per_second": (made[-1][0] - made[0][0]) / (made[-1][1] - made[0][1]),
        "sha256": digest.hexdigest(),
    }


def turn(checkout: Path, images: Path) -> dict[str, Any]:
    command = [str(checkout / ".venv/bin/python"), __file__, str(images), "--once"]
    done = subprocess.run(
        command, cwd=checkout, env=os.environ | {"PYTHONPATH": str(checkout)}, capture_output=True, check=True
    )
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--once", action="store_true", help="measure the checkout of this process, once")
    args = parser.parse_args()
    if args.once:
        print(json.dumps(once(args.images)))
        return
    checkouts = [ROOT, *([args.against.resolve()] if args.against else [])]
    found: dict[Path, list[dict[str, Any]]] = {checkout: [] for checkout in checkouts}
    for _ in range(args.rounds):
        for checkout in checkouts:
            found[checkout].append(turn(checkout, args.images))
    for checkout, turns in found.items():
        rates = [measured["images_per_second"] for measured in turns]
        print(f"{checkout}: median {statistics.median(rates):.1f} images/s ({min(rates):.1f} to {max(rates):.1f})")
    print("tensors are the same:", len({measured["sha256"] for turns in found.values() for measured in turns}) == 1)


if __name__ == "__main__":
    main()
