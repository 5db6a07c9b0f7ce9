"""The stages' loops, and the loss that they share."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.nn import functional
from training.network import NEGATIVES, Network
from training.scenes import match, priors_of
from training.stage import MAPS, Stage

from harness.model.ssd_resnet34.heads import FEATURE_MAPS, IMAGE_SIZE
from harness.model.ssd_resnet34.preprocess import MEAN, STD

BATCH = {"crops": 3, "coarse": 4, "whole": 2}
"""Stage → scenes a step."""
KEPT = 600  # scenes whose features are kept, 11.5 MB each
SETTLED = {"crops": 1.0, "whole": 0.7}
"""Stage → the part of it after which normalisation keeps its statistics."""


def losses(
    logits: torch.Tensor, offsets: torch.Tensor, label: torch.Tensor, target: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy with hard negatives, and smooth L1 of the offsets, each a positive prior; mean over the scenes."""
    positive = label > 0
    count = positive.sum(1, keepdim=True).clamp(min=1)
    class_loss = functional.cross_entropy(logits.float(), label, reduction="none")
    hardness = class_loss.detach().masked_fill(positive, 0)
    rank = hardness.argsort(1, descending=True).argsort(1)
    chosen = positive | (rank < NEGATIVES * count)
    box_loss = functional.smooth_l1_loss(offsets.float().transpose(1, 2), target, reduction="none", beta=0.2).sum(2)
    return (class_loss * chosen / count).sum(1).mean(), (box_loss * positive / count).sum(1).mean()


def normalise(pixels: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.from_numpy(v).reshape(1, 3, 1, 1) for v in (MEAN, STD))
    return ((pixels.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)


def train_all(stage: Stage, scenes: Iterator[Any]) -> None:
    """Trains the trunk and what is behind it, on new scenes in every step."""
    net, maps = stage.net, MAPS[stage.name]
    priors = priors_of(crops=stage.name == "crops")
    while not stage.done:
        if stage.share > SETTLED[stage.name]:
            net.norms.eval()  # learns with the statistics that it will be used with
        batch = [next(scenes) for _ in range(BATCH[stage.name])]
        with torch.autocast("cpu", torch.bfloat16):
            logits, offsets = net.heads(net.trunk(normalise(torch.stack([pixels for pixels, *_ in batch]))), maps)
        _backward(stage, logits, offsets, *_targets(priors, [scene[1:] for scene in batch]))
        stage.step()


def train_behind_the_trunk(stage: Stage, scenes: Iterator[Any]) -> None:
    """Trains what is behind the trunk on its features of many scenes, again and again.

    In every other step the features are those of a new scene.
    """
    net, maps = stage.net, MAPS[stage.name]
    priors = priors_of(crops=False)[FEATURE_MAPS[0].anchors * FEATURE_MAPS[0].grid ** 2 :]
    kept = [_with_features(net, *next(scenes)) for _ in range(BATCH[stage.name])]
    while not stage.done:
        if stage.steps % 2:
            if len(kept) == KEPT:
                kept.pop(random.randrange(KEPT))
            kept.append(_with_features(net, *next(scenes)))
        batch = [shifted(*scene) for scene in random.sample(kept, BATCH[stage.name])]
        with torch.autocast("cpu", torch.bfloat16):
            logits, offsets = net.heads(torch.cat([features for features, *_ in batch]), maps)
        _backward(stage, logits, offsets, *_targets(priors, [scene[1:] for scene in batch]))
        stage.step()


def _with_features(
    net: Network, pixels: torch.Tensor, boxes: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The scene with the trunk's features (1, 256, S/8, S/8) in the place of its pixels."""
    net.norms.eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        features = net.trunk(normalise(pixels[None]))
    net.norms.train()
    return features, boxes, labels


def shifted(
    features: torch.Tensor, boxes: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The scene moved by whole cells of its features, as far as its objects stay inside: another one to learn from.

    What comes in at an edge repeats the edge.
    """
    cells = features.shape[-1]
    step = IMAGE_SIZE / cells
    low = torch.ceil((boxes[:, 2:].max(0).values - IMAGE_SIZE) / step).int().tolist()  # to the left and up, at most
    high = torch.floor(boxes[:, :2].min(0).values / step).int().tolist()
    dx, dy = (random.randint(min(a, b), max(a, b)) for a, b in zip(low, high, strict=True))
    rows, columns = (torch.arange(cells).add(by).clamp(0, cells - 1) for by in (dy, dx))
    moved = features[:, :, rows][:, :, :, columns].contiguous(memory_format=torch.channels_last)
    return moved, boxes - torch.tensor([dx, dy, dx, dy]) * step, labels


def _targets(priors: torch.Tensor, scenes: Sequence[Sequence[torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, P) labels and (B, P, 4) offsets."""
    matched = [match(priors, boxes, labels) for boxes, labels in scenes]
    return torch.stack([label for label, _ in matched]), torch.stack([offsets for _, offsets in matched])


def _backward(
    stage: Stage, logits: torch.Tensor, offsets: torch.Tensor, label: torch.Tensor, target: torch.Tensor
) -> None:
    class_loss, box_loss = losses(logits, offsets, label, target)
    (class_loss + box_loss).backward()
    stage.record(class_loss, box_loss, logits.detach(), label)


TRAIN = {"crops": train_all, "coarse": train_behind_the_trunk, "whole": train_all}
