"""Bits per dimension, exact over batches and processes."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torchmetrics import Metric

TRAIN, VAL, TEST = (f"{part}/bits_per_dim" for part in ("train", "val", "test"))
"""What they are called in logs and in metrics.json."""


class BitsPerDim(Metric):
    """The mean of ``-log2 p(x_i | earlier)`` over all dimensions of all images: nats / (dimensions ln 2), in bits.

    The sums are kept, in float64, so the result depends neither on the size of the batches nor on the processes.

    >>> metric = BitsPerDim()
    >>> metric.update(torch.full((2, 1, 3, 3), math.log(2)))
    >>> metric.compute().item()
    1.0
    """

    full_state_update = False
    higher_is_better = False
    nats: Tensor
    dimensions: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("nats", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("dimensions", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, nats: Tensor) -> None:
        """Add the nats of every dimension of a batch, (N, C, H, W)."""
        self.nats += nats.sum(dtype=torch.float64)
        self.dimensions += nats.numel()

    def compute(self) -> Tensor:
        """Bits per dimension of all that was added."""
        return self.nats / (self.dimensions * math.log(2))
