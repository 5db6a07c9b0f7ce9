"""One stage of training: its clock, learning rates, log, average of the weights, and checkpoint."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from training.network import ALL_MAPS, COARSE_MAPS, FINE_MAPS, Network
from training.scenes import CROP

from harness.files import replacing
from harness.model.ssd_resnet34.heads import FEATURE_MAPS, IMAGE_SIZE

LOG_EVERY_S, SAVE_EVERY_S = 60, 300
MAPS = {"crops": FINE_MAPS, "coarse": COARSE_MAPS, "whole": ALL_MAPS}
"""Stage → the maps it trains."""
RATES = {
    "crops": {"trunk": 6e-4, "heads": 6e-4},
    "coarse": {"heads": 5e-4},
    "whole": {"trunk": 5e-5, "heads": 1e-4},
}


class Stage:
    """A stage's clock, log, average of the weights, and checkpoint."""

    def __init__(self, name: str, net: Network, groups: list[dict[str, Any]], minutes: float, checkpoint: Path) -> None:
        self.name, self.net, self.minutes, self.checkpoint = name, net, minutes, checkpoint
        self.optimiser = torch.optim.AdamW(groups, weight_decay=1e-4)
        self.rates = [group["lr"] for group in groups]
        self.average = torch.optim.swa_utils.AveragedModel(
            net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.99), use_buffers=True
        )
        self.elapsed_s, self.steps, self.scenes = 0.0, 0, 0
        self.last = self.logged = self.saved = time.monotonic()
        self.seen: list[tuple[float, float]] = []
        self.found = torch.zeros(2, len(FEATURE_MAPS))

    @property
    def share(self) -> float:
        """How much of the stage is over, 0..1."""
        return min(self.elapsed_s / (self.minutes * 60), 1)

    @property
    def done(self) -> bool:
        return self.share == 1

    def step(self) -> None:
        factor = min(1, self.share / 0.04 + 0.02) * 0.5 * (1 + math.cos(math.pi * self.share))
        for group, rate in zip(self.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        nn.utils.clip_grad_norm_([p for g in self.optimiser.param_groups for p in g["params"]], 10)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.average.update_parameters(self.net)
        self.steps += 1
        now = time.monotonic()
        self.elapsed_s += now - self.last
        self.last = now
        if now - self.logged > LOG_EVERY_S:
            self.log()
        if now - self.saved > SAVE_EVERY_S:
            self.save()

    def record(
        self, class_loss: torch.Tensor, box_loss: torch.Tensor, logits: torch.Tensor, label: torch.Tensor
    ) -> None:
        self.scenes += len(label)
        self.seen.append((class_loss.item(), box_loss.item()))
        at = label.shape[1]
        for k in reversed(MAPS[self.name]):  # from the coarsest: the priors of some maps, or of crops, may not be there
            at -= self._priors_of(k)
            mine = label[:, at : at + self._priors_of(k)]
            found = (logits[:, :, at : at + self._priors_of(k)].argmax(1) == mine) & (mine > 0)
            self.found[:, k] += torch.tensor([found.sum(), (mine > 0).sum()])

    def _priors_of(self, k: int) -> int:
        grid, anchors, _ = FEATURE_MAPS[k]
        return anchors * (CROP * grid // IMAGE_SIZE if self.name == "crops" else grid) ** 2

    def log(self) -> None:
        class_loss, box_loss = np.mean(self.seen or [(math.nan, math.nan)], 0)
        share = " ".join(f"{100 * r / n:.0f}" if n else "-" for r, n in self.found.T.tolist())
        print(
            f"{self.name} {self.elapsed_s / 60:.1f} of {self.minutes:g} min, {self.steps} steps, {self.scenes} scenes:"
            f" class {class_loss:.3f} box {box_loss:.3f}, positives found, by map, in percent: {share}",
            flush=True,
        )
        self.seen.clear()
        self.found.zero_()
        self.logged = time.monotonic()

    def save(self) -> None:
        state = {
            "stage": self.name,
            "elapsed_s": self.elapsed_s,
            "steps": self.steps,
            "scenes": self.scenes,
            "net": self.net.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        with replacing(self.checkpoint) as temporary:
            torch.save(state, temporary)
        save_weights(self.checkpoint.with_suffix(".npz"), self.average.module.export())
        self.saved = self.last = time.monotonic()

    def load(self, state: dict[str, Any]) -> None:
        self.elapsed_s, self.steps, self.scenes = state["elapsed_s"], state["steps"], state["scenes"]
        self.net.load_state_dict(state["net"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])


def save_weights(path: Path, exported: dict[str, np.ndarray]) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **cast(dict[str, Any], exported))


def groups_of(net: Network, stage: str) -> list[dict[str, Any]]:
    """The parameters that the stage trains, each with its highest learning rate."""
    groups: dict[str, list[nn.Parameter]] = {"trunk": [], "heads": []}
    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            groups["trunk" if name.split(".")[1].startswith(("stem", "stage")) else "heads"].append(parameter)
    return [{"params": groups[part], "lr": rate} for part, rate in RATES[stage].items()]
