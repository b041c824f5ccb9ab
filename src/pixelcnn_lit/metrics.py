"""Bits per dimension, exact over batches and processes."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torchmetrics import Metric

TRAIN, VAL, TEST = (f"{part}/bits_per_dim" for part in ("train", "val", "test"))
"""The names of the metrics in logs and in metrics.json."""

PRECISION_GAP = "val/precision_gap"
"""Bits per dimension by which float32, which is evaluated, is worse than the arithmetic of training."""


class BitsPerDim(Metric):
    """Bits per dimension: the mean of ``-log2 p(x_i | earlier)`` over all dimensions of all images.

    A dimension is one channel of one pixel. The metric is nats / (dimensions ln 2). It sums nats in float64 and counts
    dimensions, so the result depends neither on the batch sizes nor on the number of processes.

    >>> import math
    >>> import torch
    >>> from pixelcnn_lit import BitsPerDim
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
        """Add a batch: ``nats`` (N, C, H, W) is ``-log p(x_i | earlier)`` of each dimension."""
        self.nats += nats.sum(dtype=torch.float64)
        self.dimensions += nats.numel()

    def compute(self) -> Tensor:
        """The bits per dimension of all batches so far, a scalar in float64."""
        return self.nats / (self.dimensions * math.log(2))
