"""Trains the default model on synthetic scenes, and writes the weights that the package ships.

    pip install -e '.[train]'
    python scripts/train_default_model.py --output weights.npz                      # from scratch
    python scripts/train_default_model.py --output weights.npz --start SHIPPED.npz  # goes on from trained weights
    python scripts/train_default_model.py --output weights.npz --resume             # goes on, with the --start it had
    python scripts/train_default_model.py --ship weights.npz                        # into the package, with ranges

Three stages, each with a schedule that follows the clock (a slower machine trains less, not longer):

    crops  from scratch: small scenes that hold small objects, the two finest maps only. The network is fully
           convolutional and its prior boxes are in pixels, so the weights serve at 1200 px.
    coarse the trunk frozen: extra blocks and the heads of the other maps, on whole scenes.
    whole  all maps on whole scenes, as the harness feeds them; the stem and the first blocks stay as they are.

A category is a pair of colours and a figure, and the class heads are trained as such: a kernel for each outer colour,
inner colour and figure is shared by the categories that have it, beside one of the category's own. Their sum is what is
exported: a plain convolution. Without it each of the 80 rows would have to be learned from its own few objects.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from training.loops import TRAIN, normalise
from training.network import Network
from training.scenes import Scenes, encode
from training.stage import Stage, groups_of, save_weights

from harness.dataset import scene
from harness.files import replacing, write_json
from harness.model.image_file import decode_image
from harness.model.ssd_resnet34 import network, weights
from harness.model.ssd_resnet34.preprocess import to_tensor
from harness.quantization import onnx_file
from harness.quantization.calibration import calibrate

CALIBRATION_SEED, CALIBRATION_SCENES = 99, 32
FROZEN = 3  # residual blocks that stay as the start has them
STATISTICS_SCENES = 6


def ship(source: Path) -> None:
    """Packs the weights into the package, and calibrates the float32 model that is built from what was packed."""
    packed = weights.pack(dict(np.load(source)))
    weights.WEIGHTS.parent.mkdir(exist_ok=True)
    with replacing(weights.WEIGHTS) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **cast(dict[str, Any], packed))
    with tempfile.TemporaryDirectory() as folder:
        float32 = Path(folder) / "float32.onnx"
        onnx_file.save(network.build(weights.trained_weights()), float32)
        scenes = (scene.draw_scene(CALIBRATION_SEED, k) for k in range(CALIBRATION_SCENES))
        tensors = (
            to_tensor(decode_image(encode(item)), "float32")[np.newaxis].astype(np.float32, copy=False)
            for item in scenes
        )
        ranges = calibrate(float32, tensors, progress=lambda done, total: print(done, end=" ", flush=True))
    write_json(weights.RANGES, {name: [round(v, 6) for v in pair] for name, pair in ranges.items()})


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """Float32 weights of a file that training wrote, or of those that the package ships."""
    with np.load(path) as file:
        found = dict(file)
    return weights.unpack(found) if f"{network.STEM.name}.scale" in found else found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--output", type=Path, metavar="NPZ", help="train; where the float32 weights go")
    what.add_argument("--ship", type=Path, metavar="NPZ", help="put these weights into the package")
    parser.add_argument("--start", type=Path, metavar="NPZ", help="go on from these weights, packed or not")
    parser.add_argument("--minutes", default="60,60,60", help="of the three stages, 0 to leave one out (%(default)s)")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint beside the output")
    parser.add_argument("--seed", type=int, default=1, help="of the training scenes (%(default)s)")
    args = parser.parse_args()
    if args.ship:
        ship(args.ship)
        return
    minutes = dict(zip(TRAIN, map(float, args.minutes.split(",")), strict=True))
    checkpoint = args.output.with_suffix(".checkpoint")
    state = torch.load(checkpoint, weights_only=True) if args.resume else None
    start = read_weights(args.start) if args.start else None
    stages = [name for name in TRAIN if minutes[name]]
    if state is not None:
        stages = stages[stages.index(state["stage"]) :]
    torch.manual_seed(args.seed)
    random.seed(args.seed)
    for k, name in enumerate(stages):
        net = Network(frozen=0 if name == "crops" and start is None else FROZEN)
        seed = args.seed + 1000 * k
        if start is not None and state is None:  # a checkpoint brings all of this
            net.load(start)
            some = islice(Scenes(seed, crops=name == "crops"), STATISTICS_SCENES)
            net.normalise_as(normalise(torch.stack([pixels for pixels, *_ in some])))
        stage = Stage(name, net, groups_of(net, name), minutes[name], checkpoint)
        if state is not None:
            stage.load(state)
            state = None
        loader = torch.utils.data.DataLoader(
            Scenes(seed + stage.steps, crops=name == "crops", large=0.6 if name == "coarse" else 0.3),
            batch_size=None,
            num_workers=1,
            prefetch_factor=8,
        )
        TRAIN[name](stage, iter(loader))
        stage.log()
        stage.save()
        start = stage.average.module.export()
    if start is None:
        parser.error("no stage has any minutes, and there are no weights to start from")
    save_weights(args.output, start)


if __name__ == "__main__":
    main()
