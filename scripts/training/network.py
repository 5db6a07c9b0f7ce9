"""SSD-ResNet34 in PyTorch, from the same tables as the ONNX graph; its class heads share what categories share."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from harness.dataset import scene
from harness.model.ssd_resnet34 import network
from harness.model.ssd_resnet34.heads import FEATURE_MAPS, NUM_CLASSES

ALL_MAPS, FINE_MAPS, COARSE_MAPS = range(6), range(2), range(1, 6)
MOST_RATIO, MOST_SHIFT = 3.0, 5.0  # as far as running statistics may be from those of a batch
NORMALISED_EXTRAS = 2
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
        parts = torch.cat([rows.unflatten(0, (-1, self.anchors)) for rows in (self.outer, self.inner, self.figure)])
        shared = (SHARED @ parts.flatten(1)).unflatten(1, parts.shape[1:]).flatten(0, 1)
        return torch.cat([self.own[: self.anchors], self.own[self.anchors :] + shared])

    def load(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        for shared in (self.outer, self.inner, self.figure):
            nn.init.zeros_(shared)
        self.own.copy_(weight)
        self.bias.copy_(bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.conv2d(x, self.weight(), self.bias, 3, 1)


class Renormalisation(nn.BatchNorm2d):
    """Batch normalisation whose output in training is that of the running statistics.

    This is batch renormalisation (Ioffe 2017): a batch is two scenes, and one large object alone changes their mean.
    Gradients are those of the batch.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().forward(x)
        with torch.no_grad():
            variance, mean = torch.var_mean(x[:, :, ::2, ::2].float(), (0, 2, 3), correction=0)
            deviation, running = (torch.sqrt(value + self.eps) for value in (variance, self.running_var))
            ratio = (deviation / running).clamp(1 / MOST_RATIO, MOST_RATIO)
            shift = ((mean - self.running_mean) / running).clamp(-MOST_SHIFT, MOST_SHIFT)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance, self.momentum)
        return functional.batch_norm(
            x, None, None, self.weight * ratio, self.bias + self.weight * shift, training=True, eps=self.eps
        )


class Network(nn.Module):
    """SSD-ResNet34 as `harness.model.ssd_resnet34.network` describes it, with batch normalisation to train with.

    The trunk has it, and those extra blocks whose maps have cells enough for statistics. `export` folds it.

    Args:
        frozen: the stem and so many residual blocks are not trained, and have no normalisation; 0 for all trained.
    """

    def __init__(self, *, frozen: int) -> None:
        super().__init__()
        self.parts = nn.ModuleDict()
        self.norms = nn.ModuleDict()
        for conv in network.convolutions():
            if conv.name.startswith("class"):
                layer: nn.Module = ClassHead(conv)
            else:
                layer = nn.Conv2d(conv.channels_in, conv.channels_out, conv.kernel, conv.stride, conv.pad)
                nn.init.kaiming_normal_(layer.weight)
                nn.init.zeros_(layer.bias)
            self.parts[_key(conv)] = layer
        for head in network.HEADS[len(FEATURE_MAPS) :]:
            nn.init.normal_(self.parts[_key(head)].weight, 0, 0.01)
        front = [network.STEM, *_of(network.RESIDUAL_BLOCKS[:frozen])] if frozen else []
        for conv in front:
            self.parts[_key(conv)].requires_grad_(False)
        for conv in (network.STEM, *_of(network.RESIDUAL_BLOCKS), *_of(network.EXTRA_BLOCKS[:NORMALISED_EXTRAS])):
            if conv not in front:
                self.norms[_key(conv)] = Renormalisation(conv.channels_out, momentum=0.05)
        for block in network.RESIDUAL_BLOCKS[frozen:]:
            nn.init.constant_(self.norms[_key(block.second)].weight, 0.2)
        self.to(memory_format=torch.channels_last)

    def _run(self, conv: network.Convolution, x: torch.Tensor) -> torch.Tensor:
        x = self.parts[_key(conv)](x)
        return self.norms[_key(conv)](x) if _key(conv) in self.norms else x

    def trunk(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 3, S, S) normalised pixels → (B, 256, S/8, S/8)."""
        x = functional.max_pool2d(functional.relu(self._run(network.STEM, x), inplace=True), 3, 2, 1)
        for block in network.RESIDUAL_BLOCKS:
            y = self._run(block.second, functional.relu(self._run(block.first, x), inplace=True))
            shortcut = x if block.shortcut is None else self._run(block.shortcut, x)
            x = functional.relu(y + shortcut, inplace=True)
        return x

    def _deeper(self, x: torch.Tensor, k: int) -> torch.Tensor:
        """Features of map k - 1 → features of map k."""
        extra = network.EXTRA_BLOCKS[k - 1]
        x = functional.relu(self._run(extra.reduce, x), inplace=True)
        return functional.relu(self._run(extra.expand, x), inplace=True)

    def heads(self, x: torch.Tensor, maps: range = ALL_MAPS) -> tuple[torch.Tensor, torch.Tensor]:
        """Features of the trunk → (B, 81, P) logits and (B, 4, P) offsets of these maps."""
        logits, offsets = [], []
        for k in range(maps.stop):
            x = self._deeper(x, k) if k else x
            if k not in maps:
                continue
            logits.append(self.parts[f"class_{k}"](x).reshape(len(x), NUM_CLASSES, -1))
            offsets.append(self.parts[f"box_{k}"](x).reshape(len(x), 4, -1))
        return torch.cat(logits, 2), torch.cat(offsets, 2)

    @torch.no_grad()
    def export(self) -> dict[str, np.ndarray]:
        """The weights that `network.build` takes, batch normalisation folded."""
        exported = {}
        for conv in network.convolutions():
            layer = self.parts[_key(conv)]
            weight, bias = layer.weight() if isinstance(layer, ClassHead) else layer.weight, layer.bias
            if _key(conv) in self.norms:
                norm = self.norms[_key(conv)]
                gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
                weight, bias = weight * gain[:, None, None, None], norm.bias + (bias - norm.running_mean) * gain
            exported[f"{conv.name}.weight"] = weight.float().contiguous().numpy().copy()
            exported[f"{conv.name}.bias"] = bias.float().numpy().copy()
        return exported

    @torch.no_grad()
    def normalise_as(self, pixels: torch.Tensor) -> None:
        """Gives each normalisation the statistics of these pixels, such that it changes nothing but how we train."""

        def take(norm: nn.Module, inputs: tuple[torch.Tensor]) -> None:
            variance, mean = torch.var_mean(inputs[0].float(), (0, 2, 3))
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)
            norm.bias.copy_(mean)
            norm.weight.copy_(torch.sqrt(variance + norm.eps))

        hooks = [norm.register_forward_pre_hook(take) for norm in self.norms.values()]
        self.eval()
        self.heads(self.trunk(pixels))
        self.train()
        for hook in hooks:
            hook.remove()

    @torch.no_grad()
    def load(self, exported: dict[str, np.ndarray]) -> None:
        """What `export` gave; normalisation changes nothing until it is trained."""
        for norm in self.norms.values():
            norm.reset_running_stats()
            norm.weight.fill_(math.sqrt(1 + norm.eps))
            norm.bias.zero_()
        for conv in network.convolutions():
            layer = self.parts[_key(conv)]
            weight, bias = (torch.from_numpy(np.array(exported[f"{conv.name}.{kind}"])) for kind in ("weight", "bias"))
            if isinstance(layer, ClassHead):
                layer.load(weight, bias)
            else:
                layer.weight.copy_(weight)
                layer.bias.copy_(bias)


def _of(blocks: Sequence[network.ResidualBlock | network.ExtraBlock]) -> list[network.Convolution]:
    """The convolutions of these blocks."""
    return [conv for block in blocks for conv in vars(block).values() if conv is not None]


def _key(conv: network.Convolution) -> str:
    return conv.name.replace(".", "_")  # a ModuleDict takes no dots
