"""The two stages' loops, and the loss that they share."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import torch
from torch.nn import functional
from training.network import FINE_MAPS, NEGATIVES
from training.scenes import match, priors_of
from training.stage import MAPS, Stage

from harness.model.ssd_resnet34.heads import FEATURE_MAPS, IMAGE_SIZE
from harness.model.ssd_resnet34.preprocess import MEAN, STD

CROP_BATCH, WHOLE_BATCH = 3, 2
VIEWS, KEPT = 4, 600  # scenes a step of the stage "coarse", among the kept ones
SETTLED = 0.7  # the part of the stage "whole" after which normalisation keeps its statistics


def losses(
    logits: torch.Tensor, offsets: torch.Tensor, label: torch.Tensor, target: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy with hard negatives, and smooth L1 of the offsets, each a positive prior; mean over the scenes."""
    positive = label > 0
    count = positive.sum(1, keepdim=True).clamp(min=1)
    entropy = functional.cross_entropy(logits.float(), label, reduction="none")
    hardness = entropy.detach().masked_fill(positive, 0)
    rank = hardness.argsort(1, descending=True).argsort(1)
    chosen = positive | (rank < NEGATIVES * count)
    apart = functional.smooth_l1_loss(offsets.float().transpose(1, 2), target, reduction="none", beta=0.2).sum(2)
    return (entropy * chosen / count).sum(1).mean(), (apart * positive / count).sum(1).mean()


def normalise(pixels: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.from_numpy(v).reshape(1, 3, 1, 1) for v in (MEAN, STD))
    return ((pixels.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)


def train_crops(stage: Stage, scenes: Iterator) -> None:
    priors = priors_of(crops=True)
    while not stage.done:
        batch = [next(scenes) for _ in range(CROP_BATCH)]
        with torch.autocast("cpu", torch.bfloat16):
            features = stage.net.trunk(normalise(torch.stack([it[0] for it in batch])))
            logits, offsets = stage.net.heads(features, FINE_MAPS)
        _backward(stage, logits, offsets, *_targets(priors, [it[1:] for it in batch]))
        stage.step()


def train_coarse(stage: Stage, scenes: Iterator) -> None:
    """Trains all behind the trunk on features of many scenes again and again; a new one comes every other step."""
    net, maps = stage.net, MAPS[stage.name]
    priors = priors_of(crops=False)[FEATURE_MAPS[0].anchors * FEATURE_MAPS[0].grid ** 2 :]
    kept: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    while not stage.done:
        if len(kept) < VIEWS or stage.steps % 2:
            pixels, *truth = next(scenes)
            net.norms.eval()
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
                features = net.trunk(normalise(pixels[None]))
            net.norms.train()
            if len(kept) == KEPT:
                kept.pop(random.randrange(KEPT))
            kept.append((features, *truth))
        batch = [shifted(*it) for it in random.sample(kept, VIEWS)] if len(kept) >= VIEWS else []
        if batch:
            with torch.autocast("cpu", torch.bfloat16):
                logits, offsets = net.heads(torch.cat([it[0] for it in batch]), maps)
            _backward(stage, logits, offsets, *_targets(priors, [it[1:] for it in batch]))
            stage.step()


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


def train_whole(stage: Stage, scenes: Iterator) -> None:
    priors = priors_of(crops=False)
    while not stage.done:
        if stage.part > SETTLED:
            stage.net.norms.eval()  # learns with the statistics that it will be used with
        batch = [next(scenes) for _ in range(WHOLE_BATCH)]
        with torch.autocast("cpu", torch.bfloat16):
            logits, offsets = stage.net.heads(stage.net.trunk(normalise(torch.stack([it[0] for it in batch]))))
        _backward(stage, logits, offsets, *_targets(priors, [it[1:] for it in batch]))
        stage.step()


def _targets(priors: torch.Tensor, scenes: Sequence[Sequence[torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, P) labels and (B, P, 4) offsets."""
    matched = [match(priors, boxes, labels) for boxes, labels in scenes]
    return torch.stack([it[0] for it in matched]), torch.stack([it[1] for it in matched])


def _backward(
    stage: Stage, logits: torch.Tensor, offsets: torch.Tensor, label: torch.Tensor, target: torch.Tensor
) -> None:
    entropy, apart = losses(logits, offsets, label, target)
    (entropy + apart).backward()
    stage.note(entropy, apart, logits.detach(), label)


TRAIN = {"crops": train_crops, "coarse": train_coarse, "whole": train_whole}
