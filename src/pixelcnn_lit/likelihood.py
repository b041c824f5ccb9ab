"""What the network's output means: the distribution of one channel of one pixel, given the earlier ones."""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


class Likelihood(Protocol):
    """A distribution over the levels 0..levels-1 with ``n_params`` parameters for each channel of each pixel."""

    levels: int
    n_params: int

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        """Parameters (N, C n_params, H, W) and levels (N, C, H, W) -> nats (N, C, H, W)."""
        ...

    def logits(self, params: Tensor) -> Tensor:
        """Parameters (N, C n_params, ...) -> unnormalised log-probabilities of all levels (N, C, levels, ...)."""
        ...


class Categorical:
    """A softmax over all levels: ``p(x = l) = exp(a_l) / sum_k exp(a_k)``, as in PixelCNN (arXiv 1601.06759, 3.2)."""

    def __init__(self, levels: int) -> None:
        self.levels = self.n_params = levels

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        """Parameters (N, C levels, H, W) and levels (N, C, H, W) -> nats (N, C, H, W), computed in float32 or wider."""
        n, channels, height, width = x.shape
        # With channels last in memory, each pixel's logits lie side by side and this reshape copies nothing.
        logits = params.permute(0, 2, 3, 1).reshape(-1, self.levels)
        if logits.dtype in (torch.bfloat16, torch.float16):
            logits = logits.float()
        target = x.permute(0, 2, 3, 1).reshape(-1).long()
        nats = F.cross_entropy(logits, target, reduction="none")
        return -nats.view(n, height, width, channels).permute(0, 3, 1, 2)

    def logits(self, params: Tensor) -> Tensor:
        """Parameters (N, C levels, ...) -> logits (N, C, levels, ...)."""
        return params.unflatten(1, (-1, self.levels))
