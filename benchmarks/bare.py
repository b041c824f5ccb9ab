"""Our network in a plain loop: what training costs without Lightning, callbacks, metrics and files."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pixelcnn_lit.config import OptimizerConfig
from pixelcnn_lit.density import Density
from pixelcnn_lit.training.base import OPTIMIZERS


class BareLoop:
    """A density, its optimiser and its step, in bfloat16 where ``mixed``."""

    def __init__(self, density: Density, config: OptimizerConfig, device: str, mixed: bool) -> None:
        self.density, self.device, self.mixed = density.to(device), device, mixed
        self._optimizer = OPTIMIZERS[config.name](density.parameters(), lr=config.lr, betas=config.betas, fused=True)
        self._schedule = torch.optim.lr_scheduler.ExponentialLR(self._optimizer, config.gamma)

    def step(self, x: Tensor) -> None:
        """One step on levels (N, C, H, W)."""
        x = x.to(self.device)
        self._optimizer.zero_grad()
        with torch.autocast(self.device, torch.bfloat16, enabled=self.mixed):
            loss = self.density(x).mean()
        loss.backward()
        nn.utils.clip_grad_norm_(self.density.parameters(), 1.0)
        self._optimizer.step()
        self._schedule.step()
