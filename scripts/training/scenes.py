"""Endless scenes with their targets: what each prior box should say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import torch
from training.network import FINE_MAPS

from harness.dataset import scene
from harness.model.image_file import decode_image
from harness.model.ssd_resnet34.heads import FEATURE_MAPS, IMAGE_SIZE
from harness.model.ssd_resnet34.priors import prior_boxes

CROP, CROP_LARGEST = 480, 400
LARGE = (180, 300, 450)  # least sides of the objects in scenes of large ones
CENTRE_VARIANCE, SIZE_VARIANCE = 0.1, 0.2


class Scenes(torch.utils.data.IterableDataset):
    """Endless (pixels (3, S, S) uint8, boxes (N, 4) float32 ltrb in pixels, labels (N,) 1..80).

    Scenes are fuller than those of the dataset, for there is more to learn from in each.

    Args:
        crops: small scenes of small objects.
        large: the part of the scenes that is of large objects, for the coarse maps.
    """

    def __init__(self, seed: int, *, crops: bool = False, large: float = 0.3) -> None:
        self.seed = seed
        self.crops = crops
        self.large = large

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        worker = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([self.seed, 77, worker.id if worker else 0])
        cv2.setNumThreads(1)
        while True:
            made = self._crop(rng) if self.crops else self._scene(rng)
            if not made.objects:
                continue
            bgr = decode_image(encode(made))
            height, width = made.pixels.shape[:2]
            side = CROP if self.crops else IMAGE_SIZE
            pixels = cv2.resize(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), (side, side), interpolation=cv2.INTER_LINEAR)
            scale = np.array([side / width, side / height] * 2, np.float32)
            boxes = np.array([(o.left, o.top, o.left + o.width, o.top + o.height) for o in made.objects], np.float32)
            labels = torch.tensor([o.category + 1 for o in made.objects])
            yield torch.from_numpy(pixels.transpose(2, 0, 1).copy()), torch.from_numpy(boxes * scale), labels

    def _scene(self, rng: np.random.Generator) -> scene.Scene:
        grey = rng.random() < 0.06
        among = scene.GREY_CATEGORIES if grey else range(scene.NUM_CATEGORIES)
        if rng.random() < self.large:
            sides = (int(rng.choice(LARGE)), scene.LARGEST)
            return scene.compose(rng, _some(rng, among, 3, 12), grey=grey, sides=sides)
        fewest, most = (1, 9) if rng.random() < 0.2 else (8, 20)
        return scene.compose(rng, _some(rng, among, fewest, most), grey=grey)

    def _crop(self, rng: np.random.Generator) -> scene.Scene:
        categories = _some(rng, range(scene.NUM_CATEGORIES), 3, 12)
        return scene.compose(rng, categories, crop=CROP, sides=(scene.SMALLEST, CROP_LARGEST))


def _some(rng: np.random.Generator, among: Sequence[int], fewest: int, most: int) -> list[int]:
    return [int(c) for c in rng.choice(among, rng.integers(fewest, most))]


def encode(made: scene.Scene) -> bytes:
    bgr = cv2.cvtColor(made.pixels, cv2.COLOR_RGB2BGR) if made.pixels.ndim == 3 else made.pixels
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, made.jpeg_quality])[1].tobytes()


def priors_of(*, crops: bool) -> torch.Tensor:
    """(P, 4) cx, cy, w, h in pixels."""
    return torch.from_numpy(crop_priors() if crops else prior_boxes() * IMAGE_SIZE)


def crop_priors() -> np.ndarray:
    """(P, 4) in pixels: the priors of the two finest maps on a crop, a window of the whole image's grid."""
    windows, at = [], 0
    for grid, anchors, _ in FEATURE_MAPS[: len(FINE_MAPS)]:
        boxes = prior_boxes()[at : at + anchors * grid * grid].reshape(anchors, grid, grid, 4) * IMAGE_SIZE
        cells = CROP * grid // IMAGE_SIZE
        windows.append(boxes[:, :cells, :cells].reshape(-1, 4))
        at += anchors * grid * grid
    return np.concatenate(windows)


def match(priors: torch.Tensor, boxes: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(P,) labels, 0 for background, and (P, 4) offsets, matched as SSD does: IoU above 0.5, and each box's best."""
    low, high = priors[:, :2] - priors[:, 2:] / 2, priors[:, :2] + priors[:, 2:] / 2
    overlap = (torch.min(high[:, None], boxes[None, :, 2:]) - torch.max(low[:, None], boxes[None, :, :2])).clamp(min=0)
    shared = overlap.prod(2)
    union = priors[:, 2:].prod(1)[:, None] + (boxes[:, 2:] - boxes[:, :2]).prod(1)[None] - shared
    best, which = (shared / union).max(1)
    forced = (shared / union).argmax(0)
    best[forced], which[forced] = 1, torch.arange(len(boxes))
    box = boxes[which]
    centre, size = (box[:, :2] + box[:, 2:]) / 2, box[:, 2:] - box[:, :2]
    moved = (centre - priors[:, :2]) / priors[:, 2:] / CENTRE_VARIANCE
    return torch.where(best > 0.5, labels[which], 0), torch.cat(
        [moved, (size / priors[:, 2:]).log() / SIZE_VARIANCE], 1
    )
