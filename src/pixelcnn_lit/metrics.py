"""Bits per dimension, squared errors and the use of codes, exact over batches and processes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from pixelcnn_lit.device import WITHOUT_FLOAT64, widest

PRECISION_GAP = "val/precision_gap"
"""Bits per dimension by which float32, which is evaluated, is worse than the arithmetic of training."""


class Sums(Metric):
    """A metric in float64. Where the device has none, it becomes float32 when it moves there."""

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = "") -> nn.Module:
        if fn(torch.zeros(())).device.type in WITHOUT_FLOAT64:
            self._computed = None
            for name, zero in self._defaults.items():
                if isinstance(zero, Tensor) and zero.dtype == torch.float64:
                    self._defaults[name] = zero.float()
                    setattr(self, name, getattr(self, name).float())
        return super()._apply(fn, exclude_state)


class BitsPerDim(Sums):
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
        self.nats += nats.sum(dtype=self.nats.dtype)
        self.dimensions += nats.numel()

    def compute(self) -> Tensor:
        """The bits per dimension of all batches so far, a scalar in float64."""
        return self.nats / (self.dimensions * math.log(2))


class SquaredError(Sums):
    """The mean of ``(x_i - x'_i)^2`` over all dimensions of all images, whatever the batches.

    >>> import torch
    >>> from pixelcnn_lit.metrics import SquaredError, psnr
    >>> metric = SquaredError()
    >>> metric.update(torch.zeros(2, 1, 3, 3), torch.full((2, 1, 3, 3), 0.1))
    >>> round(metric.compute().item(), 6), round(psnr(metric.compute().item()), 4)
    (0.01, 20.0)
    """

    full_state_update = False
    higher_is_better = False
    squares: Tensor
    dimensions: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("squares", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("dimensions", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, x: Tensor, reconstruction: Tensor) -> None:
        """Add a batch of images and their reconstructions, both of one shape."""
        self.squares += (x - reconstruction).square().sum(dtype=self.squares.dtype)
        self.dimensions += x.numel()

    def compute(self) -> Tensor:
        """The mean over all batches so far, a scalar in float64."""
        return self.squares / self.dimensions


def psnr(error: float) -> float:
    """The peak signal-to-noise ratio of images in [0, 1], in dB: ``-10 log10(mean squared error)``.

    Of a split, it is that of the mean error, not the mean over images.
    """
    return -10 * math.log10(error) if error > 0 else math.inf


class CodeUse(Sums):
    """How the codes of a codebook are used: the perplexity, and the share of codes alive, which are used at all.

    With p_k the share of code k among all codes of the split, the perplexity is ``exp(-sum p_k log p_k)``. It is 1
    where one code is used, and the size of the codebook where all are used equally.

    >>> import torch
    >>> from pixelcnn_lit.metrics import CodeUse
    >>> metric = CodeUse(8)
    >>> metric.update(torch.tensor([0, 0, 3, 3]))
    >>> [round(value.item(), 4) for value in metric.compute()]
    [2.0, 0.25]
    """

    full_state_update = False
    counts: Tensor

    def __init__(self, n_codes: int) -> None:
        super().__init__()
        self.add_state("counts", torch.zeros(n_codes, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, codes: Tensor) -> None:
        """Add codes of any shape."""
        self.counts += torch.bincount(codes.flatten().long(), minlength=len(self.counts))

    def compute(self) -> tuple[Tensor, Tensor]:
        """The perplexity and the share of codes alive, in float64. Without any codes, both are NaN."""
        counts = self.counts.to(widest(self.counts.device))
        perplexity = torch.special.entr(counts / counts.sum()).sum().exp()
        return perplexity, (counts > 0).to(counts.dtype).mean() + 0 * perplexity
