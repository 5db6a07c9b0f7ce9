"""The three stages' loops, and the loss that they share."""

from __future__ import annotations

import random
from collections.abc import Iterator

import torch
from torch.nn import functional
from training.network import COARSE_MAPS, FINE_MAPS, NEGATIVES
from training.stage import Stage

from harness.model.ssd_resnet34.heads import FEATURE_MAPS
from harness.model.ssd_resnet34.preprocess import MEAN, STD

CROP_BATCH = 6
REPLAYED = 8  # scenes a step while the trunk is frozen: its features are kept, and a new one comes every other step
KEPT = 400
ACCUMULATED = 2  # scenes between two steps of the stage "whole"


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
    while not stage.done:
        pixels, label, target = (torch.stack(it) for it in zip(*(next(scenes) for _ in range(CROP_BATCH)), strict=True))
        with torch.autocast("cpu", torch.bfloat16):
            logits, offsets = stage.net.heads(stage.net.trunk(normalise(pixels)), FINE_MAPS)
        _backward(stage, logits, offsets, label, target)
        stage.step()


def train_coarse(stage: Stage, scenes: Iterator) -> None:
    kept: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    finer = sum(m.anchors * m.grid**2 for m in FEATURE_MAPS[: COARSE_MAPS[0]])
    while not stage.done:
        if len(kept) < REPLAYED or stage.steps % 2:
            pixels, label, target = next(scenes)
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
                features = stage.net.deeper(stage.net.trunk(normalise(pixels[None])), COARSE_MAPS[0])
            if len(kept) == KEPT:
                kept.pop(random.randrange(KEPT))
            kept.append((features, label[finer:], target[finer:]))
        batch = random.sample(kept, min(len(kept), REPLAYED))
        with torch.autocast("cpu", torch.bfloat16):
            logits, offsets = stage.net.heads(torch.cat([it[0] for it in batch]), COARSE_MAPS)
        _backward(stage, logits, offsets, *(torch.stack([it[k] for it in batch]) for k in (1, 2)))
        stage.step()


def train_whole(stage: Stage, scenes: Iterator) -> None:
    while not stage.done:
        for _ in range(ACCUMULATED):
            pixels, label, target = (it[None] for it in next(scenes))
            with torch.autocast("cpu", torch.bfloat16):
                logits, offsets = stage.net.heads(stage.net.trunk(normalise(pixels)))
            _backward(stage, logits, offsets, label, target, share=1 / ACCUMULATED)
        stage.step()


def _backward(
    stage: Stage,
    logits: torch.Tensor,
    offsets: torch.Tensor,
    label: torch.Tensor,
    target: torch.Tensor,
    share: float = 1,
) -> None:
    entropy, apart = losses(logits, offsets, label, target)
    ((entropy + apart) * share).backward()
    stage.note(entropy, apart, logits.detach(), label)


TRAIN = {"crops": train_crops, "coarse": train_coarse, "whole": train_whole}
