"""SSD-ResNet34 in PyTorch, from the same tables as the ONNX graph; its class heads share what categories share."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from harness.dataset import scene
from harness.model.ssd_resnet34 import network
from harness.model.ssd_resnet34.heads import FEATURE_MAPS, NUM_CLASSES

ALL_BLOCKS = range(len(network.RESIDUAL_BLOCKS))
ALL_MAPS, FINE_MAPS, COARSE_MAPS = range(6), range(2), range(1, 6)
NEGATIVES = 3  # a positive prior, the hardest ones


def _shared() -> torch.Tensor:
    """(80, 20): which of the nine outer colours, nine inner colours and two figures a category has."""
    colours = len(scene.COLOURS)
    table = torch.zeros(scene.NUM_CATEGORIES, 2 * colours + 2)
    for category, (outer, inner) in enumerate(scene.COLOUR_PAIRS):
        table[category, [outer, colours + inner, 2 * colours + category % 2]] = 1
    return table


SHARED = _shared()


class ClassHead(nn.Module):
    """A class head whose kernels are sums: the category's own and those of its colours and its figure."""

    def __init__(self, conv: network.Convolution) -> None:
        super().__init__()
        self.anchors = conv.channels_out // NUM_CLASSES
        shape = (self.anchors, conv.channels_in, conv.kernel, conv.kernel)

        def kernels(count: int, scale: float) -> nn.Parameter:
            return nn.Parameter((torch.randn(count, *shape) * scale).flatten(0, 1))

        self.own = kernels(NUM_CLASSES, 0.003)
        self.outer = kernels(len(scene.COLOURS), 0.005)
        self.inner = kernels(len(scene.COLOURS), 0.005)
        self.figure = kernels(2, 0.005)
        self.bias = nn.Parameter(torch.zeros(conv.channels_out))
        # background, as likely as the negatives make it
        nn.init.constant_(self.bias.data[: self.anchors], math.log((NUM_CLASSES - 1) * NEGATIVES))

    def weight(self) -> torch.Tensor:
        parts = torch.cat([it.unflatten(0, (-1, self.anchors)) for it in (self.outer, self.inner, self.figure)])
        shared = (SHARED @ parts.flatten(1)).unflatten(1, parts.shape[1:]).flatten(0, 1)
        return torch.cat([self.own[: self.anchors], self.own[self.anchors :] + shared])

    def load(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        for shared in (self.outer, self.inner, self.figure):
            nn.init.zeros_(shared)
        self.own.copy_(weight)
        self.bias.copy_(bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.conv2d(x, self.weight(), self.bias, 3, 1)


class Network(nn.Module):
    """SSD-ResNet34 as `harness.model.ssd_resnet34.network` describes it.

    Args:
        normalised: with batch normalisation behind each convolution of the trunk, to train from scratch.
    """

    def __init__(self, *, normalised: bool) -> None:
        super().__init__()
        self.parts = nn.ModuleDict()
        self.norms = nn.ModuleDict()
        trunk = [network.STEM] + [
            conv for block in network.RESIDUAL_BLOCKS for conv in (block.first, block.second, block.shortcut) if conv
        ]
        extras = [conv for extra in network.EXTRA_BLOCKS for conv in (extra.reduce, extra.expand)]
        for conv in (*trunk, *extras, *network.HEADS):
            if conv.name.startswith("class"):
                part: nn.Module = ClassHead(conv)
            else:
                part = nn.Conv2d(conv.channels_in, conv.channels_out, conv.kernel, conv.stride, conv.pad)
                nn.init.kaiming_normal_(part.weight)
                nn.init.zeros_(part.bias)
            self.parts[_key(conv)] = part
        for head in network.HEADS[len(FEATURE_MAPS) :]:
            nn.init.normal_(self.parts[_key(head)].weight, 0, 0.01)
        if normalised:
            for conv in trunk:
                self.norms[_key(conv)] = nn.BatchNorm2d(conv.channels_out)
            for block in network.RESIDUAL_BLOCKS:
                nn.init.constant_(self.norms[_key(block.second)].weight, 0.2)
        self.to(memory_format=torch.channels_last)

    def _run(self, conv: network.Convolution, x: torch.Tensor) -> torch.Tensor:
        x = self.parts[_key(conv)](x)
        return self.norms[_key(conv)](x) if _key(conv) in self.norms else x

    def trunk(self, x: torch.Tensor, blocks: range = ALL_BLOCKS) -> torch.Tensor:
        """These residual blocks: (B, 3, S, S) normalised pixels → (B, 256, S/8, S/8) if they are all of them."""
        if blocks.start == 0:
            x = functional.max_pool2d(functional.relu(self._run(network.STEM, x), inplace=True), 3, 2, 1)
        for k in blocks:
            block = network.RESIDUAL_BLOCKS[k]
            y = self._run(block.second, functional.relu(self._run(block.first, x), inplace=True))
            shortcut = x if block.shortcut is None else self._run(block.shortcut, x)
            x = functional.relu(y + shortcut, inplace=True)
        return x

    def deeper(self, x: torch.Tensor, k: int) -> torch.Tensor:
        """Features of map k - 1 → features of map k."""
        extra = network.EXTRA_BLOCKS[k - 1]
        x = functional.relu(self._run(extra.reduce, x), inplace=True)
        return functional.relu(self._run(extra.expand, x), inplace=True)

    def heads(self, x: torch.Tensor, maps: range = ALL_MAPS) -> tuple[torch.Tensor, torch.Tensor]:
        """Features of the first of these maps → (B, 81, P) logits and (B, 4, P) offsets of them all."""
        logits, offsets = [], []
        for k in maps:
            x = x if k == maps[0] else self.deeper(x, k)
            logits.append(self.parts[f"class_{k}"](x).reshape(len(x), NUM_CLASSES, -1))
            offsets.append(self.parts[f"box_{k}"](x).reshape(len(x), 4, -1))
        return torch.cat(logits, 2), torch.cat(offsets, 2)

    @torch.no_grad()
    def export(self) -> dict[str, np.ndarray]:
        """The weights that `network.build` takes, batch normalisation folded."""
        exported = {}
        for conv in network.convolutions():
            part = self.parts[_key(conv)]
            weight, bias = part.weight() if isinstance(part, ClassHead) else part.weight, part.bias
            if _key(conv) in self.norms:
                norm = self.norms[_key(conv)]
                gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
                weight, bias = weight * gain[:, None, None, None], norm.bias + (bias - norm.running_mean) * gain
            exported[f"{conv.name}.weight"] = weight.float().contiguous().numpy().copy()
            exported[f"{conv.name}.bias"] = bias.float().numpy().copy()
        return exported

    @torch.no_grad()
    def load(self, exported: dict[str, np.ndarray]) -> None:
        """What `export` gave."""
        for conv in network.convolutions():
            part = self.parts[_key(conv)]
            weight, bias = (torch.from_numpy(np.array(exported[f"{conv.name}.{kind}"])) for kind in ("weight", "bias"))
            if isinstance(part, ClassHead):
                part.load(weight, bias)
            else:
                part.weight.copy_(weight)
                part.bias.copy_(bias)


def _key(conv: network.Convolution) -> str:
    return conv.name.replace(".", "_")  # a ModuleDict takes no dots
